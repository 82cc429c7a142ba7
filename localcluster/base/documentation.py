"""The documentation that is installed with the package: ``python -m localcluster docs``."""

from __future__ import annotations

import os

from protocol.errors import ConfigurationError

_PACKAGE = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
_DIRECTORY = os.path.join(_PACKAGE, "docs")
COMMAND = "python -m localcluster docs"


def contents() -> str:
    """The pages, with what each is about."""
    pages = sorted(name.removesuffix(".md") for name in os.listdir(_DIRECTORY) if name.endswith(".md"))
    width = max(map(len, pages))
    lines = [f"  {name:{width}}  {page(name).partition(chr(10))[0].lstrip('# ')}" for name in pages]
    return "\n".join([f"{COMMAND} PAGE", "", *lines, "", f"They are files in {os.path.realpath(_DIRECTORY)}"])


def page(name: str) -> str:
    """The text of a page. Raises ConfigurationError when there is none of that name."""
    try:
        with open(os.path.join(_DIRECTORY, os.path.basename(name) + ".md"), encoding="utf-8") as file:
            return file.read().rstrip("\n")
    except FileNotFoundError:
        raise ConfigurationError(f"the documentation has no page {name}; see {COMMAND}") from None
