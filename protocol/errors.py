"""The error family of the whole project: one root, a branch for each layer.

Covers every exception that this project raises on purpose. `localcluster.errors` re-exports them all. Does not cover
what a user's own code raises: that travels as the ``cause`` of a `TaskError`.
"""

from __future__ import annotations


class LocalClusterError(Exception):
    """Root of the family: ``except LocalClusterError`` catches whatever this project raises."""


# --- channels --------------------------------------------------------------------------------------------------------


class ChannelError(LocalClusterError):
    """A message could not be sent or received."""


class ClosedChannelError(ChannelError):
    """This side closed the channel and then used it."""


class BrokenChannelError(ChannelError):
    """The peer died, or the system broke the channel: no clean goodbye was seen."""


class EndOfChannel(ChannelError):
    """The peer closed the channel cleanly and everything it sent has been received."""


class FrameError(ChannelError):
    """A frame was garbled, truncated, oversized or of another version. The channel is unusable from then on."""


class AskTimeoutError(ChannelError, TimeoutError):
    """No answer came before the ask's deadline. A late answer is dropped."""


class RemoteAskError(ChannelError):
    """The peer's handler raised while it answered an ask. ``__cause__`` is its exception where that could travel."""


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


class SerializationError(LocalClusterError):
    """A closure, a record or a result could not be pickled or unpickled. The message names the object."""


class DeserializationError(SerializationError):
    """What was pickled well cannot be unpickled in the process that has to; in another one it may."""


# --- configuration and command line ----------------------------------------------------------------------------------


class ConfigurationError(LocalClusterError, ValueError):
    """A configuration value is not accepted. The message names key, value and what is accepted."""


# --- jobs ------------------------------------------------------------------------------------------------------------


class ContextError(LocalClusterError, RuntimeError):
    """The context is stopped, or is used where there is none (inside a task)."""


class ClusterError(LocalClusterError):
    """The launcher or the driver's own machinery failed; no job can run in this context any more."""


class FetchFailedError(LocalClusterError):
    """A reducer could not read a map output. The scheduler computes it again; users see this only when that fails."""

    def __init__(self, shuffle_id: int, map_index: int, reason: str) -> None:
        super().__init__(f"output {map_index} of shuffle {shuffle_id} cannot be read: {reason}")
        self.shuffle_id = shuffle_id
        self.map_index = map_index
        self.reason = reason

    def __reduce__(self) -> tuple[type[FetchFailedError], tuple[int, int, str]]:
        return FetchFailedError, (self.shuffle_id, self.map_index, self.reason)


class TaskKilledError(LocalClusterError):
    """A task was told to stop (its job was cancelled, or another attempt won)."""


class RDDError(LocalClusterError, RuntimeError):
    """The RDD API was used as it does not allow: an RDD inside a task, StopIteration out of a user's function.

    The message begins with the name of PySpark's error condition in brackets where PySpark has one.
    """


class JobError(LocalClusterError, RuntimeError):
    """A job did not end well."""


class TaskError(JobError):
    """A task failed on every attempt. ``cause`` (also ``__cause__``) is the user's own exception if it could travel."""

    cause: BaseException | None = None


class JobCancelledError(JobError):
    """The job was cancelled, or the context was stopped while it ran."""
