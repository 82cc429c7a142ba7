"""The directory of files that go with a run's jobs: copying into it, unpacking into it, what is in it.

Driver's side. Everything lies in the run's scratch space, so every end of the run removes it, and all executors, later
ones too, find the files at the same path. Does not cover the import path (`py_files`) nor finding files (`files`).
"""

from __future__ import annotations

import filecmp
import logging
import os
import re
import shutil
import threading
from collections.abc import Iterable
from contextlib import AbstractContextManager
from functools import partial
from pathlib import PurePath
from urllib.parse import quote, unquote, urlsplit

from localcluster.base.unpacking import is_archive, is_tar, make_tree_writable, unpack
from protocol.errors import ConfigurationError, PathError, SparkException, UserFileError
from storage import os_layer

log = logging.getLogger(__name__)

DOWNLOAD_SILENCE = 60  # seconds without a byte after which a download has failed
_NOT_IN_URIS = re.compile(r'[\x00-\x20%"<>\\^`{|}#?\[\]]')


class UserFiles:
    """The directory of files that go with jobs.

    Thread-safe. Files come aside first and appear under their names when they are complete.

    ``files`` and ``archives`` map the URI of each thing added to its name in ``directory``, oldest first.
    """

    def __init__(self, directory: str) -> None:
        os_layer.make_directory(directory)
        self.directory = directory
        self.files: dict[str, str] = {}
        self.archives: dict[str, str] = {}
        self._lock = threading.Lock()

    def add_file(self, path: str, recursive: bool = False) -> str:
        """Copy a file, or with ``recursive`` a directory; its name here. A URI that was added before is left alone.

        As in Spark, a tar archive is also unpacked beside its copy, and files become executable.

        Raises UserFileError when there is nothing at ``path``, PathError for a URI of another kind or a directory that
        contains itself or this run's files, SparkException for what cannot be read, a directory without ``recursive``,
        or when another file of this name was added. Nothing has changed then.
        """
        uri, source = _located(path)
        with self._lock, self._staging() as staging:
            if uri in self.files:
                log.warning("The path %s has been added already. Added files are not overwritten.", uri)
                return self.files[uri]
            if os.path.isdir(source) and not recursive:
                raise SparkException(errorClass="UNSUPPORTED_ADD_FILE.DIRECTORY", messageParameters={"path": uri})
            copy = self._fetch(uri, source, staging)
            arrivals = [copy]
            if is_tar(copy) and os.path.isfile(copy):
                beside = os.path.join(staging, "unpacked")
                unpack(copy, beside)
                arrivals += [os.path.join(beside, name) for name in os_layer.list_directory(beside)]
            self._install(arrivals, uri)
            self.files[uri] = os.path.basename(copy)
            return self.files[uri]

    def add_archive(self, path: str) -> str:
        """Unpack an archive into a directory named after it, or after what follows a ``#``; the name. What is no
        archive is copied. A URI that was added before is left alone; another one of the same name takes its place.

        Raises UserFileError, PathError as `add_file`, PathError for a name that is none of a directory below this one,
        SparkException for an archive that cannot be read. Nothing has changed then.
        """
        path, _, alias = path.partition("#")
        # What has the name already is removed: that must lie in our directory.
        if alias in (".", "..") or "/" in alias or "\0" in alias:
            raise PathError(f"{alias!r} is no name for an archive: it is one name, without slashes")
        uri, source = _located(path)
        key = f"{uri}#{alias}" if alias else uri
        with self._lock, self._staging() as staging:
            if key in self.archives:
                log.warning("The archive %s has been added already. Added archives are not overwritten.", key)
                return self.archives[key]
            copy = self._fetch(uri, source, staging)
            name = alias or os.path.basename(copy)
            if is_archive(copy) and os.path.isfile(copy):
                unpacked = os.path.join(staging, "unpacked")
                unpack(copy, unpacked)
                copy = unpacked
            _replace(copy, os.path.join(self.directory, name))
            self.archives[key] = name
            return name

    def _staging(self) -> AbstractContextManager[str]:
        return os_layer.temporary_directory("arriving-", os.path.dirname(self.directory))

    def _fetch(self, uri: str, source: str, into: str) -> str:
        """A copy of a file or directory, or of what a URL leads to, in the directory ``into``."""
        if uri == source:
            return _download(uri, into)
        if not os.path.exists(source):
            raise UserFileError(f"File {uri} does not exist")
        target = os.path.join(into, os.path.basename(source))
        try:
            if os.path.isdir(source):
                os_layer.copy_tree(source, target, _copy_file, partial(_ignore_nothing, into))
                make_tree_writable(target)  # else nobody could remove it
            else:
                _copy_file(source, target)
                os.chmod(target, 0o755)
        except OSError as error:
            raise SparkException(f"{uri} cannot be copied: {error}") from error
        return target

    def _install(self, arrivals: list[str], uri: str) -> None:
        """Move all of them into the directory, or none: what has the same name there must be the same."""
        moves = [(path, os.path.join(self.directory, os.path.basename(path))) for path in arrivals]
        for path, target in moves:
            if os.path.lexists(target) and not _same(path, target):
                raise SparkException(f"File {target} exists and does not match contents of {uri}")
        for path, target in moves:
            if not os.path.lexists(target):
                os_layer.rename(path, target)


