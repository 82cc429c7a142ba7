"""Block orders, carried out beside the thread that takes orders: to copy or remove a large block may take long, and
kills and new tasks must not wait for that. Spark's ``BlockManagerSlaveEndpoint.doAsync``.

What the orders do is the business of `storage.block_manager_slave_endpoint`.
"""

from __future__ import annotations

import contextlib
import logging
from concurrent.futures import ThreadPoolExecutor
from typing import Any

from localcluster.task import broadcast
from localcluster.task.env import Env
from protocol.block_messages import ExtentReleased, ReleaseSegment, RemoveBroadcast, RemoveShuffle, TakeUses
from protocol.endpoint import Incoming
from protocol.errors import ChannelError
from storage.block_manager_slave_endpoint import BlockManagerSlaveEndpoint

log = logging.getLogger(__name__)

AT_ONCE = 4  # orders; one that waits for a block which a task is writing does not hold up the others
_QUICK = (ExtentReleased, ReleaseSegment)  # told often, and not worth a hand-over


class BlockOrders:
    """Threads start as they are needed."""

    def __init__(self, env: Env) -> None:
        self._env = env
        self._slave = BlockManagerSlaveEndpoint(env.block_manager)
        self._threads = ThreadPoolExecutor(AT_ONCE, "block-orders")
        self._stopped = False

    def obey(self, incoming: Incoming) -> None:
        """Carry an order out, now or soon. Never raises and never waits."""
        if isinstance(incoming.message, _QUICK):
            self._carry_out(incoming)
        else:
            with contextlib.suppress(RuntimeError):  # it was stopped
                self._threads.submit(self._carry_out, incoming)

    def stop(self) -> None:
        """Give up what has not begun, and do not wait for the rest: the executor ends, and all blocks with it."""
        self._stopped = True
        self._threads.shutdown(wait=False, cancel_futures=True)

    def _carry_out(self, incoming: Incoming) -> None:
        reply = incoming.reply
        try:
            try:
                answer = self._perform(incoming.message)
            except BaseException as error:  # of a user's own block store, say
                name = type(incoming.message).__name__
                log.log(logging.DEBUG if self._stopped else logging.WARNING, "%s failed", name, exc_info=True)
                if reply is not None:
                    reply.error(error)
            else:
                if reply is not None:
                    reply(answer)
        except ChannelError as gone:
            log.debug("the driver is gone: %s", gone)

    def _perform(self, order: Any) -> Any:
        if isinstance(order, RemoveBroadcast):
            broadcast.forget(order.broadcast_id)
        elif isinstance(order, RemoveShuffle):
            self._env.shuffle_manager.outputs.forget(order.shuffle_id)
        elif isinstance(order, TakeUses):
            broadcast.note_uses(self._env.block_manager)
        return self._slave.receive(order)
