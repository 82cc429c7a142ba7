"""`ExecutorPipes`: the driver's ends of the pipes to its executors, from their arrival to their end.

Under the driver's lock; the event loop reads them. Does not know what messages mean, or what follows from the end of a
pipe (``executor_pool``).
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Iterable
from functools import partial

from localcluster.base.event_loop import EventLoop
from localcluster.driver.known_executor import Executor
from localcluster.launcher.client import LauncherClient
from protocol.channel_statistics import ChannelStatistics
from protocol.endpoint import Incoming
from protocol.errors import ChannelError

log = logging.getLogger(__name__)


class ExecutorPipes:
    """``on_messages(executor, batch)`` and ``on_end(executor, end)`` are the owner's."""

    def __init__(
        self,
        launcher: LauncherClient,
        loop: EventLoop,
        on_messages: Callable[[Executor, list[Incoming]], None],
        on_end: Callable[[Executor, ChannelError], None],
    ) -> None:
        self._launcher = launcher
        self._loop = loop
        self._on_messages = on_messages
        self._on_end = on_end
        self._closed = ChannelStatistics()  # of those that are closed

    def open(self, executor: Executor) -> None:
        """Take those that the launcher has sent, and have them read. Raises OSError when no descriptors are left."""
        executor.orders, executor.reports = self._launcher.receive_pipes(executor.executor_id)
        for endpoint in executor.endpoints:
            self._loop.add(endpoint, partial(self._on_messages, executor), partial(self._on_end, executor))

    def read_the_rest(self, executor: Executor) -> ChannelError | None:
        """What it reported before it died counts: its exit may be heard of before its pipe was read. How that ended."""
        if executor.reports is None:
            return None
        try:
            while batch := executor.reports.receive_ready():
                self._on_messages(executor, batch)
        except ChannelError as end:
            log.debug("executor %s: %s", executor.executor_id, end)
            return end
        return None

    def close(self, executor: Executor) -> None:
        for endpoint in executor.endpoints:
            self._loop.remove(endpoint)
            self._closed += endpoint.channel.statistics()
            endpoint.abort()

    def statistics(self, executors: Iterable[Executor]) -> ChannelStatistics:
        """Of all pipes so far, given the executors that have some now."""
        return sum((end.channel.statistics() for executor in executors for end in executor.endpoints), self._closed)
