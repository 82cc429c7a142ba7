"""The tasks of one attempt of one stage: which are pending, where they would like to run, how often they failed.

A plain state machine: no clock (``now`` in seconds is passed in), no pipes. Covers locality preference with a wait, retry
counting and the measured task time. Does not choose between task sets (``task_scheduler``). Follows Spark's
``TaskSetManager``.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass

from localcluster.scheduler.stage import Stage


@dataclass(slots=True)
class RunningTask:
    """A task that was sent to an executor and has not been heard of yet."""

    task_id: int
    position: int
    attempt: int
    executor_id: str


class TaskSet:
    """Tasks are named by their position in ``stage.partitions``.

    ``encode`` gives the pickled partition of a position; ``preferred`` maps positions to executor ids, best first.
    """

    def __init__(
        self,
        key: int,
        stage: Stage,
        positions: Sequence[int],
        encode: Callable[[int], bytes],
        preferred: Mapping[int, Sequence[str]],
        priority: tuple[int, int],
        pool: str,
        max_failures: int,
        created: float,
    ) -> None:
        self.key = key
        self.stage = stage
        self.encode = encode
        self.priority = priority
        self.pool = pool
        self.max_failures = max_failures
        self.preferred = preferred
        self.running: dict[int, RunningTask] = {}
        self.attempts: dict[int, int] = {}  # {position: attempts launched so far}
        self.failures: dict[int, int] = {}  # {position: attempts that count against it}
        self.mean_time: float | None = None  # seconds, moving average
        self.one_at_a_time = False
        """Set after an executor died with several tasks queued: nobody knows which one killed it, so from then on
        executors get one task per core and the next death has one suspect."""
        self._unfinished: set[int] = set(positions)
        self._waiting: set[int] = set()
        self._free: deque[int] = deque()
        self._constrained: deque[int] = deque()
        self._by_executor: dict[str, deque[int]] = {}
        self._last_local = created
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

    def wants(self, position: int) -> bool:
        """Whether a result for this position is still awaited."""
        return position in self._unfinished

    def wait_deadline(self, wait: float) -> float | None:
        """When constrained tasks may go anywhere; None when none is constrained."""
        return self._last_local + wait if self._waiting and self._constrained else None

    # --- launching ---

    def take(self, executor_id: str, alive: Mapping[str, object], now: float, wait: float) -> int | None:
        """The next position to run on this executor, or None. Prefers tasks that asked for it."""
        local = self._pop(self._by_executor.get(executor_id))
        if local is not None:
            self._last_local = now
            return local
        free = self._pop(self._free)
        if free is not None:
            return free
        if now - self._last_local >= wait:
            return self._pop(self._constrained)
        return self._pop_homeless(alive)

    def launched(self, task: RunningTask) -> None:
        self.running[task.task_id] = task

    def next_attempt(self, position: int) -> int:
        attempt = self.attempts.get(position, 0)
        self.attempts[position] = attempt + 1
        return attempt

    # --- outcomes ---

    def succeeded(self, task_id: int, run_time: float) -> RunningTask | None:
        """Note a success. None when the task is unknown or its position was done before: the result must be dropped."""
        task = self.running.pop(task_id, None)
        if task is None or task.position not in self._unfinished:
            return None
        self._unfinished.discard(task.position)
        self._waiting.discard(task.position)
        self.mean_time = run_time if self.mean_time is None else 0.8 * self.mean_time + 0.2 * run_time
        return task

    def failed(self, task_id: int, counts: bool) -> RunningTask | None:
        """Put a task back in the queue. None when it is unknown; `failures` says whether the stage must give up."""
        task = self.running.pop(task_id, None)
        if task is None:
            return None
        if counts:
            self.failures[task.position] = self.failures.get(task.position, 0) + 1
        if task.position in self._unfinished and task.position not in self._waiting:
            self._enqueue(task.position)
        return task

    def exhausted(self, position: int) -> bool:
        return self.failures.get(position, 0) >= self.max_failures

    # --- queues ---

    def _enqueue(self, position: int) -> None:
        self._waiting.add(position)
        homes = self.preferred.get(position)
        if not homes:
            self._free.append(position)
            return
        self._constrained.append(position)
        for executor_id in homes:
            self._by_executor.setdefault(executor_id, deque()).append(position)

    def _pop(self, queue: deque[int] | None) -> int | None:
        """A position stands in several queues; `_waiting` tells which entries are still good."""
        while queue:
            position = queue.popleft()
            if position in self._waiting:
                self._waiting.discard(position)
                return position
        return None

    def _pop_homeless(self, alive: Mapping[str, object]) -> int | None:
        """A constrained task none of whose preferred executors lives any more has nothing to wait for."""
        if all(home in alive for home in self._by_executor):
            return None
        for position in self._constrained:
            if position in self._waiting and not any(home in alive for home in self.preferred[position]):
                self._waiting.discard(position)
                return position
        return None
