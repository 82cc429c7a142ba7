"""How the command line shows keys, and takes them: as text for people, as JSON for programs."""

from __future__ import annotations

import ast
import math
from contextlib import suppress
from typing import Any

from localcluster.cache.keys import Key, digest_of
from protocol.errors import CacheKeyError


def text_of(key: Key) -> str:
    """A text as it is, if it can be printed; else a literal of Python, which `key_of` takes."""
    return key if isinstance(key, str) and key.isprintable() else repr(key)


def key_of(text: str) -> Key | None:
    """The key that `text_of` shows so, if it is a literal; None: it is none."""
    with suppress(SyntaxError, ValueError, TypeError, RecursionError, MemoryError, CacheKeyError):
        key: Key = ast.literal_eval(_WithNumbersByName().visit(ast.parse(text, mode="eval")))
        digest_of(key)
        return key
    return None


class _WithNumbersByName(ast.NodeTransformer):
    """What ``repr`` makes of infinity and NaN is no literal."""

    def visit_Name(self, node: ast.Name) -> ast.expr:
        return ast.Constant(float(node.id)) if node.id in ("inf", "nan") else node


def json_of(key: Any) -> Any:
    """A tuple as a list, bytes as ``{"bytes": "00ff"}`` (hexadecimal), and what JSON has no number for as ``{"float":
    "nan"}``. Different keys are different JSON.
    """
    if isinstance(key, tuple):
        return [json_of(part) for part in key]
    if isinstance(key, bytes):
        return {"bytes": key.hex()}
    if isinstance(key, float) and not math.isfinite(key):
        return {"float": repr(key)}
    return key