def _located(path: str) -> tuple[str, str]:
    """The URI that ``path`` is known by, and the local path (else the URL) to fetch it from."""
    try:
        scheme = urlsplit(path).scheme
    except ValueError as error:
        raise PathError(f"{path} is no URL: {error}") from error
    if scheme in ("http", "https", "ftp"):
        return path, path
    if scheme not in ("", "file", "local"):
        raise PathError(f'No FileSystem for scheme "{scheme}": localcluster reads local files, http, https and ftp')
    local = os.path.abspath(unquote(urlsplit(path).path) if scheme else path)
    uri = "file:" + _NOT_IN_URIS.sub(lambda character: quote(character[0], safe=""), local)
    return (uri + "/" if os.path.isdir(local) and local != "/" else uri), local


def require(kind: str, paths: Iterable[str]) -> None:
    """Raises ConfigurationError for a local file that is not there, which it calls ``kind``."""
    for path in paths:
        try:
            uri, source = _located(path)
        except PathError as error:
            raise ConfigurationError(f"{kind} {path}: {error}") from error
        if uri != source and not os.path.exists(source):
            raise ConfigurationError(f"{kind} {path} does not exist")


def _copy_file(source: str, target: str) -> None:
    if not os.path.isfile(source):
        raise shutil.SpecialFileError(f"{source} is neither a file nor a directory")  # a device may never end
    os_layer.copy_file(source, target)


def _ignore_nothing(into: str, directory: str, names: list[str]) -> tuple[()]:
    """Raise PathError for a directory, perhaps found through a link, whose copy would be copied too, and so on."""
    real = os.path.realpath(directory)
    if os.path.commonpath([real, os.path.realpath(into)]) == real:
        raise PathError(f"{directory} cannot be copied: this run's own files are below it, in {os.path.dirname(into)}")
    if real in (os.path.realpath(parent) for parent in PurePath(directory).parents):
        raise PathError(f"{directory} cannot be copied: it is a link to a directory that it is in")
    return ()


def _download(url: str, into: str) -> str:
    import urllib.request  # not with the module: it takes long to import, and few programs need it

    target = os.path.join(into, os.path.basename(unquote(urlsplit(url).path)) or "index")
    try:
        with urllib.request.urlopen(url, timeout=DOWNLOAD_SILENCE) as answer, os_layer.open_output(target) as file:
            shutil.copyfileobj(answer, file)
    except OSError as error:
        raise SparkException(f"{url} cannot be fetched: {error}") from error
    os.chmod(target, 0o755)
    return target


def _same(one: str, other: str) -> bool:
    """Whether two files, or all files of two directories, hold the same bytes."""
    if not (os.path.isdir(one) and os.path.isdir(other)):
        return os.path.isfile(one) and os.path.isfile(other) and filecmp.cmp(one, other, shallow=False)
    names = os_layer.list_directory(one)
    return sorted(names) == sorted(os_layer.list_directory(other)) and all(
        _same(os.path.join(one, name), os.path.join(other, name)) for name in names
    )


def _replace(path: str, target: str) -> None:
    if os.path.lexists(target):
        os_layer.remove_tree(target)
    os_layer.rename(path, target)
