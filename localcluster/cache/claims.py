"""Who computes which missing entry, and who waits for it: one computes, all others wait. A state machine.

Follows the rule of `storage.block_info`, over processes: an entry is absent, being computed by one claimant, or there.
When a claim ends without an entry, whatever the reason, the one who has waited longest gets it. A claimant is a thread
of a program; it waits for one entry at a time. Two that would wait for each other, in a circle of any length, are told,
and the one who closes it computes for itself.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass, field
from typing import TypeAlias

from protocol.cache_messages import Claim
from storage.block_id import CacheBlockId

Claimant: TypeAlias = tuple[int, int]  # connection, thread
Answer: TypeAlias = Callable[[Claim], object]


@dataclass(slots=True)
class _Waiting:
    claimant: Claimant
    until: float
    answer: Answer


@dataclass(slots=True)
class _Computed:
    by: Claimant
    waiting: deque[_Waiting] = field(default_factory=deque)


class Claims:
    """Answers are given by calling what came with the question, at once or later."""

    def __init__(self) -> None:
        self._computed: dict[CacheBlockId, _Computed] = {}
        self._waits_for: dict[Claimant, CacheBlockId] = {}

    def __len__(self) -> int:
        return len(self._computed)

    @property
    def waiting(self) -> int:
        return len(self._waits_for)

    def owner(self, block_id: CacheBlockId) -> Claimant | None:
        computed = self._computed.get(block_id)
        return None if computed is None else computed.by

    def waited_for(self) -> set[int]:
        """Connections of those whom others wait for."""
        return {computed.by[0] for computed in self._computed.values() if computed.waiting}

    def claim(self, block_id: CacheBlockId, claimant: Claimant, until: float, answer: Answer) -> None:
        """The entry is missing, and the claimant wants it; it waits for at most until then."""
        computed = self._computed.get(block_id)
        if computed is None:
            self._computed[block_id] = _Computed(claimant)
            answer(Claim.YOURS)
        elif self._closes_a_circle(claimant, block_id):
            answer(Claim.CIRCLE)
        else:
            self._waits_for[claimant] = block_id
            computed.waiting.append(_Waiting(claimant, until, answer))

    def _closes_a_circle(self, claimant: Claimant, block_id: CacheBlockId) -> bool:
        wanted: CacheBlockId | None = block_id
        while wanted is not None and (computed := self._computed.get(wanted)) is not None:
            if computed.by == claimant:
                return True
            wanted = self._waits_for.get(computed.by)
        return False

    def ready(self, block_id: CacheBlockId) -> None:
        """The entry is there now, whoever made it: all who wait may read it."""
        computed = self._computed.pop(block_id, None)
        for waiting in computed.waiting if computed else ():
            self._answer(waiting, Claim.READY)

    def release(self, block_id: CacheBlockId, connection: int) -> None:
        """Its claimant of this connection gives up: the next one is to compute it."""
        computed = self._computed.get(block_id)
        if computed is None or computed.by[0] != connection:
            return
        if not computed.waiting:
            del self._computed[block_id]
            return
        following = computed.waiting.popleft()
        computed.by = following.claimant
        self._answer(following, Claim.YOURS)

    def connection_lost(self, connection: int) -> None:
        """Nobody of this connection computes or waits any more."""
        for computed in self._computed.values():
            gone = [waiting for waiting in computed.waiting if waiting.claimant[0] == connection]
            for waiting in gone:
                computed.waiting.remove(waiting)
                del self._waits_for[waiting.claimant]
        self.give_up_of(connection)

    def give_up_of(self, connection: int) -> None:
        """Nobody is to be waited for who computes by this connection."""
        for block_id in [each for each, computed in self._computed.items() if computed.by[0] == connection]:
            self.release(block_id, connection)

    def out_of_patience(self, now: float) -> None:
        """Answer those who have waited long enough: they ask again, if they live."""
        for computed in self._computed.values():
            for waiting in [each for each in computed.waiting if each.until <= now]:
                computed.waiting.remove(waiting)
                self._answer(waiting, Claim.TAKEN)

    def _answer(self, waiting: _Waiting, claim: Claim) -> None:
        del self._waits_for[waiting.claimant]
        waiting.answer(claim)

    def check(self) -> None:
        """Audit. Raises AssertionError."""
        waiting = {each.claimant: block_id for block_id, c in self._computed.items() for each in c.waiting}
        assert waiting == self._waits_for, f"{waiting} wait, not {self._waits_for}"
