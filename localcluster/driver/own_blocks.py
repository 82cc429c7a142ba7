"""The driver's own block manager, and the blocks that it puts and removes for everybody.

Any thread may ask. None waits while it holds the driver's lock: to put a block may mean to wait for room, to remove one
to wait for executors.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from itertools import count
from typing import Any

from localcluster.conf.settings import Settings
from localcluster.driver.block_master import BlockMaster
from localcluster.task.env import Env, set_env
from localcluster.task.make_env import make_env
from protocol.block_messages import DropUnusedBlocks, RemoveBroadcast, RemoveRdd
from protocol.errors import ContextError
from protocol.locations import DRIVER
from protocol.message import Message, Report
from storage.block_id import BroadcastBlockId
from storage.block_manager_slave_endpoint import BlockManagerSlaveEndpoint
from storage.block_store import BytesLike
from storage.scratch import Scratch


class OwnBlocks:
    """Blocks that the driver makes for itself and for programs.

    ``may_wait()``: not in the event loop, where a finalizer of the user's may run. ``closed`` is for the owner to
    set: nothing is removed any more, since all goes.
    """

    def __init__(self, master: BlockMaster, may_wait: Callable[[], bool]) -> None:
        self.closed = False
        self._master = master
        self._may_wait = may_wait
        self._env: Env | None = None
        self._env_before: Env | None = None  # an executor's own, when a task made the context
        self._broadcast_ids = count()

    def start(self, conf: Mapping[str, str], scratch: Scratch) -> None:
        env = make_env(DRIVER, conf, Settings(conf).driver_memory, self._master, scratch, _no_tasks_here)
        self._master.slave = BlockManagerSlaveEndpoint(env.block_manager)
        env.block_manager.register()
        self._env_before = set_env(env)
        self._env = env

    def stop(self) -> None:
        """Without the lock: its threads may be waiting for it."""
        if self._env is not None:
            self._env.block_manager.stop()
            set_env(self._env_before)

    @property
    def env(self) -> Env:
        assert self._env is not None
        return self._env

    @property
    def started(self) -> bool:
        return self._env is not None

    def flush_leases(self) -> None:
        """The driver has no reports on which its releases could ride along."""
        if self._env is not None and not self.closed:
            self._env.block_manager.flush_lease_releases()

    # --- putting and removing ---

    def next_broadcast_id(self) -> int:
        return next(self._broadcast_ids)

    def put_broadcast(self, what: str, *chunks: BytesLike) -> BroadcastBlockId:
        """Store bytes that executors will read by block id, ``broadcast_N_what``, until `remove_broadcast`."""
        block_id = BroadcastBlockId(self.next_broadcast_id(), what)
        # Not records: they may be all that the program works on, and would be in memory twice.
        self.env.block_manager.put_shared(block_id, chunks, keep=what != "data")
        return block_id

    def remove_broadcast(self, broadcast_id: int, remove_from_driver: bool = True, blocking: bool = False) -> None:
        self.remove(RemoveBroadcast(broadcast_id, remove_from_driver), blocking)

    def remove_rdd(self, rdd_id: int, blocking: bool = False) -> None:
        self.remove(RemoveRdd(rdd_id), blocking)

    def drop_unused(self, unused_for: float, spared_rdds: frozenset[int]) -> None:
        """Drop what no process has used for so many seconds."""
        self._master.tell(DropUnusedBlocks(unused_for, spared_rdds))

    def remove(self, message: Report, blocking: bool) -> None:
        if self.closed:
            return
        if blocking and self._may_wait():
            self._master.ask(message)
        else:
            self._master.tell(message)


def _no_tasks_here(message: Message) -> Any:
    raise ContextError("shuffles are read by tasks, not by the driver")
