r"""Reading a Java properties file, as ``--properties-file`` names one.

Covers what ``java.util.Properties`` accepts: ``key value``, ``key=value``, ``key: value``, comments after ``#`` or
``!``, lines continued by a backslash, escapes such as ``\t`` and ``\u00e9``. As spark-submit does, it reads UTF-8 and
takes the blanks off both ends of a value. What the keys mean is not known here.
"""

from __future__ import annotations

import re
from collections.abc import Iterator

from protocol.errors import ConfigurationError

_BLANKS = " \t\f"
_ENTRY = re.compile(r"((?:\\.|[^\\=: \t\f])*)[ \t\f]*[=:]?(.*)", re.DOTALL)
_ESCAPE = re.compile(r"\\(u[0-9a-fA-F]{4}|.)", re.DOTALL)
_MEANINGS = {"t": "\t", "n": "\n", "r": "\r", "f": "\f"}


def read_properties(path: str) -> dict[str, str]:
    """The file's properties; of several with the same key, the last. Raises ConfigurationError for a file that cannot
    be read.
    """
    try:
        with open(path, encoding="utf-8", newline="") as file:
            text = file.read()
    except (OSError, UnicodeDecodeError) as error:
        raise ConfigurationError(f"cannot read the properties file {path}: {error}") from error
    return parse_properties(text)


def parse_properties(text: str) -> dict[str, str]:
    """Raises ConfigurationError for a backslash and ``u`` without four hexadecimal digits behind them."""
    properties = {}
    for line in _logical_lines(text):
        match = _ENTRY.fullmatch(line)
        assert match is not None  # a backslash at the end of a line was taken off with the line's end
        properties[_unescape(match[1])] = _unescape(match[2].lstrip(_BLANKS)).strip(" \t")
    return properties


def _logical_lines(text: str) -> Iterator[str]:
    """Lines without blanks before them, comments and empty ones left out, continued ones put together."""
    parts: list[str] = []
    for natural in re.split(r"\r\n|\n|\r", text):  # not splitlines, which splits at other characters, too
        line = natural.lstrip(_BLANKS)
        if not parts and line[:1] in ("", "#", "!"):
            continue
        continued = (len(line) - len(line.rstrip("\\"))) % 2 == 1
        parts.append(line[:-1] if continued else line)
        if not continued:
            yield "".join(parts)
            parts = []
    if any(parts):
        yield "".join(parts)


def _unescape(text: str) -> str:
    return _ESCAPE.sub(_meaning, text)


def _meaning(match: re.Match[str]) -> str:
    escaped = match[1]
    if escaped == "u":
        raise ConfigurationError(f"malformed \\uxxxx in a properties file: {match.string!r}")
    return chr(int(escaped[1:], 16)) if len(escaped) > 1 else _MEANINGS.get(escaped, escaped)
