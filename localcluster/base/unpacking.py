"""Unpacking archives: ``.zip`` and ``.jar``, ``.tar``, ``.tar.gz`` and ``.tgz``.

Members cannot lead out of the directory they are unpacked into; the permissions of files are kept.
"""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

from protocol.errors import SparkException
from storage import os_layer

if TYPE_CHECKING:
    import zipfile

_ZIPS = (".zip", ".jar")
_TARS = (".tar", ".tar.gz", ".tgz")


def is_tar(path: str) -> bool:
    return path.lower().endswith(_TARS)


def is_archive(path: str) -> bool:
    """Whether the name says that `unpack` can read it."""
    return path.lower().endswith(_ZIPS + _TARS)


def unpack(archive: str, directory: str) -> None:
    """Unpack into ``directory``, which is made. Raises SparkException when the archive cannot be read."""
    import tarfile  # not with the module, which every driver imports
    import zipfile

    os_layer.make_directory(directory)
    try:
        if is_tar(archive):
            with tarfile.open(archive) as tar:
                tar.extractall(directory, filter="data")
        else:
            with zipfile.ZipFile(archive) as packed:
                _extract(packed, directory)
    except Exception as error:  # also what decompressors raise, and RuntimeError for a password or an unknown method
        raise SparkException(f"{os.path.basename(archive)} cannot be unpacked: {error}") from error
    make_tree_writable(directory)


def _extract(packed: zipfile.ZipFile, directory: str) -> None:
    """`ZipFile.extractall` leaves permissions out."""
    for member in packed.infolist():
        path = packed.extract(member, directory)
        mode = member.external_attr >> 16 & 0o777
        if mode and not member.is_dir():
            os.chmod(path, mode | 0o600)


def make_tree_writable(directory: str) -> None:
    """Let the owner write into every directory of a tree, as removing it needs."""
    for parent, _, _ in os.walk(directory):
        os.chmod(parent, 0o755)
