"""Block orders, carried out beside the thread that takes orders: to copy or remove a large block may take long, and
kills and new tasks must not wait for that. Spark's ``BlockManagerSlaveEndpoint.doAsync``.

What the orders do is the business of `storage.block_manager_slave_endpoint`.
"""

from __future__ import annotations

import contextlib
import logging
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any, TypeAlias

from localcluster.task import broadcast
from localcluster.task.env import Env
from protocol.block_messages import (
    ExtentReleased,
    ReleaseSegment,
    RemoveBroadcast,
    RemoveShuffle,
    StopBlockManager,
    TakeUses,
)
from protocol.endpoint import Incoming
from protocol.errors import ChannelError, LocalClusterError
from protocol.message import Message
from storage.block_manager_slave_endpoint import BlockManagerSlaveEndpoint

log = logging.getLogger(__name__)

AT_ONCE = 4  # orders; one that waits for a block which a task is writing does not hold up the others
_QUICK = (ExtentReleased, ReleaseSegment)  # told often, and not worth a hand-over

OrderHandler: TypeAlias = Callable[[Incoming], None]


class BlockOrders:
    """The block master's orders to this executor.

    ``handlers`` carry orders out, now or soon; they never raise and never wait. Threads start as they are needed.
    """

    def __init__(self, env: Env) -> None:
        self._slave = BlockManagerSlaveEndpoint(env.block_manager)
        mine = [order for order in self._slave.orders if order is not StopBlockManager]  # which is the executor's end
        self.handlers: dict[type[Message], OrderHandler] = dict.fromkeys(mine, self._hand_over)
        self.handlers.update(dict.fromkeys(_QUICK, self._carry_out))
        # What this process keeps beside its block manager has to hear of some orders before that does.
        self._first: dict[type[Message], Callable[[Any], None]] = {
            RemoveBroadcast: lambda order: broadcast.forget(order.broadcast_id),
            RemoveShuffle: lambda order: env.shuffle_manager.outputs.forget(order.shuffle_id),
            TakeUses: lambda order: broadcast.note_uses(env.block_manager),
        }
        self._threads = ThreadPoolExecutor(AT_ONCE, "block-orders")
        self._stopped = False

    def _hand_over(self, incoming: Incoming) -> None:
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
            except ChannelError:  # the block master's end, or the driver's
                raise
            except BaseException as error:  # of a user's own block store, say
                name, is_ours = type(incoming.message).__name__, isinstance(error, LocalClusterError)
                level = logging.DEBUG if self._stopped else logging.WARNING
                log.log(level, "%s failed: %s", name, error, exc_info=not is_ours)
                if reply is not None:
                    reply.error(error)
            else:
                if reply is not None:
                    reply(answer)
        except ChannelError as gone:
            log.debug("the driver is gone: %s", gone)

    def _perform(self, order: Any) -> Any:
        first = self._first.get(type(order))
        if first is not None:
            first(order)
        return self._slave.receive(order)
