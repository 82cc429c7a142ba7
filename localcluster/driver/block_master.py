"""The block master in its process, the driver's or another server's: its state machine, wired to the pipes.

Covers handling a message under the owner's lock, sending what follows from it, and the process's own block manager,
which is a slave like any other but in the same process. What the messages do is decided in ``storage``.
"""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Sequence
from concurrent.futures import Future
from concurrent.futures import TimeoutError as FutureTimeoutError
from contextlib import AbstractContextManager
from typing import Any

from localcluster.base.side_thread import SideThread
from protocol.block_messages import GetLocationsMultipleBlockIds
from protocol.endpoint import Reply
from protocol.errors import AskTimeoutError, BlockMasterStoppedError, BrokenChannelError, ChannelError
from protocol.locations import BlockManagerId, Location
from protocol.message import Message, Order, Report
from storage.block_id import BlockId
from storage.block_manager_master import ASK_TIMEOUT
from storage.block_manager_master_endpoint import BlockManagerMasterEndpoint
from storage.block_manager_slave_endpoint import BlockManagerSlaveEndpoint
from storage.outcome import settle

log = logging.getLogger(__name__)


class BlockMaster:
    """The block master in its process: a `BlockManagerMasterEndpoint`, its owner's lock, and its messages.

    Also the transport of the process's own block manager (`ask`, `tell`), whose executor id is the endpoint's
    ``own_id``.

    ``send(executor_id, order)`` and ``ask_executor(executor_id, order)`` reach living executors and raise
    ChannelError for others. ``slave`` is set once the own block manager exists.
    """

    def __init__(
        self,
        endpoint: BlockManagerMasterEndpoint,
        lock: AbstractContextManager[object],
        side: SideThread,
        send: Callable[[str, Order], None],
        ask_executor: Callable[[str, Order], Future[Any]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self.endpoint = endpoint
        self.own_id = endpoint.own_id
        self.slave: BlockManagerSlaveEndpoint | None = None
        self.lock = lock
        self._side = side
        self._send = send
        self._ask_executor = ask_executor
        self._clock = clock

    def receive(self, sender: str, message: Message) -> Future[Any]:
        """Handle a message and do what follows; the future is the answer, or after the stop a BlockMasterStoppedError.
        Under the lock.
        """
        try:
            outcome = self.endpoint.receive(sender, message, self._clock())
        except BlockMasterStoppedError as error:
            return _failed(error)
        return settle(outcome, self._tell_slave, self._ask_slave)

    def locations_of(self, block_ids: Sequence[BlockId]) -> Sequence[Sequence[tuple[BlockManagerId, Location]]]:
        """Who holds each block, for the scheduler. Under the lock."""
        holders: tuple[Any, ...] = self.receive(self.own_id, GetLocationsMultipleBlockIds(tuple(block_ids))).result(0)
        return holders

    def serve(self, sender: str, message: Message, reply: Reply | None) -> None:
        """Handle an executor's message and answer it. Under the lock."""
        try:
            answer = self.receive(sender, message)
        except Exception as error:
            log.warning("%s of %s failed", type(message).__name__, sender, exc_info=True)
            answer = Future()
            answer.set_exception(error)
        if reply is not None:
            answer.add_done_callback(lambda done: respond(reply, done))

    # --- the transport of the own block manager --------------------------------------------------------------------

    def ask(self, message: Report, timeout: float = ASK_TIMEOUT) -> Any:
        """From any thread but the event loop's, without holding the lock while the answer is awaited.

        Raises AskTimeoutError, and what handling the message raises.
        """
        with self.lock:
            answer = self.receive(self.own_id, message)
        try:
            return answer.result(timeout)
        except FutureTimeoutError as error:
            if answer.done():  # the answer is an error of this kind
                raise
            raise AskTimeoutError(f"{type(message).__name__}: no answer within {timeout} s") from error

    def tell(self, *messages: Report) -> None:
        with self.lock:
            for message in messages:
                self.receive(self.own_id, message)

    # --- slaves ------------------------------------------------------------------------------------------------------

    def _tell_slave(self, executor_id: str, order: Order) -> None:
        if executor_id == self.own_id:
            self._side.submit(lambda: self._obey(order))
            return
        try:
            self._send(executor_id, order)
        except ChannelError as error:
            log.debug("%s did not reach %s: %s", type(order).__name__, executor_id, error)

    def _ask_slave(self, executor_id: str, order: Order) -> Future[Any]:
        if executor_id != self.own_id:
            try:
                return self._ask_executor(executor_id, order)
            except ChannelError as error:
                return _failed(error)
        answer: Future[Any] = Future()

        def obey() -> None:
            try:
                result = self._obey(order)
            except Exception as error:
                with self.lock:  # what waits for the answer continues in this thread
                    answer.set_exception(error)
            else:
                with self.lock:
                    answer.set_result(result)

        self._side.submit(obey)
        return answer

    def _obey(self, order: Order) -> Any:
        if self.slave is None:
            raise BrokenChannelError(f"the block manager of {self.own_id} has not started")
        return self.slave.receive(order)


def respond(reply: Reply, done: Future[Any]) -> None:
    """Send a finished future's outcome as an ask's answer; the asker may be dead by now."""
    error = done.exception()
    try:
        if error is None:
            reply(done.result())
        else:
            reply.error(error)
    except ChannelError as gone:
        log.debug("an answer did not arrive: %s", gone)


def _failed(error: Exception) -> Future[Any]:
    future: Future[Any] = Future()
    future.set_exception(error)
    return future
