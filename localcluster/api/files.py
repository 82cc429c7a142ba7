"""`SparkFiles`, which finds the files that go with a program's jobs, and `Files`, the context's methods that add them.

Copying and unpacking is the business of `user_files`, the import path that of `py_files`.
"""

from __future__ import annotations

import logging
import os
import warnings
from collections.abc import Sequence
from typing import TYPE_CHECKING

from localcluster.api.user_files import UserFiles
from localcluster.base.arguments import PathLike, path_text
from localcluster.base.py_files import extend_import_path, forget_import_paths, is_package
from localcluster.task.env import get_env
from protocol.errors import PySparkTypeError, SparkException

if TYPE_CHECKING:
    from localcluster.driver.cluster import Cluster

log = logging.getLogger(__name__)


class SparkFiles:
    """Where the files are that were added with `SparkContext.addFile`; the same place in the driver and in tasks."""

    def __init__(self) -> None:
        raise NotImplementedError("Do not construct SparkFiles objects")

    @classmethod
    def get(cls, filename: str) -> str:
        """The absolute path of an added file. Raises ContextError when no context runs.

        >>> import os, tempfile
        >>> with tempfile.TemporaryDirectory() as directory:
        ...     path = os.path.join(directory, "factor")
        ...     with open(path, "w") as file:
        ...         _ = file.write("100")
        ...     sc.addFile(path)
        >>> def times_factor(numbers):
        ...     with open(SparkFiles.get("factor")) as file:
        ...         factor = int(file.read())
        ...     return [number * factor for number in numbers]
        >>> sc.parallelize([1, 2, 3]).mapPartitions(times_factor).collect()
        [100, 200, 300]
        """
        return os.path.abspath(os.path.join(cls.getRootDirectory(), filename))

    @classmethod
    def getRootDirectory(cls) -> str:
        """The directory of added files. Raises ContextError when no context runs."""
        return get_env().files_directory


class Files:
    """A part of `SparkContext`. Files are copied when they are added: a later change of the original is not seen."""

    _cluster: Cluster

    def _start_files(self, files: Sequence[str], archives: Sequence[str]) -> None:
        """Make the directory, and add what the settings name."""
        self._user_files = UserFiles(get_env().files_directory)
        self._python_includes: list[str] = []
        extend_import_path([self._user_files.directory])
        for path in files:
            self.addFile(path)
        for path in archives:
            self.addArchive(path)

    def _add_py_files(self, given: Sequence[PathLike], submitted: Sequence[str]) -> None:
        """Add the constructor's ``pyFiles``, and those of ``spark.submit.pyFiles``: one of the latter that cannot be
        added is warned of, as PySpark does.
        """
        if isinstance(given, (str, os.PathLike)):
            raise PySparkTypeError(f"pyFiles must be a list of paths, not the path {os.fspath(given)}")
        for file in given:
            self.addPyFile(file)
        for path in submitted:
            try:
                if os.path.isdir(path):
                    self._add_import_path(os.path.abspath(path))
                else:
                    self.addPyFile(path)
            except SparkException as error:
                warnings.warn(
                    f"Failed to add file [{path}] specified in 'spark.submit.pyFiles' to Python path: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def _stop_files(self) -> None:
        forget_import_paths(self._user_files.directory)

    def addFile(self, path: PathLike, recursive: bool = False) -> None:
        """Copy a file for all tasks, which find it with `SparkFiles.get`: a path, or a ``file:``, http, https or ftp
        URL. With ``recursive``, a directory and all below it.

        Adding the same path again has no effect.

        Raises:
            UserFileError: there is nothing there.
            SparkException: it is a directory and ``recursive`` is not set, another file of the same name but with
                other contents was added, or a URL cannot be fetched.
        """
        self._cluster.check_usable()
        self._user_files.add_file(path_text(path, "path"), recursive)
        self._add_import_path(self._user_files.directory)  # it may be a module

    def addPyFile(self, path: PathLike) -> None:
        """Add a ``.py`` file, or a ``.zip``, ``.egg`` or ``.jar`` with modules, and let driver and tasks import from it
        from the next job on. Raises what `addFile` raises.
        """
        self._cluster.check_usable()
        name = self._user_files.add_file(path_text(path, "path"))
        if is_package(name):
            self._python_includes.append(name)
            self._add_import_path(os.path.join(self._user_files.directory, name))
        else:
            self._add_import_path(self._user_files.directory)

    def addArchive(self, path: PathLike) -> None:
        """Unpack a ``.zip``, ``.jar``, ``.tar``, ``.tar.gz`` or ``.tgz`` for all tasks; `SparkFiles.get` of its name
        gives the directory. ``path#name`` gives it another name. What is no such archive is copied as it is.

        Raises:
            UserFileError: there is nothing there.
            PathError: the name after ``#`` is a path.
            SparkException: it cannot be unpacked, or a URL cannot be fetched.
        """
        self._cluster.check_usable()
        self._user_files.add_archive(path_text(path, "path"))

    @property
    def listFiles(self) -> list[str]:
        """URIs of what `addFile` and `addPyFile` added, in that order."""
        return list(self._user_files.files)

    @property
    def listArchives(self) -> list[str]:
        """URIs of what `addArchive` added, in that order."""
        return list(self._user_files.archives)

    def _add_import_path(self, path: str) -> None:
        extend_import_path([path])
        self._cluster.add_import_path(path)
