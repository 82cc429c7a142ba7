"""Which files an input path means, by Hadoop's rules.

A path may be a list separated by commas, a ``file:`` URI (in which, as in Hadoop, ``%20`` is no blank), a file, a
directory (its files) or a glob with ``* ? [abc] [^abc] {a,b}`` and ``\\\\`` to escape. Names that begin with ``_`` or
``.`` are hidden. Files of a directory or glob come sorted by path. Reading them is the business of `reading`.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterable, Iterator, Sequence
from enum import Enum, auto
from stat import S_ISDIR, S_ISFIFO, S_ISREG, S_ISSOCK
from typing import NamedTuple

from protocol.errors import InputDirectoryError, InputPathError, PathError

GLOB_CHARACTERS = re.compile(r"[*?\[{\\]")


class InputFile(NamedTuple):
    """A file as it was when it was listed."""

    path: str  # absolute
    size: int


class Directories(Enum):
    """What becomes of the directories in a directory that is read."""

    REFUSED = auto()
    PASSED_OVER = auto()
    READ = auto()


def input_files(
    paths: str | Sequence[str], directories: Directories = Directories.REFUSED, *, ignore_missing: bool = False
) -> list[InputFile]:
    """The files. In a sequence of paths, commas belong to their names.

    Raises InputPathError when a path does not exist or is a pipe or a socket, or a glob matches nothing: it names each
    that is missing; with ``ignore_missing`` those are passed over. Raises InputDirectoryError when a directory lies in
    a directory that is read, and is REFUSED there; PathError when a path is empty, a URI of another file system, or a
    glob with a brace that is not closed.
    """
    files: list[InputFile] = []
    missing: list[str] = []
    for path in _split_at_commas(paths) if isinstance(paths, str) else paths:
        path = local_path(path)
        is_glob = GLOB_CHARACTERS.search(path) is not None
        found = _present(_expand(path) if is_glob else [path])
        if not found:
            uri = file_uri(path)
            missing.append(f"Input Pattern {uri} matches 0 files" if is_glob else f"Input path does not exist: {uri}")
        for match, status in found:
            if S_ISDIR(status.st_mode):
                files += _files_below(match, directories, ((status.st_dev, status.st_ino),))
            elif S_ISFIFO(status.st_mode) or S_ISSOCK(status.st_mode):
                raise InputPathError(f"Input path is neither a file nor a directory: {file_uri(match)}")
            else:
                files.append(InputFile(match, status.st_size))
    if missing and not ignore_missing:
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


def _present(paths: Iterable[str]) -> list[tuple[str, os.stat_result]]:
    """Those that are not hidden and exist. A link that leads nowhere does not."""
    found = []
    for path in paths:
        if not os.path.basename(path).startswith(("_", ".")):
            try:
                found.append((path, os.stat(path)))
            except PermissionError:
                raise
            except (OSError, ValueError):  # the latter: no path has a NUL in it
                continue
    return found


def _files_below(directory: str, directories: Directories, above: tuple[tuple[int, int], ...]) -> Iterator[InputFile]:
    """Regular files only. ``above`` identifies the directory and those that it is in: a link to one of them is passed
    over, since it leads to nothing new.
    """
    for path, status in _present(os.path.join(directory, name) for name in sorted(os.listdir(directory))):
        identity = status.st_dev, status.st_ino
        if S_ISREG(status.st_mode):
            yield InputFile(path, status.st_size)
        elif S_ISDIR(status.st_mode) and directories is Directories.REFUSED:
            raise InputDirectoryError(
                f"Path: {path} is a directory, which is not supported by the record reader when "
                "`mapreduce.input.fileinputformat.input.dir.recursive` is false."
            )
        elif S_ISDIR(status.st_mode) and directories is Directories.READ and identity not in above:
            yield from _files_below(path, directories, (*above, identity))


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
