"""`Binding`: a call's arguments as one tuple, however they were passed, with defaults, and without ignored ones."""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection
from inspect import Parameter
from typing import Any

from localcluster.cache.content import digest_of_arguments

_STARS = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}


class Binding:
    """Of a function: what Python itself does when it calls one, by a lambda with the same parameters. To bind by
    `inspect.Signature` would take longer than all the rest of a hit.
    """

    def __init__(self, function: Callable[..., Any], ignore: Collection[str]) -> None:
        parameters = inspect.signature(function).parameters
        self.parameters = tuple(parameters)
        self.names = tuple(name for name in parameters if name not in ignore)
        self._defaults = [p.default for name, p in parameters.items() if name in self.names]
        self.bind: Any = eval(f"lambda {_text(parameters)}: ({''.join(f'{name},' for name in self.names)})")
        self.bind.__name__ = self.bind.__qualname__ = getattr(function, "__name__", "function")
        given = [p for p in parameters.values() if p.default is not Parameter.empty]
        self.bind.__defaults__ = tuple(p.default for p in given if p.kind is not Parameter.KEYWORD_ONLY)
        self.bind.__kwdefaults__ = {p.name: p.default for p in given if p.kind is Parameter.KEYWORD_ONLY}

    def digest(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Raises TypeError as a call would, and UnstableContentError when an argument has no lasting content."""
        values = self.bind(*args, **kwargs)
        return digest_of_arguments(self.names, values, self._defaults)


def _text(parameters: Any) -> str:
    """The parameters as a lambda has them; defaults are put in later."""
    found: list[str] = []
    before = None
    for parameter in parameters.values():
        kind = parameter.kind
        if before is Parameter.POSITIONAL_ONLY and kind is not before:
            found.append("/")
        if kind is Parameter.KEYWORD_ONLY and before not in (kind, Parameter.VAR_POSITIONAL):
            found.append("*")
        given = "" if parameter.default is Parameter.empty else "=None"
        found.append(_STARS.get(kind, "") + parameter.name + given)
        before = kind
    return ", ".join([*found, *["/"] * (before is Parameter.POSITIONAL_ONLY)])
