"""The error family of the whole project: one root, a branch for each layer.

Covers every exception that this project raises on purpose. `localcluster.errors` re-exports them all. What a PySpark
program may catch is below `PySparkException` and has PySpark's class names, conditions and wording where it has any.
Does not cover what a user's own code raises: that travels as the ``cause`` of a `TaskError`.
"""

from __future__ import annotations

import sys
import warnings
from collections.abc import Mapping
from pickle import PicklingError
from typing import Any, ClassVar

from protocol.error_conditions import CONDITIONS
from protocol.java_exception import JavaException


class LocalClusterError(Exception):
    """Root of the family: ``except LocalClusterError`` catches whatever this project raises."""


# --- PySpark's family ------------------------------------------------------------------------------------------------


class PySparkException(LocalClusterError):
    """Root of what PySpark's API raises, with PySpark's constructor and getters.

    Either a ``message``, or an ``errorClass`` (a condition such as ``CONTEXT_ONLY_VALID_ON_DRIVER``) and the parameters
    of its text in ``protocol.error_conditions``.
    """

    def __init__(
        self,
        message: str | None = None,
        errorClass: str | None = None,
        messageParameters: Mapping[str, str] | None = None,
        contexts: list[Any] | None = None,
    ) -> None:
        if message is None:
            message = CONDITIONS.get(errorClass or "", "").format_map(dict(messageParameters or {}))
        super().__init__(message)
        self._message = message
        self._condition = errorClass
        self._parameters = None if messageParameters is None else dict(messageParameters)
        self._contexts = contexts or []

    def getCondition(self) -> str | None:
        """PySpark's name for what went wrong, if it has one."""
        return self._condition

    def getErrorClass(self) -> str | None:
        """The condition, by its name of before Spark 4."""
        warnings.warn("Deprecated in 4.0.0, use getCondition instead.", FutureWarning, stacklevel=2)
        return self._condition

    def getMessageParameters(self) -> dict[str, str] | None:
        return self._parameters

    def getSqlState(self) -> str | None:
        """Always None: SQL is not part of this."""
        return None

    def getBreakingChangeInfo(self) -> dict[str, Any] | None:
        """Always None: what it would describe are changes of SQL."""
        return None

    def getMessage(self) -> str:
        return f"[{self._condition}] {self._message}"

    def getQueryContext(self) -> list[Any]:
        return self._contexts

    def __str__(self) -> str:
        return self._message if self._condition is None else self.getMessage()


class PySparkValueError(PySparkException, ValueError):
    """A ValueError with a condition."""


class PySparkTypeError(PySparkException, TypeError):
    """A TypeError with a condition."""


class PySparkIndexError(PySparkException, IndexError):
    """An IndexError with a condition."""


class PySparkKeyError(PySparkException, KeyError):
    """A KeyError with a condition."""


class PySparkAttributeError(PySparkException, AttributeError):
    """An AttributeError with a condition."""


class NotAnRDDError(PySparkTypeError, PySparkAttributeError):
    """An argument that has to be an RDD is none. Also an AttributeError, which PySpark raises then."""


class NotAPairError(PySparkTypeError, PySparkValueError, PySparkIndexError):
    """A record of an RDD that is used by key is no pair. The message names it; the bases are what PySpark raises."""


class PySparkRuntimeError(PySparkException, RuntimeError):
    """A RuntimeError with a condition."""


class PySparkAssertionError(PySparkException, AssertionError):
    """An AssertionError with a condition."""


class PySparkNotImplementedError(PySparkException, NotImplementedError):
    """What PySpark has and this project does not: the message says what to use instead."""


class NoDataFramesError(PySparkNotImplementedError, PySparkAttributeError):
    """SQL and DataFrames are not part of this project. An AttributeError, so that `hasattr` says no."""


class PySparkImportError(PySparkException, ImportError):
    """An ImportError with a condition."""


class PySparkPicklingError(PySparkException, PicklingError):
    """A PicklingError with a condition."""


