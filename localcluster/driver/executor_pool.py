"""The lives of executors as the driver sees them: ordered, starting, registered, draining, broken, replaced.

All under the driver's lock. Death is seen at once when a pipe ends or the process does; who is silent or stopped is
found by ``silence`` and ended by SIGKILL. Either way the executor is declared lost exactly once, by ``on_lost``, when
its process is dead: what it reported before counts, and nothing can come after, since its pipes are closed. Another one
is ordered while there are fewer than wanted (``replacements`` says when). Those that are too many drain: they get no
new tasks, and end when they have none. Does not know tasks or blocks; what else follows from a loss: `executor_loss`.
"""

from __future__ import annotations

import logging
import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import Future
from itertools import count
from typing import Any, NamedTuple

from localcluster.base.event_loop import EventLoop
from localcluster.base.shortage import shortage
from localcluster.driver.executor_history import ExecutorHistory
from localcluster.driver.executor_pipes import ExecutorPipes
from localcluster.driver.known_executor import Executor, State
from localcluster.driver.liveness import Liveness
from localcluster.driver.replacements import SOON, Replacements
from localcluster.driver.silence import SilenceWatch
from localcluster.launcher.client import LauncherClient
from localcluster.scheduler.statistics import ExecutorTasks
from protocol.channel_statistics import ChannelStatistics
from protocol.cluster_messages import (
    ExecutorExited,
    ExecutorLaunched,
    KillExecutor,
    LaunchExecutor,
    LaunchFailed,
    LaunchTasks,
    StopExecutor,
)
from protocol.endpoint import Incoming
from protocol.errors import BrokenChannelError, ChannelError, FrameError
from protocol.events import ExecutorAdded, ExecutorLost, ExecutorReplaced, Recorder, nobody
from protocol.locations import BlockManagerId
from protocol.message import Order
from protocol.message_table import MessageTable
from storage.block_manager_master import ASK_TIMEOUT

log = logging.getLogger(__name__)

EXIT_STATUS_WAIT = 2.0  # seconds between the end of an executor's pipes and giving up on its exit status
KILL_WAIT = 60.0  # seconds that the launcher may take to end an executor when told to


class ExecutorStatistics(NamedTuple):
    target: int  # that there should be
    alive: int  # that have registered
    starting: int
    draining: int
    ordered: int  # so far, replacements included
    lost: int  # so far, those that could not be started included


