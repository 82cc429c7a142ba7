"""Which files an input path means, by Hadoop's rules.

A path may be a list separated by commas, a ``file:`` URI (in which, as in Hadoop, ``%20`` is no blank), a file, a
directory (its files) or a glob with ``* ? [abc] [^abc] {a,b}`` and ``\\\\`` to escape. Names that begin with ``_`` or
``.`` are hidden. Files of a directory or glob come sorted by path.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence

from protocol.errors import InputDirectoryError, InputPathError, PathError

GLOB_CHARACTERS = re.compile(r"[*?\[{\\]")


def input_files(paths: str | Sequence[str], *, skip_directories: bool = False) -> list[str]:
    """Absolute paths of the files. In a sequence of paths, commas belong to their names. Directories in a directory are
    left out or an error.

    Raises:
        InputPathError: a path does not exist, or a glob matches nothing. The message names each.
        InputDirectoryError: a directory lies in a directory that is read.
        PathError: a path is empty, a URI of another file system, or a glob with a brace that is not closed.
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
            uri = file_uri(path)
            missing.append(f"Input Pattern {uri} matches 0 files" if is_glob else f"Input path does not exist: {uri}")
        for match in found:
            files += _files_of(match, skip_directories) if os.path.isdir(match) else [match]
    if missing:
        raise InputPathError("\n".join(missing))
    return files


def check_paths(paths: str) -> None:
    """Raises PathError as `input_files` does, without looking at any file."""
    for path in _split_at_commas(paths):
        local_path(path)


def local_path(path: str) -> str:
    """The absolute path that a path or ``file:`` URI means. Raises PathError if that is empty or no local file."""
    if not path:
        raise PathError("Can not create a Path from an empty string")
    scheme = re.match(r"([A-Za-z][A-Za-z0-9+.-]+):", path)
    if scheme is not None:
        if scheme[1] != "file":
            raise PathError(f'No FileSystem for scheme "{scheme[1]}": localcluster reads and writes local files')
        path = re.sub(r"^file:(//[^/]*)?", "", path)
    return os.path.abspath(path)


def file_uri(path: str) -> str:
    """An absolute path as Spark shows it: ``file:/tmp/x``. `local_path` gives the path back."""
    return "file:" + path


def _is_visible(path: str) -> bool:
    return not os.path.basename(path).startswith(("_", "."))


def _files_of(directory: str, skip_directories: bool) -> list[str]:
    entries = [os.path.join(directory, name) for name in sorted(os.listdir(directory)) if _is_visible(name)]
    files = [path for path in entries if not os.path.isdir(path)]
    if len(files) < len(entries) and not skip_directories:
        inner = next(path for path in entries if os.path.isdir(path))
        raise InputDirectoryError(f"Path: {inner} is a directory, which is not supported by the record reader")
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
        raise PathError(f"Illegal file pattern: {pattern}: a brace is not closed")
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
