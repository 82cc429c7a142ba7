"""Reading blocks, here and from other processes. Mirrors Spark's BlockManagerSuite."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Iterator

import numpy as np
import pytest

from protocol import block_messages as m
from protocol.errors import BlockNotFoundError
from protocol.hook import Passing
from protocol.locations import HeapLocation
from storage import os_layer
from storage.block_manager import BlockManager
from storage.block_result import ReadMethod
from storage.managed_buffer import HeapBuffer
from storage.serializer import serialize
from storage.storage_level import StorageLevel
from tests.storage.clusters import BIG, LEVELS, ClusterMaker, block, block_files, locations, run_together, values
from tests.support import fails


def test_a_result_says_size_and_where_it_was_read(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster("B")
    a = cluster.add("A")
    methods = {"MEMORY_ONLY": ReadMethod.MEMORY, "DISK_ONLY": ReadMethod.DISK, "OFF_HEAP": ReadMethod.OFF_HEAP}
    for number, (level, method) in enumerate(methods.items()):
        a.put_iterator(block(number), [bytes(500), bytes(1000)], StorageLevel.from_string(level))
        result = a.get(block(number))
        assert result is not None
        assert result.read_method is method
        assert 1500 <= result.size < 4000
        assert len(list(result.values)) == 2
    remote = cluster.driver.get(block(0))
    assert remote is not None
    assert remote.read_method is ReadMethod.NETWORK
    assert cluster.driver.get(block(99)) is None


def test_values_kept_as_objects_are_read_without_copying(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    record = ["the", "record", "itself"]
    a.put_iterator(block(1), [record], StorageLevel.MEMORY_ONLY)
    assert a.get_single(block(1)) is record


@pytest.mark.parametrize("size", [1000, 1_000_000])
def test_arrays_off_heap_are_their_readers_own_everywhere(make_cluster: ClusterMaker, size: int) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), np.arange(size), StorageLevel.OFF_HEAP)
    here, there = a.get_single(block(1)), b.get_single(block(1))
    here[:10], there[:] = 1, 2
    for manager in (a, b, cluster.driver):
        assert (manager.get_single(block(1)) == np.arange(size)).all()
    assert (here[10:] == np.arange(10, size)).all()
    assert (there == 2).all()


def test_the_extent_of_an_array_stays_as_long_as_the_array(make_cluster: ClusterMaker) -> None:
    """Pages that nobody has looked at yet are read from it later."""
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), np.full(1_000_000, 1), StorageLevel.OFF_HEAP)
    here, there = a.get_single(block(1)), b.get_single(block(1))
    a.remove_block(block(1))
    b.flush_lease_releases()
    for number in range(2, 5):
        a.put_single(block(number), np.full(1_000_000, number), StorageLevel.OFF_HEAP)
    assert (here == 1).all()
    assert (there == 1).all()
    del here, there
    b.flush_lease_releases()
    assert b.statistics().leases_held == 0
    assert a.statistics().extents == 3


def test_get_single_of_a_block_that_nobody_has_is_an_error(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    with pytest.raises(BlockNotFoundError):
        a.get_single(block(1))


def test_the_next_location_is_tried_when_a_holder_died(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    reader, first, second = (cluster.add(name) for name in ("A", "B", "C"))
    for manager in (first, second):
        manager.put_iterator(block(1), [BIG], StorageLevel.MEMORY_ONLY)
    asked: list[object] = []

    def hook(seen: Passing) -> bool:
        asked.append(seen.message)
        return seen.channel == "B" and isinstance(seen.message, m.ShareBlock)

    assert reader.get_remote_bytes(block(1)) is not None
    cluster.hook = hook
    assert reader.get_remote_bytes(block(1)) is not None
    assert asked.count(m.ReportReplicaRead(block(1))) == 1
    cluster.kill("B")
    assert reader.get_remote_bytes(block(1)) is not None
    cluster.kill("C")
    assert reader.get_remote_bytes(block(1)) is None


def test_a_location_without_a_block_behind_it_is_dropped_at_the_master(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    a.remove_block(block(1), tell_master=False)
    assert len(locations(cluster, block(1))) == 1
    assert b.get_remote_bytes(block(1)) is None
    assert locations(cluster, block(1)) == ()


@pytest.mark.parametrize("level", ["DISK_ONLY", "OFF_HEAP"])
def test_a_location_whose_file_is_gone_is_dropped_and_the_next_is_tried(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster()
    a, b, c = (cluster.add(name) for name in "ABC")
    a.put_single(block(1), "value", StorageLevel.from_string(level))
    b.put_single(block(1), "value", StorageLevel.MEMORY_ONLY)
    location = locations(cluster, block(1))[0][1]
    if level == "OFF_HEAP":
        cluster.kill("A")  # which would give it a new place
    os_layer.unlink(location.path)
    assert values(c, block(1)) == ["value"]
    assert locations(cluster, block(1)) == ((b.id, HeapLocation("B")),)
    c.flush_lease_releases()
    assert cluster.endpoint.statistics().leases == 0
    if level == "DISK_ONLY":
        assert values(a, block(1)) == ["value"]  # from B: its own is lost, and forgotten
        assert block(1) not in a.block_ids()


@pytest.mark.parametrize("read", ["get_local_bytes", "get_local_values"])
def test_a_block_whose_file_was_lost_is_removed_by_the_read_that_notices(make_cluster: ClusterMaker, read: str) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    a.put_single(block(1), BIG, StorageLevel.DISK_ONLY)
    for path in block_files(a):
        os_layer.unlink(path)
    assert block(1) in a.block_ids()
    told: list[object] = []
    cluster.hook = lambda seen: told.append(seen.message)
    ((_, location),) = locations(cluster, block(1))
    assert getattr(a, read)(block(1)) is None
    assert block(1) not in a.block_ids()
    assert m.ReportStaleLocation(block(1), a.id, location) in told
    assert locations(cluster, block(1)) == ()
    assert a.put_single(block(1), 2, StorageLevel.DISK_ONLY)


def test_several_locations_give_back_the_leases_that_are_not_used(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b, c = (cluster.add(name) for name in "ABC")
    for manager in (a, b):
        manager.put_single(block(1), BIG, StorageLevel.OFF_HEAP)
    data = c.get_remote_bytes(block(1))
    c.flush_lease_releases()
    assert cluster.endpoint.statistics().leases == 1
    del data
    c.flush_lease_releases()
    assert cluster.endpoint.statistics().leases == 0


def test_block_data_that_was_put_as_bytes_comes_back_as_the_same_bytes(make_cluster: ClusterMaker) -> None:
    a = make_cluster(max_memory=100_000).add("A")
    data = b"".join(serialize(["message"] * 10))
    for number, name in enumerate(LEVELS):
        level = StorageLevel.from_string(name)
        assert a.put_bytes(block(number), HeapBuffer(data), level)
        status = a.master.get_block_status(block(number))[a.id]
        assert (status.disk_size > 0) == (not level.use_memory)
        assert (status.memory_size > 0) == (level.use_memory and not level.use_off_heap)
        assert (status.off_heap_size > 0) == level.use_off_heap
        found = a.get_local_bytes(block(number))
        assert found is not None
        assert found.memoryview() == data
        assert values(a, block(number)) == ["message"] * 10


@pytest.mark.parametrize(
    ("level", "call", "number"),
    [
        ("DISK_ONLY", "open_to_read", errno.EMFILE),
        ("DISK_ONLY", "map_privately", errno.ENOMEM),
        ("OFF_HEAP", "open_existing", errno.EMFILE),
        ("OFF_HEAP", "map_file", errno.ENOMEM),
        ("MEMORY_ONLY", "open_existing", errno.EMFILE),
    ],
)
def test_a_block_that_cannot_be_mapped_now_is_not_taken_for_lost(
    make_cluster: ClusterMaker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    level: str,
    call: str,
    number: int,
) -> None:
    cluster = make_cluster("A", "B", "C")
    cluster.managers["A"].put_single(block(1), "kept", StorageLevel.from_string(level))

    def is_refused_and_then_reads(reader: BlockManager) -> None:
        caplog.clear()
        with monkeypatch.context() as patch:
            patch.setattr(os_layer, call, fails(number))
            assert reader.get(block(1)) is None
        assert "block input-0-1 at A cannot be read now: " in caplog.text
        assert os.strerror(number) in caplog.text
        reader.flush_lease_releases()
        assert reader.statistics().leases_held == 0
        assert values(reader, block(1)) == ["kept"]

    is_refused_and_then_reads(cluster.managers["B"])
    if level != "MEMORY_ONLY":  # which dies with its holder
        cluster.kill("A")
        is_refused_and_then_reads(cluster.managers["C"])


def test_get_or_else_update_reads_from_other_processes_before_it_computes(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a, b = cluster.add("A"), cluster.add("B")
    b.put_single(block(1), "theirs", StorageLevel.MEMORY_ONLY)
    result, leftover = a.get_or_else_update(block(1), StorageLevel.MEMORY_ONLY, lambda: pytest.fail("computed"))
    assert leftover is None
    assert result is not None
    assert list(result.values) == ["theirs"]


def test_get_or_else_update_gives_the_values_when_there_is_no_room(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    result, leftover = a.get_or_else_update(
        block(1), StorageLevel.MEMORY_ONLY, lambda: (bytes(1000) for _ in range(30))
    )
    assert result is None
    assert leftover is not None
    assert list(leftover) == [bytes(1000)] * 30
    assert a.memory_store.statistics().unroll_memory == 0


@pytest.mark.parametrize("level", LEVELS)
def test_threads_that_want_the_same_block_compute_it_once(make_cluster: ClusterMaker, level: str) -> None:
    a = make_cluster().add("A")
    computed: list[int] = []
    seen: list[list[int]] = []

    def compute() -> Iterator[int]:
        computed.append(1)
        yield from range(50)

    def want() -> None:
        result, _ = a.get_or_else_update(block(1), StorageLevel.from_string(level), compute)
        assert result is not None
        seen.append(list(result.values))

    run_together(*[want] * 4)
    assert len(computed) == 1
    assert seen == [list(range(50))] * 4


def test_when_the_first_writer_fails_one_of_those_who_wait_computes(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    entered, outcomes = threading.Event(), []

    def fails() -> Iterator[int]:
        entered.set()
        raise ZeroDivisionError
        yield 1

    def first() -> None:
        with pytest.raises(ZeroDivisionError):
            a.get_or_else_update(block(1), StorageLevel.MEMORY_ONLY, fails)

    def second() -> None:
        assert entered.wait(30)
        result, _ = a.get_or_else_update(block(1), StorageLevel.MEMORY_ONLY, lambda: [7])
        assert result is not None
        outcomes.append(list(result.values))

    run_together(first, second)
    assert outcomes == [[7]]
