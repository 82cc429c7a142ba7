"""Who computes, against a model that knows only lists: one computes, the one who waited longest is next."""

from __future__ import annotations

from typing import Any

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from localcluster.cache.claims import Claimant, Claims
from protocol.cache_messages import Claim
from storage.block_id import CacheBlockId

A, B, C = (CacheBlockId("x", f"{n:032x}") for n in range(3))
FIRST, SECOND, THIRD = (1, 1), (2, 1), (3, 1)

block_ids = st.sampled_from([A, B, C])
claimants = st.tuples(st.integers(1, 3), st.integers(1, 2))
PATIENCE = 3.0


class Model(RuleBasedStateMachine):
    """``owners``: who computes; ``queue``: who waits, in the order of their questions, for what and until when."""

    def __init__(self) -> None:
        super().__init__()
        self.claims = Claims()
        self.owners: dict[CacheBlockId, Claimant] = {}
        self.queue: list[tuple[Claimant, CacheBlockId, float]] = []
        self.now = 0.0
        self.heard: list[tuple[Claimant, CacheBlockId, Claim]] = []
        self.expected: list[tuple[Claimant, CacheBlockId, Claim]] = []

    @rule(claimant=claimants, block_id=block_ids)
    def ask(self, claimant: Claimant, block_id: CacheBlockId) -> None:
        self.queue = [each for each in self.queue if each[0] != claimant]
        if block_id not in self.owners:
            self.owners[block_id] = claimant
            self.expected.append((claimant, block_id, Claim.YOURS))
        elif self.depends_on(self.owners[block_id], claimant):
            self.expected.append((claimant, block_id, Claim.CIRCLE))
        else:
            self.queue.append((claimant, block_id, self.now + PATIENCE))
        self.claims.claim(
            block_id, claimant, self.now + PATIENCE, lambda claim: self.heard.append((claimant, block_id, claim))
        )

    def depends_on(self, one: Claimant, other: Claimant) -> bool:
        """Whether one cannot go on before the other does."""
        reached: set[Claimant] = set()
        new = {one}
        while new:
            reached |= new
            new = {self.owners[wanted] for claimant, wanted, _ in self.queue if claimant in reached} - reached
        return other in reached

    @rule(block_id=block_ids)
    def ready(self, block_id: CacheBlockId) -> None:
        self.owners.pop(block_id, None)
        self.expected += [(claimant, wanted, Claim.READY) for claimant, wanted, _ in self.queue if wanted == block_id]
        self.queue = [each for each in self.queue if each[1] != block_id]
        self.claims.ready(block_id)

    @rule(claimant=claimants, block_id=block_ids)
    def release(self, claimant: Claimant, block_id: CacheBlockId) -> None:
        self.queue = [each for each in self.queue if each[:2] != (claimant, block_id)]
        if self.owners.get(block_id) == claimant:
            self.hand_on(block_id)
        self.claims.release(block_id, claimant)

    def hand_on(self, block_id: CacheBlockId) -> None:
        following = next((each for each in self.queue if each[1] == block_id), None)
        if following is None:
            del self.owners[block_id]
        else:
            self.queue.remove(following)
            self.owners[block_id] = following[0]
            self.expected.append((following[0], block_id, Claim.YOURS))

    @rule(connection=st.integers(1, 3))
    def lose(self, connection: int) -> None:
        self.queue = [each for each in self.queue if each[0][0] != connection]
        self.give_up(connection)
        self.claims.connection_lost(connection)

    @rule(connection=st.integers(1, 3))
    def stopped(self, connection: int) -> None:
        self.give_up(connection)
        self.claims.give_up_of(connection)

    def give_up(self, connection: int) -> None:
        for block_id in [each for each, owner in self.owners.items() if owner[0] == connection]:
            self.hand_on(block_id)

    @rule(seconds=st.integers(1, 4))
    def time_passes(self, seconds: int) -> None:
        self.now += seconds
        self.expected += [
            (claimant, wanted, Claim.TAKEN) for claimant, wanted, until in self.queue if until <= self.now
        ]
        self.queue = [each for each in self.queue if each[2] > self.now]
        self.claims.out_of_patience(self.now)

    @invariant()
    def all_was_said_once(self) -> None:
        self.claims.check()
        assert sorted(self.heard, key=repr) == sorted(self.expected, key=repr)
        assert {each: self.claims.owner(each) for each in self.owners} == self.owners
        assert len(self.claims) == len(self.owners)
        assert self.claims.waiting == len(self.queue)
        assert self.claims.waited_for() == {self.owners[wanted][0] for _, wanted, _ in self.queue}


TestClaims = Model.TestCase


class Heard(list[Any]):
    def of(self, who: str) -> Any:
        return lambda claim: self.append((who, claim))


def test_a_circle_over_two_entries_is_told_to_the_one_who_closes_it() -> None:
    claims, heard = Claims(), Heard()
    claims.claim(A, FIRST, 9, heard.of("first"))
    claims.claim(B, SECOND, 9, heard.of("second"))
    claims.claim(B, FIRST, 9, heard.of("first"))
    claims.claim(A, SECOND, 9, heard.of("second"))
    assert heard == [("first", Claim.YOURS), ("second", Claim.YOURS), ("second", Claim.CIRCLE)]


def test_who_asks_for_what_it_computes_is_told_so() -> None:
    claims, heard = Claims(), Heard()
    claims.claim(A, FIRST, 9, heard.of("first"))
    claims.claim(A, FIRST, 9, heard.of("again"))
    assert heard == [("first", Claim.YOURS), ("again", Claim.CIRCLE)]


def test_a_thread_of_the_program_that_computes_may_go_and_it_computes_still() -> None:
    claims, heard = Claims(), Heard()
    claims.claim(A, (1, 1), 9, heard.of("first"))
    claims.claim(A, (1, 2), 9, heard.of("a thread that a Ctrl-C ends"))
    claims.release(A, (1, 2))
    assert claims.owner(A) == (1, 1)
    assert claims.waiting == 0
    claims.claim(A, SECOND, 9, heard.of("second"))
    claims.release(A, (1, 1))
    assert heard == [("first", Claim.YOURS), ("second", Claim.YOURS)]


def test_who_asks_again_waits_once() -> None:
    claims, heard = Claims(), Heard()
    claims.claim(A, FIRST, 9, heard.of("first"))
    claims.claim(B, THIRD, 9, heard.of("third"))
    claims.claim(A, SECOND, 9, heard.of("nobody by now"))
    claims.claim(B, SECOND, 9, heard.of("second"))
    claims.out_of_patience(10)
    assert heard == [("first", Claim.YOURS), ("third", Claim.YOURS), ("second", Claim.TAKEN)]
    claims.check()
