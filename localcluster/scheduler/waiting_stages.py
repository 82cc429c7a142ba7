"""Stages that wait for a parent's map outputs. Each waits for one shuffle at a time: the first that it misses."""

from __future__ import annotations

from collections.abc import ItemsView

from localcluster.scheduler.stage import Stage


class WaitingStages:
    def __init__(self) -> None:
        self._shuffles: dict[Stage, int] = {}  # {stage: id of the shuffle it waits for}
        self._waiters: dict[int, dict[Stage, None]] = {}  # the other way round, in order

    def __len__(self) -> int:
        return len(self._shuffles)

    def __contains__(self, stage: Stage) -> bool:
        return stage in self._shuffles

    def items(self) -> ItemsView[Stage, int]:
        return self._shuffles.items()

    def add(self, stage: Stage, shuffle_id: int) -> None:
        self._shuffles[stage] = shuffle_id
        self._waiters.setdefault(shuffle_id, {})[stage] = None

    def discard(self, stage: Stage) -> None:
        shuffle_id = self._shuffles.pop(stage, None)
        if shuffle_id is not None:
            waiters = self._waiters[shuffle_id]
            del waiters[stage]
            if not waiters:
                del self._waiters[shuffle_id]

    def release(self, shuffle_id: int) -> list[Stage]:
        """The outputs of a shuffle are there: the stages that waited for them, which are waiting no more."""
        released = list(self._waiters.pop(shuffle_id, ()))
        for stage in released:
            del self._shuffles[stage]
        return released

    def check(self) -> None:
        """Audit the invariants. Raises AssertionError."""
        pairs = {(stage, shuffle_id) for shuffle_id, stages in self._waiters.items() for stage in stages}
        assert pairs == set(self._shuffles.items())
        assert all(self._waiters.values()), "an empty row is kept"
