"""A stage as an executor holds it: its description, and the lineage and action that its tasks run."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.executor.stateless import is_stateless
from localcluster.rdd.lineage import load_lineage
from localcluster.shuffle.payload import read_payload
from protocol.cluster_messages import StageDescription
from protocol.errors import DeserializationError

if TYPE_CHECKING:
    from storage.block_manager import BlockManager


class StageCode:
    """What the tasks of one stage run, unpickled when it is needed.

    Thread-safe: at worst two threads fetch or unpickle at once.
    """

    def __init__(self, description: StageDescription, blocks: BlockManager) -> None:
        self.description = description
        self._blocks = blocks
        self._binary: bytes | memoryview | None = None  # not fetched yet
        self._shared: tuple[Any, Any] | None = None
        self._may_share: bool | None = None  # None: not looked at yet
        self._loaded_before = False

    def load(self) -> tuple[Any, Any]:
        """RDD and action: the same for all tasks if they hold no state, else new ones. In a task's thread, since
        accumulators register with the task, and a large binary is fetched first.

        Raises DeserializationError, BlockNotFoundError when the job is over, and what asking the driver raises.
        """
        if self._shared is not None:
            return self._shared
        if self._binary is None:
            self._binary = read_payload(self._blocks, self.description.binary)
        try:
            loaded = load_lineage(self._binary)
        except Exception as error:
            missing = "; executors import from the driver's import path, and what addPyFile and --py-files gave them"
            advice = missing if isinstance(error, ModuleNotFoundError) else ""
            raise DeserializationError(
                f"the task's function cannot be unpickled in the executor: {error!r}{advice}"
            ) from error
        # Looked at for the second task: a stage that has only one here need not pay for it.
        if self._loaded_before and self._may_share is None:
            self._may_share = is_stateless(*loaded)
            self._shared = loaded if self._may_share else None
        self._loaded_before = True
        return loaded