class ExecutorPool:
    """The executors of one context: ordered, watched, replaced, drained.

    ``on_message(executor_id, incoming)``, ``on_lost(executor_id, reason)``, ``on_draining(executor_id)`` and
    ``on_hopeless(reason)`` are the driver's. ``clock()`` is in seconds and never goes back. ``tasks_of(executor_id)``
    are an executor's, until ``on_lost`` was called. ``first_orders()`` it is told as soon as it can be reached.
    ``has_cached_blocks(executor_id)``: others drain first. ``fault_in(executor_id)`` is the rule of a plan that ended
    it, if one did. ``history`` is told who comes and goes.
    """

    def __init__(
        self,
        launcher: LauncherClient,
        loop: EventLoop,
        template: LaunchExecutor,
        on_message: Callable[[str, Incoming], None],
        on_lost: Callable[[str, str], None],
        on_draining: Callable[[str], None],
        on_hopeless: Callable[[str], None],
        silence: SilenceWatch,
        has_cached_blocks: Callable[[str], bool],
        clock: Callable[[], float] = time.monotonic,
        tasks_of: Callable[[str], ExecutorTasks] = lambda executor_id: ExecutorTasks(),
        history: ExecutorHistory | None = None,
        first_orders: Callable[[], Sequence[Order]] = tuple,
        record: Recorder = nobody,
        fault_in: Callable[[str], str | None] = lambda executor_id: None,
    ) -> None:
        self._launcher = launcher
        self._pipes = ExecutorPipes(launcher, loop, self._received, self._broken)
        self._template = template
        self._on_message = on_message
        self._on_lost = on_lost
        self._on_draining = on_draining
        self._on_hopeless = on_hopeless
        self._silence = silence
        self._has_cached_blocks = has_cached_blocks
        self._clock = clock
        self._tasks_of = tasks_of
        self.history = history or ExecutorHistory()
        self._first_orders = first_orders
        self._record = record
        self._fault_in = fault_in
        self._ids = count()
        self._target = 0  # executors that there should be
        self._ordered = self._losses = 0  # executors so far
        self._executors: dict[str, Executor] = {}
        self._replacements = Replacements()
        self._stopping = False
        self._handlers: MessageTable[Callable[[Any], None]] = MessageTable("the driver from the launcher")
        self._handlers.register(
            {ExecutorLaunched: self.launched, LaunchFailed: self.launch_failed, ExecutorExited: self.exited}
        )

    def __iter__(self) -> Iterator[Executor]:
        return iter(list(self._executors.values()))

    @property
    def executors(self) -> Mapping[str, Executor]:
        return self._executors

    def launcher_told(self, batch: list[Incoming]) -> None:
        for incoming in batch:
            handler = self._handlers.get(type(incoming.message))
            if handler is not None:
                handler(incoming.message)
            else:
                self._handlers.refuse(incoming)

    # --- how many ---

    @property
    def target(self) -> int:
        return self._target

    @property
    def slots(self) -> int:
        """Tasks that run at once when every executor is ready that there should be. Those that drain do not count."""
        return self._target * self._template.cores

    def set_target(self, executors: int) -> None:
        """Have so many executors from now on: order more, or drain some. One that drains is not taken back."""
        self._target = executors
        for _ in range(executors - self._expected):
            self._order()
        self._replacements.give_up(max(0, self._expected - executors))
        wanted = [executor for executor in self if executor.is_wanted]
        if len(wanted) > executors:
            wanted.sort(key=self._rank)
            for executor in wanted[executors:]:
                self._drain(executor)

    def _rank(self, executor: Executor) -> tuple[bool, bool]:
        """Those stay that work, of them those that have cached something, and of them the oldest."""
        works = executor.state is State.REGISTERED
        return not works, not (works and self._has_cached_blocks(executor.executor_id))

    @property
    def _expected(self) -> int:
        return sum(executor.is_wanted for executor in self) + len(self._replacements)

    def _drain(self, executor: Executor) -> None:
        executor.is_wanted = False
        if executor.state is State.REGISTERED:
            executor.state = State.DRAINING
            self._on_draining(executor.executor_id)

    def drained(self, executor_id: str) -> None:
        """A draining executor has nothing to do any more: it ends, and its blocks stay."""
        executor = self._executors.get(executor_id)  # None: it ended after the stop, of which the scheduler is not told
        if executor is not None and executor.state is State.DRAINING and not executor.was_dismissed:
            executor.was_dismissed = True
            executor.tell(StopExecutor())

    # --- starting ---

    def _order(self) -> str:
        """Have the launcher fork one more; its id."""
        executor_id = str(next(self._ids))
        self._ordered += 1
        self._executors[executor_id] = Executor(executor_id, ordered_at=self._clock())
        template = self._template
        self.tell_launcher(LaunchExecutor(executor_id, template.cores, template.conf, template.sys_path))
        return executor_id

    def _replace(self, now: float) -> None:
        """Order those whose time has come."""
        for lost in self._replacements.due(now):
            self._record(ExecutorReplaced(time.time(), lost, self._order()))

    def launched(self, message: ExecutorLaunched) -> None:
        executor = self._executors[message.executor_id]
        executor.pid = message.pid
        executor.state = State.STARTING
        self._silence.forget(executor.executor_id)  # that was the launcher's
        try:
            self._pipes.open(executor)
        except OSError as error:  # no descriptors left
            executor.short_of = shortage(error) or str(error)
            self.tell_launcher(KillExecutor(executor.executor_id, "it cannot be reached"))
            return
        executor.tell(*self._first_orders())
        if self._stopping:  # it was ordered before the stop, when there was no pipe to tell it by
            executor.tell(StopExecutor())

    def launch_failed(self, message: LaunchFailed) -> None:
        """So says the launcher of one that it could not fork, or an executor of itself, which ends then."""
        executor = self._executors[message.executor_id]
        executor.short_of = message.reason
        if executor.state is State.ORDERED:
            self._lost(executor, None, None)

    def registered(self, executor_id: str) -> None:
        executor = self._executors[executor_id]
        executor.state = State.REGISTERED
        executor.was_ready = True
        executor.ready_at = self._clock()
        self._replacements.registered()
        now = time.time()
        self._record(ExecutorAdded(now, executor_id, executor.pid))
        self.history.registered(executor_id, now)
        if not executor.is_wanted:
            self._drain(executor)

    def block_manager_id(self, executor_id: str) -> BlockManagerId:
        return BlockManagerId(executor_id, self._executors[executor_id].pid)

    # --- talking ---

    def send(self, executor_id: str, *orders: Order) -> None:
        """Raises ChannelError when there is no such executor (any more)."""
        executor = self._executor(executor_id)
        executor.reached.tell(*orders)
        if not executor.was_used and any(isinstance(order, LaunchTasks) for order in orders):
            executor.was_used = True
            self._replacements.settled()

    def ask(self, executor_id: str, order: Order) -> Future[Any]:
        return self._executor(executor_id).reached.ask_async(order, ASK_TIMEOUT)

    def _executor(self, executor_id: str) -> Executor:
        if executor_id not in self._executors:
            raise BrokenChannelError(f"executor {executor_id} is gone")
        return self._executors[executor_id]

    def _received(self, executor: Executor, batch: list[Incoming]) -> None:
        self._silence.heard(executor.executor_id)
        for incoming in batch:
            self._on_message(executor.executor_id, incoming)

    # --- ending ---

    def kill(self, executor_id: str, reason: str) -> None:
        """End an executor by force; it is declared lost when it is gone."""
        executor = self._executors.get(executor_id)
        if executor is not None and executor.doomed is None:
            executor.doomed, executor.doomed_at = reason, self._clock()
            log.warning("ending executor %s: %s", executor_id, reason)
            self.tell_launcher(KillExecutor(executor_id, reason))

    def exited(self, message: ExecutorExited) -> None:
        executor = self._executors.get(message.executor_id)
        if executor is not None:
            self._lost(executor, message.exit_code, message.signal, message.last_words)

    def watch(self, now: float) -> None:
        """End those that are stopped, or show no sign of life."""
        for executor, liveness, lacks in self._silence.check(self, self._launcher.pid, now):
            if executor.state is State.ORDERED:
                self._on_hopeless(f"the launcher (pid {self._launcher.pid}) forks no executor: {liveness.value}")
                continue
            end = self._pipes.read_the_rest(executor) if liveness is Liveness.GONE else None
            if isinstance(end, FrameError):  # it was told that it was not understood, and went
                self._broken(executor, end)
            self.kill(executor.executor_id, f"it {lacks} and {liveness.value}")
            if liveness is Liveness.GONE:
                executor.state, executor.broken_at = State.BROKEN, now  # whose launcher has not told of it

    def expire(self, now: float) -> None:
        """Overdue asks, lost messages, executors whose exit status does not come, and those whose order was put off."""
        for executor in self:
            for endpoint in executor.endpoints:
                endpoint.expire(now)
            if executor.state is State.BROKEN and now - executor.broken_at > EXIT_STATUS_WAIT:
                self.tell_launcher(KillExecutor(executor.executor_id, "its pipes ended"))
                self._lost(executor, None, None)
            elif executor.doomed is not None and now - executor.doomed_at > KILL_WAIT:
                self._on_hopeless(
                    f"the launcher (pid {self._launcher.pid}) does not end executor {executor.executor_id}"
                )
        if any(executor.state is State.REGISTERED and now - executor.ready_at > SOON for executor in self):
            self._replacements.settled()
        if not self._stopping:
            self._replace(now)

    def stop(self) -> None:
        """Tell all to end in good order; none is replaced from here on."""
        self._stopping = True
        self._replacements.clear()
        for executor in self:
            executor.tell(StopExecutor())

    def close(self) -> None:
        """Close all pipes; when no executor lives any more."""
        for executor in self:
            self._pipes.close(executor)
        self._executors.clear()

    def _broken(self, executor: Executor, end: ChannelError) -> None:
        if executor.state is not State.BROKEN:
            log.debug("executor %s: %s", executor.executor_id, end)
            executor.state = State.BROKEN
            executor.broken_at = self._clock()
            if isinstance(end, FrameError):  # it lives, and what it says cannot be understood
                self.kill(executor.executor_id, str(end))

    def _lost(self, executor: Executor, exit_code: int | None, signum: int | None, last_words: str = "") -> None:
        self._pipes.read_the_rest(executor)
        reason = executor.how_it_ended(exit_code, signum, last_words, self._fault_in(executor.executor_id))
        del self._executors[executor.executor_id]
        self._pipes.close(executor)
        self._silence.forget(executor.executor_id)
        if self._stopping:
            return
        self._losses += not executor.was_dismissed
        is_no_news = executor.was_dismissed or (executor.short_of and self._replacements.is_short)
        log.log(logging.DEBUG if is_no_news else logging.WARNING, "%s", reason)
        now, tasks = time.time(), self._tasks_of(executor.executor_id)
        self.history.ended(executor.executor_id, executor.pid, now, reason, tasks)
        if not executor.was_dismissed:
            self._record(ExecutorLost(now, executor.executor_id, reason, signum, exit_code, tasks.running))
        self._on_lost(executor.executor_id, reason)
        if executor.is_wanted:
            self._make_up_for(executor, reason, self._clock())

    def _make_up_for(self, executor: Executor, reason: str, now: float) -> None:
        others_work = any(other.state is State.REGISTERED for other in self)
        hopeless = self._replacements.lost(executor, reason, others_work, now)
        if hopeless is None:
            self._replace(now)
        else:
            self._on_hopeless(hopeless)

    def tell_launcher(self, order: Order) -> None:
        try:
            self._launcher.tell(order)
        except ChannelError as error:
            log.debug("%s did not reach the launcher, whose end breaks the cluster: %s", type(order).__name__, error)

    # --- audit ---

    def statistics(self) -> ExecutorStatistics:
        states = Counter(executor.state for executor in self)
        return ExecutorStatistics(
            target=self._target,
            alive=states[State.REGISTERED],
            starting=states[State.ORDERED] + states[State.STARTING],
            draining=states[State.DRAINING],
            ordered=self._ordered,
            lost=self._losses,
        )

    def messages(self) -> ChannelStatistics:
        """Of the pipes to all executors so far."""
        return self._pipes.statistics(self)
