"""Several block managers and one block master in a single process: storage alone, and its tests.

Covers delivering messages by plain calls, and the mishaps that tests want: a block manager that dies, messages that
are lost, a slave that the master has forgotten. The runtime's driver does the same over pipes; both use
`storage.outcome.settle`.

Each order runs in the thread of whoever asked the master, never under the master's lock; so a slave may ask the
master while it carries out an order.
"""

from __future__ import annotations

import threading
from concurrent.futures import Future
from typing import Any

from protocol.block_messages import BlockManagerHeartbeat, ExpireDeadHosts, RemoveExecutor
from protocol.errors import AskTimeoutError, BrokenChannelError
from protocol.events import Recorder, nobody
from protocol.forks import free_in_forks
from protocol.hook import Hook, Passing, Way
from protocol.locations import DRIVER
from protocol.message import Message, Order, Report
from protocol.wire import Kind
from storage.block_manager import BlockManager
from storage.block_manager_master import ASK_TIMEOUT, BlockManagerMaster
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from storage.block_manager_slave_endpoint import BlockManagerSlaveEndpoint
from storage.conf import StorageConf
from storage.outcome import Outcome, settle
from storage.scratch import Scratch

SLAVE_TIMEOUT = 120.0  # seconds of the local clock


class LocalTransport:
    """One block manager's way to the master; see `storage.block_manager_master.Transport`."""

    def __init__(self, cluster: LocalCluster, sender: str) -> None:
        self._cluster = cluster
        self._sender = sender

    def ask(self, message: Report, timeout: float = ASK_TIMEOUT) -> Any:
        if self._cluster.is_lost(self._sender, Way.OUT, Kind.ASK, message):
            raise AskTimeoutError(f"{type(message).__name__} of {self._sender} was lost")
        return self._cluster.deliver(self._sender, message).result(timeout)

    def tell(self, *messages: Report) -> None:
        for message in messages:
            if not self._cluster.is_lost(self._sender, Way.OUT, Kind.TELL, message):
                self._cluster.deliver(self._sender, message)


class LocalCluster:
    """Block managers and their master in one process, without pipes; for programs that use `storage` alone.

    A driver's block manager from the start, executors' as they are added. Thread-safe. `stop` ends all of them.

    ``now`` is the master's clock in seconds: it stands still unless it is set. ``hook`` sees the messages of every
    block manager, as an endpoint's would on its side: the executor id stands for the channel, answers do not pass.
    ``record`` is the master's.
    """

    def __init__(self, conf: StorageConf, scratch: Scratch, record: Recorder = nobody) -> None:
        self.endpoint = BlockManagerMasterEndpoint(conf.shared_memory, SLAVE_TIMEOUT, record=record)
        self.now = 0.0
        self.hook: Hook | None = None
        self._conf = conf
        self._scratch = scratch
        self._lock = free_in_forks(threading.RLock())  # guards the endpoint
        self._slaves: dict[str, BlockManagerSlaveEndpoint] = {}
        self._managers: dict[str, BlockManager] = {}
        self.driver = self.add(DRIVER)

    def add(self, executor_id: str, conf: StorageConf | None = None) -> BlockManager:
        """Start and register a block manager."""
        master = BlockManagerMaster(LocalTransport(self, executor_id))
        manager = BlockManager(executor_id, master, conf or self._conf, self._scratch)
        self._managers[executor_id] = manager
        self._slaves[executor_id] = BlockManagerSlaveEndpoint(manager)
        manager.register()
        return manager

    @property
    def managers(self) -> dict[str, BlockManager]:
        """{executor id: its living block manager}, the driver's too."""
        return dict(self._managers)

    def take_out(self, executor_id: str) -> BlockManager:
        """No message reaches the block manager any more; the master is not told."""
        del self._slaves[executor_id]
        return self._managers.pop(executor_id)

    def kill(self, executor_id: str) -> None:
        """The process dies: its heap is lost, its segments and files stay, the master hears of it."""
        self.take_out(executor_id).abandon()
        self.deliver(DRIVER, RemoveExecutor(executor_id)).result(ASK_TIMEOUT)

    def forget(self, executor_id: str) -> None:
        """The master takes a living slave for silent and drops it."""
        self.now += 2 * SLAVE_TIMEOUT
        for other, manager in self._managers.items():
            if other != executor_id:
                self.deliver(other, BlockManagerHeartbeat(manager.id)).result(ASK_TIMEOUT)
        self.deliver(DRIVER, ExpireDeadHosts()).result(ASK_TIMEOUT)

    def stop(self) -> None:
        """Stop every block manager; segments and files go."""
        for manager in self._managers.values():
            manager.stop()
        self._managers.clear()
        self._slaves.clear()

    def check(self) -> None:
        """Audit the master and every block manager. Raises AssertionError."""
        with self._lock:
            self.endpoint.check()
        for manager in self._managers.values():
            manager.check()

    # --- delivery -----------------------------------------------------------------------------------------------------

    def deliver(self, sender: str, message: Message) -> Future[Any]:
        """Have the master handle the message and carry out what follows; the future is done."""
        with self._lock:
            outcome = self._guarded(self.endpoint.receive(sender, message, self.now))
        return settle(outcome, self._tell, self._ask)

    def is_lost(self, executor_id: str, way: Way, kind: Kind, message: Message) -> bool:
        return self.hook is not None and bool(self.hook(Passing(executor_id, way, kind, 0, message)))

    def _guarded(self, outcome: Outcome) -> Outcome:
        """The outcome, with the lock taken for what the endpoint does when the answers are in."""
        combine = outcome.combine
        if combine is not None:

            def guarded(answers: list[Any]) -> Outcome:
                with self._lock:
                    return self._guarded(combine(answers))

            outcome.combine = guarded
        if outcome.background is not None:
            outcome.background = self._guarded(outcome.background)
        return outcome

    def _tell(self, executor_id: str, order: Order) -> None:
        slave = self._slaves.get(executor_id)
        if slave is not None and not self.is_lost(executor_id, Way.IN, Kind.TELL, order):
            slave.receive(order)

    def _ask(self, executor_id: str, order: Order) -> Future[Any]:
        slave = self._slaves.get(executor_id)
        if slave is None:
            return _failed(BrokenChannelError(f"{executor_id} is dead"))
        if self.is_lost(executor_id, Way.IN, Kind.ASK, order):
            return _failed(AskTimeoutError(f"{type(order).__name__} to {executor_id} was lost"))
        answer: Future[Any] = Future()
        try:
            answer.set_result(slave.receive(order))
        except Exception as error:
            answer.set_exception(error)
        return answer


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
