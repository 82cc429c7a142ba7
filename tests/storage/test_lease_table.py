from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from protocol.locations import ShmLocation
from storage.lease_table import LeaseTable

EXTENTS = [ShmLocation("/dev/shm/s", 64 * number, 64) for number in range(3)]
READERS = ["B", "C"]
STEPS = st.lists(
    st.tuples(
        st.sampled_from(["grant", "release", "lost", "retire"]), st.sampled_from(EXTENTS), st.sampled_from(READERS)
    ),
    max_size=40,
)


@given(STEPS)
def test_an_extent_is_freed_once_and_only_when_nobody_reads_it(steps: list[tuple[str, ShmLocation, str]]) -> None:
    table = LeaseTable()
    held: dict[tuple[ShmLocation, str], int] = {}
    limbo: set[ShmLocation] = set()
    for step, extent, reader in steps:
        freed: list[tuple[str, ShmLocation]] = []
        if step == "grant":
            table.grant(extent, reader)
            held[extent, reader] = held.get((extent, reader), 0) + 1
        elif step == "release":
            freed = table.release(reader, extent, 1)
            held[extent, reader] = max(0, held.get((extent, reader), 0) - 1)
        elif step == "lost":
            freed = table.reader_lost(reader)
            held = {key: count for key, count in held.items() if key[1] != reader}
        else:
            free = table.retire(extent, "A")
            assert free == (not any(held.get((extent, name)) for name in READERS))
            limbo |= set() if free else {extent}
        expected = {e for e in limbo if not any(held.get((e, name)) for name in READERS)}
        assert freed == [("A", e) for _, e in freed]
        assert {e for _, e in freed} == expected
        assert len(freed) == len(expected)
        limbo -= expected
        assert table.leases == sum(held.values())
        assert table.in_limbo == len(limbo)
        table.check()


def test_leases_on_a_segment_that_is_gone_are_forgotten() -> None:
    table = LeaseTable()
    other = ShmLocation("/dev/shm/other", 0, 64)
    for extent in (*EXTENTS, other):
        table.grant(extent, "B")
    table.retire(EXTENTS[0], "A")
    table.segment_gone("/dev/shm/s")
    assert (table.leases, table.in_limbo) == (1, 0)
    assert table.release("B", EXTENTS[0], 1) == []
    table.check()


def test_check_finds_an_owner_that_reads_its_own_extent() -> None:
    table = LeaseTable()
    table.grant(EXTENTS[0], "A")
    table.retire(EXTENTS[0], "A")
    with pytest.raises(AssertionError, match="its own"):
        table.check()
