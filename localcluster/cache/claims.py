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
        """The entry is missing, and the claimant wants it; it waits for at most until then. It may have waited for
        something before, and gone away without a word.
        """
        self._leave(claimant)
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
        """Whether the claimant, should it wait for the entry, would wait for itself."""
        wanted: CacheBlockId | None = block_id
        while wanted is not None:
            computed = self._computed[wanted]
            if computed.by == claimant:
                return True
            wanted = self._waits_for.get(computed.by)
        return False

    def ready(self, block_id: CacheBlockId) -> None:
        """The entry is there now, whoever made it: all who wait may read it."""
        computed = self._computed.pop(block_id, None)
        for waiting in computed.waiting if computed else ():
            self._answer(waiting, Claim.READY)

    def release(self, block_id: CacheBlockId, claimant: Claimant) -> None:
        """It gives up. If it was the one who computes, the next one is to do so."""
        if self._waits_for.get(claimant) == block_id:
            self._leave(claimant)
        computed = self._computed.get(block_id)
        if computed is not None and computed.by == claimant:
            self._hand_on(block_id, computed)

    def connection_lost(self, connection: int) -> None:
        """Nobody of this connection computes or waits any more."""
        for claimant in [each for each in self._waits_for if each[0] == connection]:
            self._leave(claimant)
        self.give_up_of(connection)

    def give_up_of(self, connection: int) -> None:
        """Nobody is to be waited for who computes by this connection."""
        for block_id, computed in list(self._computed.items()):
            if computed.by[0] == connection:
                self._hand_on(block_id, computed)

    def _hand_on(self, block_id: CacheBlockId, computed: _Computed) -> None:
        if not computed.waiting:
            del self._computed[block_id]
            return
        following = computed.waiting.popleft()
        computed.by = following.claimant
        self._answer(following, Claim.YOURS)

    def _leave(self, claimant: Claimant) -> None:
        """It waits no more, if it did, and nobody hears of it."""
        block_id = self._waits_for.pop(claimant, None)
        if block_id is not None:
            computed = self._computed[block_id]
            computed.waiting = deque(each for each in computed.waiting if each.claimant != claimant)

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
        assert sum(len(c.waiting) for c in self._computed.values()) == len(waiting), "one waits twice"
        for block_id, computed in self._computed.items():
            wanted = self._waits_for.get(computed.by)
            assert wanted is None or not self._closes_a_circle(computed.by, wanted), f"a circle with {block_id}"
