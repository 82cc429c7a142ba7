"""The server's books against a model: what is there, what it takes, what goes first, and what is over."""

from __future__ import annotations

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, invariant, rule

from localcluster.cache.home import Tier
from localcluster.cache.index import PAGE, STALE, CacheIndex, Entry, on_disk
from storage.block_id import CacheBlockId

LIMIT = 10 * PAGE

block_ids = st.builds(lambda ns, n: CacheBlockId(ns, f"{n:032x}"), st.sampled_from("ab"), st.integers(0, 7))
tiers = st.sampled_from(Tier)
sizes = st.integers(0, 3 * PAGE)
times = st.integers(0, 9).map(float)


class Books(RuleBasedStateMachine):
    def __init__(self) -> None:
        super().__init__()
        self.index = CacheIndex(dict.fromkeys(Tier, LIMIT))
        self.model: dict[CacheBlockId, Entry] = {}
        self.given_as_expired: set[CacheBlockId] = set()
        self.reserved: dict[Tier, list[int]] = {tier: [] for tier in Tier}

    @rule(block_id=block_ids, tier=tiers, size=sizes, used_at=times, expires=times, pinned=st.booleans())
    def put(self, block_id: CacheBlockId, tier: Tier, size: int, used_at: float, expires: float, pinned: bool) -> None:
        before = self.index.put(block_id, Entry(tier, size, used_at, expires, pinned))
        assert before == self.model.get(block_id)
        self.model[block_id] = Entry(tier, size, used_at, expires, pinned)
        self.given_as_expired.discard(block_id)

    @rule(block_id=block_ids, used_at=times, pinned=st.booleans())
    def touch(self, block_id: CacheBlockId, used_at: float, pinned: bool) -> None:
        if block_id in self.model:
            self.index.touch(block_id, used_at, pinned)
            self.model[block_id].used_at = used_at
            self.model[block_id].pinned = pinned

    @rule(block_id=block_ids)
    def remove(self, block_id: CacheBlockId) -> None:
        assert self.index.remove(block_id) == self.model.pop(block_id, None)

    @rule(tier=tiers, size=sizes)
    def reserve(self, tier: Tier, size: int) -> None:
        used = sum(on_disk(e.size) for e in self.model.values() if e.tier is tier) + sum(self.reserved[tier])
        assert self.index.has_room(tier, size) == (used + on_disk(size) <= LIMIT)
        self.index.reserve(tier, size)
        self.reserved[tier].append(on_disk(size))

    @rule(tier=tiers)
    def release(self, tier: Tier) -> None:
        if self.reserved[tier]:
            self.index.release(tier, self.reserved[tier].pop())

    @rule(tier=tiers)
    def coldest(self, tier: Tier) -> None:
        may_go = [
            (entry.used_at, block_id)
            for block_id, entry in self.model.items()
            if entry.tier is tier and not (entry.pinned and tier is Tier.DISK)
        ]
        taken = list(iter(lambda: self.index.take_coldest(tier), None))
        assert list(dict.fromkeys(taken)) == [block_id for _, block_id in sorted(may_go)]
        self.index.put_back(taken)

    @rule()
    def staying(self) -> None:
        pinned = {block_id for block_id, entry in self.model.items() if entry.pinned and entry.tier is Tier.DISK}
        assert {block_id for block_id, _ in self.index.staying()} == pinned

    @rule(now=times)
    def expired(self, now: float) -> None:
        due = {block_id for block_id, entry in self.model.items() if entry.expires and entry.expires <= now}
        given = set(self.index.take_expired(now))
        assert given == due - self.given_as_expired
        self.given_as_expired |= given

    @rule(namespace=st.sampled_from(["a", "b", None]))
    def of_namespace(self, namespace: str | None) -> None:
        found = {block_id for block_id in self.model if namespace in (None, block_id.namespace)}
        assert set(self.index.of_namespace(namespace)) == found

    @invariant()
    def the_books_are_right(self) -> None:
        self.index.check({tier: sum(sizes) for tier, sizes in self.reserved.items()})
        assert len(self.index) == len(self.model)
        assert {tier: self.index.count(tier) for tier in Tier} == {
            tier: sum(entry.tier is tier for entry in self.model.values()) for tier in Tier
        }
        assert all(self.index.get(block_id) == entry for block_id, entry in self.model.items())


TestBooks = Books.TestCase


def test_a_value_that_is_stored_again_and_again_leaves_nothing() -> None:
    index = CacheIndex(dict.fromkeys(Tier, LIMIT))
    block_id = CacheBlockId("a", "0" * 32)
    for number in range(1, 3 * STALE):
        index.put(block_id, Entry(Tier.MEMORY, 1, float(number), expires=float(number)))
        index.touch(block_id, number + 0.5, pinned=False)
        index.check({})
    assert max(map(len, (index._cold[Tier.MEMORY], index._expiring))) <= 2 + STALE
    assert index.take_coldest(Tier.MEMORY) == block_id
    assert list(index.take_expired(1e9)) == [block_id]


def test_what_the_limit_has_no_room_for_never_has() -> None:
    index = CacheIndex(dict.fromkeys(Tier, LIMIT + 1))
    assert index.can_have_room(Tier.DISK, LIMIT)
    assert not index.can_have_room(Tier.DISK, LIMIT + 1)  # a whole page more
