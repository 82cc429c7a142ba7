"""The files that go with a program's jobs: `SparkFiles` finds them, `AddedFiles` is the part of a context that adds
them, and `Files` its methods for that.

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
from localcluster.conf.settings import Settings
from localcluster.task.env import get_env
from protocol.errors import PySparkTypeError, SparkException

if TYPE_CHECKING:
    from localcluster.conf.setting import Texts
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


class AddedFiles:
    """The files that a context has added. They are copied when they are added: a later change of the original is not
    seen.
    """

    def __init__(self, cluster: Cluster, directory: str) -> None:
        self.user_files = UserFiles(directory)
        self.packages: list[str] = []
        """Names of added files that are on the import path themselves."""
        self._cluster = cluster
        extend_import_path([directory])

    def add_file(self, path: PathLike, recursive: bool = False) -> None:
        self._cluster.check_usable()
        self.user_files.add_file(path_text(path, "path"), recursive)
        self._add_import_path(self.user_files.directory)  # it may be a module

    def add_py_file(self, path: PathLike) -> None:
        self._cluster.check_usable()
        name = self.user_files.add_file(path_text(path, "path"))
        if is_package(name):
            self.packages.append(name)
            self._add_import_path(os.path.join(self.user_files.directory, name))
        else:
            self._add_import_path(self.user_files.directory)

    def add_archive(self, path: PathLike) -> None:
        self._cluster.check_usable()
        self.user_files.add_archive(path_text(path, "path"))

    def add_first(self, conf: Texts, py_files: Sequence[PathLike]) -> None:
        """Add what the settings name and the constructor's ``pyFiles``. One of ``spark.submit.pyFiles`` that cannot be
        added is warned of, as PySpark does.
        """
        if isinstance(py_files, (str, os.PathLike)):
            raise PySparkTypeError(f"pyFiles must be a list of paths, not the path {os.fspath(py_files)}")
        settings = Settings(conf)
        for path in settings.files or ():
            self.add_file(path)
        for path in settings.archives or ():
            self.add_archive(path)
        for file in py_files:
            self.add_py_file(file)
        for path in settings.submit_py_files or ():
            try:
                if os.path.isdir(path):
                    self._add_import_path(os.path.abspath(path))
                else:
                    self.add_py_file(path)
            except SparkException as error:
                warnings.warn(
                    f"Failed to add file [{path}] specified in 'spark.submit.pyFiles' to Python path: {error}",
                    RuntimeWarning,
                    stacklevel=2,
                )

    def stop(self) -> None:
        forget_import_paths(self.user_files.directory)

    def _add_import_path(self, path: str) -> None:
        extend_import_path([path])
        self._cluster.add_import_path(path)


class Files:
    """Methods of `SparkContext`."""

    _files: AddedFiles

    def addFile(self, path: PathLike, recursive: bool = False) -> None:
        """Copy a file for all tasks, which find it with `SparkFiles.get`: a path, or a ``file:``, http, https or ftp
        URL. With ``recursive``, a directory and all below it.

        Adding the same path again has no effect.

        Raises UserFileError when there is nothing there; SparkException when it is a directory and ``recursive`` is not
        set, another file of the same name but with other contents was added, or a URL cannot be fetched.
        """
        self._files.add_file(path, recursive)

    def addPyFile(self, path: PathLike) -> None:
        """Add a ``.py`` file, or a ``.zip``, ``.egg`` or ``.jar`` with modules, and let driver and tasks import from it
        from the next job on. Raises what `addFile` raises.
        """
        self._files.add_py_file(path)

    def addArchive(self, path: PathLike) -> None:
        """Unpack a ``.zip``, ``.jar``, ``.tar``, ``.tar.gz`` or ``.tgz`` for all tasks; `SparkFiles.get` of its name
        gives the directory. ``path#name`` gives it another name. What is no such archive is copied as it is.

        Raises UserFileError when there is nothing there, PathError when the name after ``#`` is a path, SparkException
        when it cannot be unpacked, or a URL cannot be fetched.
        """
        self._files.add_archive(path)

    @property
    def listFiles(self) -> list[str]:
        """URIs of what `addFile` and `addPyFile` added, in that order."""
        return list(self._files.user_files.files)

    @property
    def listArchives(self) -> list[str]:
        """URIs of what `addArchive` added, in that order."""
        return list(self._files.user_files.archives)