class SparkException(PySparkException):
    """What fails in the cluster rather than in the calls of a program: jobs, input paths, output directories.

    In PySpark these come out of the JVM as ``Py4JJavaError``; `localcluster.pyspark` has that name for this class.
    """

    java_class: ClassVar[str] = "org.apache.spark.SparkException"
    """The class of the exception in Spark, for programs that look at its name."""

    @property
    def java_exception(self) -> JavaException:
        """What a ``Py4JJavaError`` has under this name."""
        return JavaException(self.java_class, PySparkException.__str__(self))


class HadoopError(SparkException):
    """What Hadoop raises in Spark. Its text begins with the Java class, which programs look for in it."""

    def __str__(self) -> str:
        return str(self.java_exception)


class InputPathError(HadoopError, FileNotFoundError):
    """An input path does not exist, or a glob matches nothing. The message names each."""

    java_class = "org.apache.hadoop.mapred.InvalidInputException"


class UserFileError(InputPathError):
    """A file that is to go with jobs does not exist."""

    java_class = "java.io.FileNotFoundException"


class InputDirectoryError(HadoopError, IsADirectoryError):
    """A directory lies in a directory whose files are read."""

    java_class = "java.io.IOException"


class DamagedFileError(HadoopError, OSError):
    """An input file cannot be read: its device fails, or it is not what its name or the program says."""

    java_class = "java.io.IOException"


class FileGoneError(HadoopError, FileNotFoundError):
    """An input file went away between the time when its path was looked up and that when it was read."""

    java_class = "java.io.FileNotFoundException"


class PathError(SparkException, ValueError):
    """A path that cannot mean anything here: of another file system, empty, or a glob that is not complete."""


class OutputExistsError(HadoopError, FileExistsError):
    """There is something at an output path already."""

    java_class = "org.apache.hadoop.mapred.FileAlreadyExistsException"


# --- channels --------------------------------------------------------------------------------------------------------


class ChannelError(LocalClusterError):
    """A message could not be sent or received."""


class ClosedChannelError(ChannelError):
    """This side closed the channel and then used it."""


class ForkedChannelError(ClosedChannelError):
    """The channel is that of the process which this one was forked from."""


class BrokenChannelError(ChannelError):
    """The peer died, or the system broke the channel: no clean goodbye was seen."""


class EndOfChannel(ChannelError):
    """The peer closed the channel cleanly and everything it sent has been received."""


class FrameError(ChannelError):
    """A frame was garbled, truncated, oversized or of another version. The channel is unusable from then on."""


class FrameTooLargeError(FrameError):
    """A message is too large for a frame. Nothing was sent, and the channel is as it was."""


class AskTimeoutError(ChannelError, TimeoutError):
    """No answer came before the ask's deadline. A late answer is dropped."""


class RemoteAskError(ChannelError):
    """The peer's handler raised while it answered an ask. ``__cause__`` is its exception where that could travel, once
    `protocol.error_frames.load_cause` has unpickled it.
    """

    pickled_cause: bytes | None = None


class NoHandlerError(LocalClusterError):
    """A message came to a process that has no handler for its kind."""


# --- storage ---------------------------------------------------------------------------------------------------------


class StorageError(LocalClusterError):
    """A block could not be stored or read."""


class BlockIdError(StorageError, ValueError):
    """A name that is not a block name, or numbers that a block id cannot hold."""


class BlockNotFoundError(StorageError, KeyError):
    """No store asked holds the block."""

    def __str__(self) -> str:  # KeyError would print the repr of the message
        return str(self.args[0]) if self.args else "block not found"


class BlockPutError(StorageError):
    """A put failed. Nothing of the block was left behind and all who waited for it were woken."""


class StaleLocationError(StorageError):
    """A location no longer leads to the block's bytes: its segment or file is gone or too short."""


class CorruptBlockError(StorageError):
    """The bytes at a location are not a block that this version wrote."""


class OutOfSharedMemoryError(StorageError, MemoryError):
    """Neither shared memory nor the file-backed fall-back has room for the bytes asked for."""


class CacheError(StorageError):
    """The machine's cache: a directory that is not ours, no server, no room. The message says the way out."""


