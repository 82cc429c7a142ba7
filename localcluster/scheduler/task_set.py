"""The tasks of one attempt of one stage: which are pending, where they would like to run, how often they failed.

A plain state machine: no clock (``now`` in seconds is passed in), no pipes. Covers locality preference with a wait,
retry counting, the measured task time, and copies of stragglers, of which whichever ends first counts. Does not choose
between task sets (``task_scheduler``), nor what is a straggler (``speculation``). Follows Spark's ``TaskSetManager``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Collection, Container, Mapping, Sequence

from localcluster.scheduler.barrier_attempt import BarrierAttempt
from localcluster.scheduler.running_task import RunningTask
from localcluster.scheduler.stage import Missing, Stage
from localcluster.scheduler.task_set_excludelist import TaskSetExcludelist
from protocol.events import TaskRef
from storage.block_id import BlockId


class TaskSet:
    """The tasks of one attempt at a stage. Tasks are named by their position in ``stage.partitions``.

    ``preferred`` maps positions to executor ids; ``alive`` are the executors that live, at any time. ``missing`` tells
    which blocks a position's task would compute and keep; None: none of any position. ``barrier`` is there when all
    tasks must be launched together.
    """

    def __init__(
        self,
        key: int,
        stage: Stage,
        positions: Sequence[int],
        preferred: Mapping[int, Sequence[str]],
        alive: Container[str],
        priority: tuple[int, int],
        pool: str,
        properties: Mapping[str, str],
        max_failures: int,
        max_losses: int,
        created: float,
        barrier: BarrierAttempt | None = None,
        missing: Missing | None = None,
    ) -> None:
        self.key = key
        self.stage = stage
        self.attempt = stage.attempt
        self.created = created  # seconds, monotonic
        self.tasks = len(positions)
        self.priority = priority
        self.barrier = barrier
        self.pool = pool
        self.properties = properties
        self.running: dict[int, RunningTask] = {}  # {task id: task}
        self.failed_tasks = 0  # that ended in an error or with their executor, whether that counts against them or not
        self.failures: dict[int, int] = {}  # {position: attempts that count against it}
        self._losses: dict[int, int] = {}  # {position: those of them that ended with their executor}
        self.mean_time: float | None = None  # seconds, moving average
        self.durations: list[float] | None = None  # seconds, of the tasks that succeeded; None: no straggler is copied
        self.excludelist: TaskSetExcludelist | None = None  # None: what fails somewhere may be tried there again
        self.copies_wanted: dict[int, str] = {}  # {position: id of the executor where a straggler runs}
        self._copied: set[int] = set()  # positions of which two tasks are at executors, or were when one succeeded
        self.missing = missing
        self.in_vain: set[BlockId] = set()  # that a task computed and did not keep: see `block_claims`
        self._max_failures = max_failures
        self._max_losses = max_losses
        self._attempts: dict[int, int] = {}  # {position: attempts launched so far}
        self._preferred = preferred
        self._alive = alive
        self._unfinished: set[int] = set(positions)
        self._waiting: set[int] = set()  # unfinished, neither running nor parked
        self._parked: set[int] = set()  # unfinished, and kept back until another task has computed a block
        self._suspects: set[int] = set()  # unfinished, and were at an executor when it died
        # Queues of waiting positions. A position may stand in several of them, and be launched from another one or
        # finished meanwhile: `_waiting` tells which entries are still good.
        self._free: deque[int] = deque()  # no home lives
        self._constrained: deque[int] = deque()  # some home lives
        self._homes: dict[str, deque[int]] = {}  # {executor id: positions that prefer it}
        self._last_local = created  # when a task was last launched at its home
        for position in positions:
            self._enqueue(position)

    # --- queries ---

    @property
    def pending(self) -> int:
        """How many tasks wait to be launched."""
        return len(self._waiting)

    @property
    def unfinished(self) -> int:
        """How many tasks have not succeeded yet."""
        return len(self._unfinished)

    @property
    def is_finished(self) -> bool:
        return not self._unfinished

    @property
    def one_at_a_time(self) -> bool:
        """Whether a task of this set may be what killed an executor. Then executors get one task per core, so that
        the next death has one suspect per core, until each suspect has succeeded."""
        return bool(self._suspects)

    def exhausted(self, position: int) -> bool:
        """Whether the position has failed too often, by itself or with its executors."""
        losses = self._losses.get(position, 0)
        return losses >= self._max_losses or self.failures.get(position, 0) - losses >= self._max_failures

    def ref(self, task: RunningTask) -> TaskRef:
        """How events name a task of this set."""
        return TaskRef(self.stage.id, self.attempt, self.stage.partitions[task.position], task.attempt)

    def may_be_copied(self, position: int) -> bool:
        """Whether a copy of a position that runs may be started."""
        is_copied = position in self._copied or position in self.copies_wanted
        return self.durations is not None and position in self._unfinished and not is_copied

    # --- launching ---

    def take(self, executor_id: str, now: float, wait: float) -> int | None:
        """The next position to run on this executor, or None. Prefers tasks that asked for it.

        A task that prefers other executors is given only when none was launched at its home for ``wait`` seconds.
        """
        barred: Collection[int] = ()
        if self.excludelist is not None:
            if executor_id in self.excludelist.executors:
                return None
            barred = self.excludelist.barred_from(executor_id)
        if self._homes:
            position = self._pop(self._homes.get(executor_id), barred)
            if position is not None:
                self._last_local = now
                return position
        position = self._pop(self._free, barred)
        if position is None and self._constrained and now - self._last_local >= wait:
            position = self._pop(self._constrained, barred)
        return position

    def take_copy(self, executor_id: str) -> int | None:
        """The position of a straggler that is to run on this executor as well, or None."""
        for position, straggler_at in self.copies_wanted.items():
            if straggler_at != executor_id and not self._bars(position, executor_id):
                del self.copies_wanted[position]
                self._copied.add(position)
                return position
        return None

    def launched(self, task_id: int, position: int, executor_id: str, started: float | None = None) -> int:
        """Note the launch of a position that `take` or `take_copy` gave; the number of the attempt. ``started`` is in
        seconds; None: it is queued behind others.
        """
        attempt = self._attempts.get(position, 0)
        self._attempts[position] = attempt + 1
        self.running[task_id] = RunningTask(task_id, position, attempt, executor_id, started)
        return attempt

    def _bars(self, position: int, executor_id: str) -> bool:
        failed = self.excludelist
        return failed is not None and (executor_id in failed.executors or position in failed.barred_from(executor_id))

    def stranded(self, usable: Sequence[str]) -> int | None:
        """A waiting position that may run on none of these executors, since it or others failed there, if any."""
        return None if self.excludelist is None else self.excludelist.stranded(self._waiting, usable)

    def park(self, position: int) -> None:
        """Keep back a position that `take` gave."""
        self._parked.add(position)

    def unpark(self, position: int) -> None:
        """A position may be launched again, before the others. It may need no task any more."""
        if position in self._parked:
            self._parked.remove(position)
            self._enqueue(position, first=True)

    def stop_launching(self) -> None:
        """Give up what waits; the stage is about to be aborted."""
        self._waiting.clear()
        self._parked.clear()
        self.copies_wanted.clear()

    # --- outcomes ---

    def succeeded(self, task_id: int, run_time: float) -> RunningTask | None:
        """Note a success. None when the position was done before: the result must be dropped."""
        task = self.running.pop(task_id)
        if task.position not in self._unfinished:
            return None
        self._unfinished.remove(task.position)
        if self._suspects:
            self._suspects.discard(task.position)
        if self.durations is not None:
            self.durations.append(run_time)
            self.copies_wanted.pop(task.position, None)
        self.mean_time = run_time if self.mean_time is None else 0.8 * self.mean_time + 0.2 * run_time
        return task

    def completed(self, position: int) -> None:
        """A position needs no task any more: another attempt of the stage computed it."""
        self._unfinished.discard(position)
        self._waiting.discard(position)
        self._parked.discard(position)
        self._suspects.discard(position)
        self.copies_wanted.pop(position, None)

    def rivals(self, position: int) -> list[RunningTask]:
        """A position is done: tasks that compute it still, of which only copies know."""
        if position not in self._copied:
            return []
        self._copied.remove(position)
        return [task for task in self.running.values() if task.position == position]

    def failed(self, task_id: int, counts: bool) -> RunningTask | None:
        """Note an error, and whether it counts against the task. None when its position is done already."""
        self.failed_tasks += 1
        return self._put_back(task_id, counts)

    def lost(self, task_id: int, ran: bool, counts: bool) -> RunningTask | None:
        """As `failed`, for a task whose executor died, perhaps because of it, if it ran."""
        self.failed_tasks += ran
        task = self._put_back(task_id, counts)
        if task is not None:
            self._suspects.add(task.position)
            self._losses[task.position] = self._losses.get(task.position, 0) + counts
        return task

    def returned(self, task_id: int) -> None:
        """A task came back without blame: it was killed, or recalled before it ran."""
        self._put_back(task_id, counts=False)

    def _put_back(self, task_id: int, counts: bool) -> RunningTask | None:
        """Into the queue, before those that were never tried, unless a copy of it runs."""
        task = self.running.pop(task_id)
        if task.position not in self._unfinished:
            return None
        if counts:
            self.failures[task.position] = self.failures.get(task.position, 0) + 1
        self.copies_wanted.pop(task.position, None)
        if task.position in self._copied:
            self._copied.remove(task.position)
        else:
            self._enqueue(task.position, first=True)
        return task

    def home_lost(self, executor_id: str) -> None:
        """An executor died: tasks that preferred it stand in line for their other homes, else for any executor."""
        for position in self._homes.pop(executor_id, ()):
            if position in self._waiting:
                self._enqueue(position)

    # --- queues ---

    def _living_homes(self, position: int) -> list[str]:
        return [home for home in self._preferred.get(position, ()) if home in self._alive]

    def _enqueue(self, position: int, first: bool = False) -> None:
        self._waiting.add(position)
        homes = self._living_homes(position) if self._preferred else ()
        queues = [self._homes.setdefault(home, deque()) for home in homes]
        queues.append(self._constrained if homes else self._free)
        for queue in queues:
            if first:
                queue.appendleft(position)
            else:
                queue.append(position)

    def _pop(self, queue: deque[int] | None, barred: Collection[int]) -> int | None:
        if barred:
            return self._pop_unless(queue, barred)
        while queue:
            position = queue.popleft()
            if position in self._waiting:
                self._waiting.remove(position)
                return position
        return None

    def _pop_unless(self, queue: deque[int] | None, barred: Collection[int]) -> int | None:
        """The first that is not barred; those before it stay where they are."""
        for place, position in enumerate(queue or ()):
            if position in self._waiting and position not in barred:
                assert queue is not None
                del queue[place]
                self._waiting.remove(position)
                return position
        return None

    def check(self) -> None:
        """Audit the invariants. Raises AssertionError."""
        running = [task.position for task in self.running.values() if task.position in self._unfinished]
        twice = {position for position in running if running.count(position) > 1}
        assert twice == self._copied & self._unfinished, "a position runs twice"
        assert len(running) == len(set(running)) + len(twice), "a position runs three times"
        assert self.copies_wanted.keys() <= set(running) - twice, "a copy is wanted of what does not run, or of a copy"
        assert self._waiting.isdisjoint(running), "a position runs and waits"
        assert self._parked.isdisjoint(self._waiting.union(running)), "a position that is kept back runs or waits"
        assert self._waiting.union(running, self._parked) == self._unfinished, "a position neither runs nor waits"
        assert self._suspects <= self._unfinished
        assert self.barrier is None or not (self._waiting and self.running), "some of a barrier stage's tasks wait"
        assert self._waiting <= {*self._free, *self._constrained}, "a waiting position stands in no queue"
        assert all(home in self._alive for home in self._homes), "a dead executor is waited for"
        constrained = {position for queue in self._homes.values() for position in queue}
        assert self._waiting <= constrained.union(self._free), "a waiting position can only go where it does not want"
