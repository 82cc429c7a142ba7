"""Which files an input path means, by Hadoop's rules.

A path may be a list separated by commas, a ``file:`` URI, a file, a directory (its files; sub-directories are an error)
or a glob with ``* ? [abc] [^abc] {a,b}`` and ``\\\\`` to escape. Names that begin with ``_`` or ``.`` are hidden. Files
of a directory or glob come sorted by path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from urllib.parse import unquote

from protocol.errors import InputPathError

GLOB_CHARACTERS = re.compile(r"[*?\[{\\]")


def input_files(paths: str | Sequence[str]) -> list[str]:
    """Absolute paths of the files. In a sequence of paths, commas belong to their names.

    Raises:
        InputPathError: a path does not exist, or a glob matches nothing. The message names each.
        IsADirectoryError: a directory lies in a directory that is read.
        ValueError: the path is a URI of another file system.
    """
    files: list[str] = []
    missing: list[str] = []
    for path in _split_at_commas(paths) if isinstance(paths, str) else paths:
        path = local_path(path)
        is_glob = GLOB_CHARACTERS.search(path) is not None
        found = [
            match for match in (_expand(path) if is_glob else [path]) if _is_visible(match) and os.path.exists(match)
        ]
        if not found:
            missing.append(f"Input Pattern {path} matches 0 files" if is_glob else f"Input path does not exist: {path}")
        for match in found:
            files += _files_of(match) if os.path.isdir(match) else [match]
    if missing:
        raise InputPathError("\n".join(missing))
    return files


def local_path(path: str) -> str:
    """The absolute local path of a path or ``file:`` URI. Raises ValueError for another file system's."""
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", path)
    if scheme is not None:
        if scheme[1] != "file":
            raise ValueError(f"{path}: there is no file system {scheme[1]!r} here, only local files")
        path = unquote(re.sub(r"^file:(//[^/]*)?", "", path))
    return os.path.abspath(path)


def file_uri(path: str) -> str:
    """An absolute path as Spark shows it: ``file:/tmp/x``. `local_path` gives the path back."""
    return "file:" + path.replace("%", "%25")


def _is_visible(path: str) -> bool:
    return not os.path.basename(path).startswith(("_", "."))


def _files_of(directory: str) -> list[str]:
    files = [os.path.join(directory, name) for name in sorted(os.listdir(directory)) if _is_visible(name)]
    for path in files:
        if os.path.isdir(path):
            raise IsADirectoryError(f"Path: {path} is a directory, and directories within directories are not read")
    return files


def _expand(pattern: str) -> list[str]:
    """Existing paths that match the glob."""
    matches: set[str] = set()
    for alternative in _alternatives(pattern):
        found = ["/"]
        for component in alternative.strip("/").split("/"):
            found = [match for directory in found for match in _matches(directory, component)]
        matches.update(found)
    return sorted(matches)


def _matches(directory: str, component: str) -> list[str]:
    if GLOB_CHARACTERS.search(component) is None:
        path = os.path.join(directory, component)
        return [path] if os.path.exists(path) else []
    if not os.path.isdir(directory):
        return []
    expression = re.compile(_translate(component), re.DOTALL)
    return [os.path.join(directory, name) for name in os.listdir(directory) if expression.fullmatch(name)]


def _translate(component: str) -> str:
    """A glob without braces as a regular expression."""
    result = ""
    for token in re.findall(r"\\.|\[[^\]]+\]|.", component, re.DOTALL):
        if token == "*":
            result += ".*"
        elif token == "?":
            result += "."
        elif token.startswith("[") and len(token) > 2:
            inner = re.sub(r"^!", "^", token[1:-1].replace("\\", "\\\\").replace("[", "\\["))
            result += f"[{inner}]"
        else:
            result += re.escape(token[-1])
    return result


def _alternatives(pattern: str) -> Iterator[str]:
    """The pattern with its braces multiplied out, nested ones too."""
    opening = _find(pattern, "{", 0)
    if opening < 0:
        yield pattern
        return
    depth, start, position, options = 0, opening + 1, opening, []
    while position < len(pattern):
        character = pattern[position]
        if character == "\\":
            position += 1
        elif character == "{":
            depth += 1
        elif character in ",}" and depth == 1:
            options.append(pattern[start:position])
            start = position + 1
        if character == "}":
            depth -= 1
            if depth == 0:
                break
        position += 1
    else:
        raise ValueError(f"{pattern}: a brace is not closed")
    for option in options:
        yield from _alternatives(pattern[:opening] + option + pattern[position + 1 :])


def _find(text: str, character: str, start: int) -> int:
    """Like `str.find`, leaving out what a backslash escapes."""
    match = re.compile(rf"(?:\\.|[^\\{re.escape(character)}])*").match(text, start)
    assert match is not None
    return match.end() if text[match.end() : match.end() + 1] == character else -1


def _split_at_commas(paths: str) -> Iterator[str]:
    """The paths of a list: commas within braces belong to a glob."""
    depth, start = 0, 0
    for position, character in enumerate(paths):
        if character == "," and depth == 0:
            yield paths[start:position]
            start = position + 1
        depth += {"{": 1, "}": -1}.get(character, 0)
    yield paths[start:]