class CacheKeyError(CacheError, TypeError):
    """This is no key, namespace or argument that the cache can tell from others."""


class UnstableContentError(CacheKeyError):
    """Something has no content that would be the same in another process, so no key can be made of it. ``places`` lead
    to it from what the key was to be of.
    """

    def __init__(self, what: str, *places: str) -> None:
        super().__init__(what, *places)
        self.what = what
        self.places = places

    def inside(self, *places: str) -> UnstableContentError:
        """The same, seen from further outside."""
        return UnstableContentError(self.what, *places, *self.places)

    def __str__(self) -> str:
        return f"{', '.join(self.places)}: {self.what}" if self.places else self.what


class SerializationError(PySparkPicklingError):
    """A closure, a record or a result could not be pickled or unpickled. The message names the object."""


class DeserializationError(SerializationError):
    """What was pickled well cannot be unpickled in the process that has to; in another one it may."""


# --- configuration and command line ----------------------------------------------------------------------------------


class ConfigurationError(SparkException, ValueError):
    """A configuration value is not accepted. The message names key, value and what is accepted."""


class FaultPlanError(ConfigurationError):
    """A plan of faults says something that has no meaning. The message names it, what there is, and what is closest."""


class FaultNeverFiredError(SparkException):
    """Rules of a plan of faults did not fire, and were meant to. The message has their text."""


# --- jobs ------------------------------------------------------------------------------------------------------------


class ContextError(PySparkRuntimeError):
    """The context is stopped, or is used where there is none (inside a task)."""


class BlockMasterStoppedError(StorageError, ContextError):
    """The run ends: its block master answers nothing any more. A thread gets it that uses a context while it stops."""


RUN_IS_OVER = (BlockMasterStoppedError, ClosedChannelError, BrokenChannelError)
"""What those get that report to the block master after the run's end, here or across a pipe: to no one's surprise."""


class ActiveContextError(ContextError, ValueError):
    """There is an active context already; a process has one at a time."""


class ClusterError(SparkException):
    """The launcher or the driver's own machinery failed; no job can run in this context any more."""


class FetchFailedError(LocalClusterError):
    """A reducer could not read map outputs. The scheduler computes them again; users see this only when that fails."""

    def __init__(self, shuffle_id: int, missed: Mapping[int, int | None], reason: str) -> None:
        """``missed``: map indices, and the task whose output it was; None where there was none, being computed."""
        named = ", ".join(map(str, list(missed)[:10])) + ", …" * (len(missed) > 10)
        outputs = f"output{'s' * (len(missed) > 1)} {named} of " if missed else ""
        super().__init__(f"{outputs}shuffle {shuffle_id} cannot be read: {reason}")
        self.shuffle_id = shuffle_id
        self.missed = missed
        self.reason = reason

    def __reduce__(self) -> tuple[type[FetchFailedError], tuple[int, Mapping[int, int | None], str]]:
        return FetchFailedError, (self.shuffle_id, self.missed, self.reason)


class TaskKilledError(LocalClusterError):
    """A task was told to stop (its job was cancelled, or another attempt won)."""


class RDDError(PySparkRuntimeError):
    """The RDD API was used as it does not allow: an RDD inside a task, StopIteration out of a user's function."""


class JobError(SparkException, RuntimeError):
    """A job did not end well."""


class TaskError(JobError):
    """A task failed on every attempt. ``cause`` (also ``__cause__``) is the user's own exception if it could travel."""

    java_class = "org.apache.spark.api.python.PythonException"
    cause: BaseException | None = None

    def _render_traceback_(self) -> list[str]:
        """What IPython shows; it calls this. Our text ends in the task's traceback, so the cause would repeat it."""
        formatter = sys.modules["IPython"].get_ipython().InteractiveTB
        cause, self.__cause__ = self.__cause__, None
        try:
            lines: list[str] = formatter.structured_traceback(type(self), self, self.__traceback__)
            return lines
        finally:
            self.__cause__ = cause


class JobCancelledError(JobError):
    """The job was cancelled, or the context was stopped while it ran."""
