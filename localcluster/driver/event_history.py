"""`EventHistory`: what has happened in a run, as the frozen records of ``protocol.events``, for whoever asks later.

Append-only and bounded. The driver's state machines record under the driver's lock, and it is read under that, by
``status``. Covers keeping, filtering and counting; does not decide what is worth a record.

Of each type the newest `KEPT` are kept, so that thousands of tasks do not push out the one executor that was lost.
Counts are of all that ever were.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Callable, Iterable
from itertools import count
from operator import itemgetter
from typing import NamedTuple, TypeAlias

from protocol import events as e

KEPT = 10_000  # records of each type

Kept: TypeAlias = tuple[int, e.Event | e.TasksLaunched]
"""A record, and its place among all."""


class EventCounts(NamedTuple):
    """How many events of each type there have been so far; never reset, and not bounded as the records are."""

    executors_added: int
    executors_lost: int
    executors_replaced: int
    executors_excluded: int
    tasks_started: int
    tasks_retried: int
    tasks_speculated: int
    tasks_killed: int
    tasks_discarded: int
    stages_resubmitted: int
    blocks_recomputed: int
    blocks_adopted: int
    blocks_read_from_replica: int
    blocks_lost: int
    blocks_corrupt: int
    faults_fired: int


COUNTED_AS: dict[type[e.Event], str] = {
    e.ExecutorAdded: "executors_added",
    e.ExecutorLost: "executors_lost",
    e.ExecutorReplaced: "executors_replaced",
    e.ExecutorExcluded: "executors_excluded",
    e.TaskStarted: "tasks_started",
    e.TaskRetried: "tasks_retried",
    e.TaskSpeculated: "tasks_speculated",
    e.TaskKilled: "tasks_killed",
    e.TaskDiscarded: "tasks_discarded",
    e.StageResubmitted: "stages_resubmitted",
    e.BlockRecomputed: "blocks_recomputed",
    e.BlockAdopted: "blocks_adopted",
    e.BlockReadFromReplica: "blocks_read_from_replica",
    e.BlockLost: "blocks_lost",
    e.BlockCorrupt: "blocks_corrupt",
    e.FaultFired: "faults_fired",
}
"""{type: its field of `EventCounts`}"""


class EventHistory:
    """The events of one context. `record` is the `Recorder` that the driver's parts are given."""

    def __init__(self, kept: int = KEPT) -> None:
        self._most = kept
        self._catch_up: Callable[[], None] = lambda: None
        self._numbers = count()
        self._kept: dict[type[e.Event], deque[tuple[int, e.Event]]] = {kind: deque(maxlen=kept) for kind in COUNTED_AS}
        self._launches: deque[tuple[int, e.TasksLaunched]] = deque()
        self._starts = 0  # tasks in those
        self._counts: Counter[type[e.Event]] = Counter()

    def record(self, event: e.Event | e.TasksLaunched) -> None:
        if isinstance(event, e.TasksLaunched):
            self._launched(event)
        else:
            self._counts[type(event)] += 1
            self._kept[type(event)].append((next(self._numbers), event))

    def _launched(self, launch: e.TasksLaunched) -> None:
        """One record for many tasks, since a record for each would be a good part of a short task's time."""
        self._launches.append((next(self._numbers), launch))
        self._counts[e.TaskStarted] += len(launch.tasks)
        self._starts += len(launch.tasks)
        while self._starts - len(self._launches[0][1].tasks) >= self._most:
            self._starts -= len(self._launches.popleft()[1].tasks)

    def before_reading(self, catch_up: Callable[[], None]) -> None:
        """Have ``catch_up`` record what happened elsewhere, each time before somebody reads."""
        self._catch_up = catch_up

    def events(self, *types: type[e.Event]) -> tuple[e.Event, ...]:
        """Those of these types that are kept, or of all types, oldest first."""
        return in_order(self.kept(*types))

    def kept(self, *types: type[e.Event]) -> list[Kept]:
        """A copy of the records of these types, or of all, for `in_order`: that takes a while, and needs no lock."""
        self._catch_up()
        kept: list[Kept] = []
        for kind in set(types or COUNTED_AS):
            kept += self._newest_launches() if kind is e.TaskStarted else self._kept[kind]
        return kept

    def _newest_launches(self) -> list[Kept]:
        """As many tasks of them as there may be: the oldest launch may have more."""
        launches: list[Kept] = list(self._launches)
        too_many = self._starts - self._most
        if too_many > 0:
            number, oldest = self._launches[0]
            launches[0] = number, oldest._replace(tasks=oldest.tasks[too_many:])
        return launches

    def counts(self) -> EventCounts:
        self._catch_up()
        return EventCounts(**{name: self._counts[kind] for kind, name in COUNTED_AS.items()})


def in_order(kept: Iterable[Kept]) -> tuple[e.Event, ...]:
    """The events, oldest first."""
    return tuple(event for _, entry in sorted(kept, key=itemgetter(0)) for event in _each(entry))


def _each(entry: e.Event | e.TasksLaunched) -> Iterable[e.Event]:
    return entry.starts() if isinstance(entry, e.TasksLaunched) else (entry,)
