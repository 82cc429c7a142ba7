"""Files of a living run that others remove from shared memory: whoever has the bytes gives them a new place."""

from __future__ import annotations

import errno
import os

import numpy as np
import pytest

from protocol import block_messages as m
from protocol.hook import Passing
from protocol.locations import DRIVER, ShmLocation
from storage import os_layer
from storage.arena import Arena
from storage.block_id import BlockId, BroadcastBlockId, RDDBlockId, TaskResultBlockId
from storage.local_transport import LocalCluster
from storage.scratch import Scratch
from storage.segment import PAGE
from storage.serializer import serialize
from storage.storage_level import StorageLevel
from tests.storage.clusters import ClusterMaker, locations, remove_shared_files, values

BLOCK = RDDBlockId(1, 2)
BROADCAST = BroadcastBlockId(3)


def location_of(cluster: LocalCluster, block_id: BlockId) -> ShmLocation:
    ((_, location),) = locations(cluster, block_id)
    assert isinstance(location, ShmLocation)
    return location


def put_everywhere(cluster: LocalCluster) -> None:
    """Have each manager map the others' first segments, and make one of its own."""
    for number, manager in enumerate(cluster.managers.values()):
        manager.put_single(RDDBlockId(9, number), b"x", StorageLevel.OFF_HEAP)
    for number in range(len(cluster.managers)):
        for manager in cluster.managers.values():
            assert values(manager, RDDBlockId(9, number)) == [b"x"]


def no_fetches(cluster: LocalCluster) -> None:
    def check(seen: Passing) -> None:
        assert not isinstance(seen.message, m.FetchBlock), f"{seen.channel} could not read by itself"

    cluster.hook = check


# --- the arena -----------------------------------------------------------------------------------------------------


def test_nothing_new_goes_where_nobody_can_find_it() -> None:
    told: list[str] = []
    segments: dict[str, int] = {}

    def request(path: str, size: int) -> bool:
        segments[path] = size
        return True

    arena = Arena(
        "/dev/shm",
        f"localcluster-test-removed-{os.getpid()}",
        (),
        request,
        segments.pop,
        told.append,
        first_segment=4 * PAGE,
    )
    old = arena.write([b"old"])
    view = arena.view(old)
    assert arena.can_be_found(old)
    os.unlink(old.segment)
    assert not arena.can_be_found(old)
    new, another = arena.write([b"new"]), arena.write([b"another"])
    assert new.segment == another.segment != old.segment
    assert os.path.exists(new.segment)
    assert arena.can_be_found(new)
    assert told == [old.segment]
    assert arena.free_bytes < 4 * PAGE, "room that cannot be used is none"
    assert (view, arena.view(old)) == (b"old", b"old")
    assert set(segments) == {old.segment, new.segment}, "its pages are still there"
    arena.free(old)
    arena.check()
    assert view == b"old"
    del view
    arena.free(new)
    assert set(segments) == {new.segment}, "no use in keeping it warm"
    arena.close(unlink=True)


# --- blocks --------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["broadcast", "cached", "result"])
def test_a_living_holder_gives_a_block_a_new_place(make_cluster: ClusterMaker, kind: str) -> None:
    cluster = make_cluster("A", "B", "C")
    a, b, c = (cluster.managers[name] for name in "ABC")
    block_id: BlockId
    if kind == "cached":
        block_id = BLOCK
        a.put_single(block_id, "value", StorageLevel.OFF_HEAP)
    elif kind == "broadcast":
        block_id = BROADCAST
        cluster.driver.put_shared(block_id, serialize(["value"]))
    else:  # the driver tells the master, as it does when a task has ended
        block_id = TaskResultBlockId(7)
        location = a.put_shared(block_id, serialize(["value"]), tell_master=False)
        cluster.endpoint.register_shared(block_id, a.id, location)
    old = location_of(cluster, block_id)
    assert remove_shared_files(cluster) == 1
    assert values(b, block_id) == ["value"]
    new = location_of(cluster, block_id)
    assert os.path.exists(new.segment)
    assert new.segment != old.segment
    no_fetches(cluster)
    for manager in (a, b, c, cluster.driver, cluster.add("D")):
        assert values(manager, block_id) == ["value"]
    a.master.remove_block(block_id)
    for manager in cluster.managers.values():
        manager.flush_lease_releases()
    assert sum(manager.statistics().extents for manager in cluster.managers.values()) == 0


def test_who_has_mapped_the_segment_reads_on(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster("A", "B")
    put_everywhere(cluster)
    a, b = cluster.managers["A"], cluster.managers["B"]
    a.put_single(BLOCK, "value", StorageLevel.OFF_HEAP)
    old = location_of(cluster, BLOCK)
    remove_shared_files(cluster)
    no_fetches(cluster)
    assert values(a, BLOCK) == values(b, BLOCK) == ["value"]
    assert location_of(cluster, BLOCK) == old


def test_views_over_the_old_place_stay_good_while_a_block_moves(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster("A", "B", "C")
    a, b, c = (cluster.managers[name] for name in "ABC")
    a.put_single(BLOCK, np.arange(10_000), StorageLevel.OFF_HEAP)
    own, others = a.get_single(BLOCK), b.get_single(BLOCK)
    remove_shared_files(cluster)
    assert c.get_single(BLOCK).sum() == own.sum() == others.sum() == 49_995_000
    for number in range(20):  # which would take the old extent if it were free
        a.put_single(RDDBlockId(2, number), np.zeros(10_000), StorageLevel.OFF_HEAP)
    assert own.sum() == others.sum() == 49_995_000
    assert a.statistics().limbo > 0
    del own, others
    for reader in (b, c):
        reader.flush_lease_releases()
    assert a.statistics().limbo == 0


def test_what_a_dead_process_left_is_lost_with_its_name(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster("A", "B")
    cluster.managers["A"].put_single(BLOCK, "value", StorageLevel.OFF_HEAP)
    cluster.kill("A")
    remove_shared_files(cluster)
    assert values(cluster.managers["B"], BLOCK) is None
    assert locations(cluster, BLOCK) == ()


def test_new_blocks_can_be_read_everywhere_and_it_is_said_once(
    make_cluster: ClusterMaker, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make_cluster("A", "B")
    put_everywhere(cluster)
    remove_shared_files(cluster)
    new = cluster.add("new")
    for number, manager in enumerate(cluster.managers.values()):
        manager.put_single(RDDBlockId(1, number), manager.id.executor_id, StorageLevel.OFF_HEAP)
        manager.put_shared(BroadcastBlockId(number), serialize([manager.id.executor_id]))
    no_fetches(cluster)
    for number, name in enumerate([DRIVER, "A", "B", "new"]):
        assert values(new, RDDBlockId(1, number)) == values(new, BroadcastBlockId(number)) == [name]
    assert caplog.text.count("was removed while its run lives") == 1
    assert "RemoveIPC=no" in caplog.text


@pytest.mark.parametrize("in_file", [False, True], ids=["no room at all", "room in files"])
def test_a_block_that_finds_no_new_place_is_not_forgotten(
    make_cluster: ClusterMaker,
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    in_file: bool,
) -> None:
    cluster = make_cluster("A")
    a = cluster.managers["A"]
    cluster.driver.put_shared(BROADCAST, serialize(["value"]))
    old = location_of(cluster, BROADCAST)
    remove_shared_files(cluster)
    reserve = os_layer.reserve

    def full(fd: int, size: int) -> None:
        if not in_file or os.readlink(f"/proc/self/fd/{fd}").startswith("/dev/shm/"):
            raise OSError(errno.ENOSPC, "no space left")
        reserve(fd, size)

    monkeypatch.setattr(os_layer, "reserve", full)
    found = values(a, BROADCAST)
    if in_file:
        assert found == ["value"]
        return
    assert found is None
    assert "driver cannot share block broadcast_3: no room" in caplog.text
    assert location_of(cluster, BROADCAST) == old
    monkeypatch.undo()
    assert values(a, BROADCAST) == ["value"]


def test_a_block_that_is_removed_while_it_moves_is_gone(
    make_cluster: ClusterMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster("A", "B")
    a, b = cluster.managers["A"], cluster.managers["B"]
    a.put_single(BLOCK, "value", StorageLevel.OFF_HEAP)
    cluster.driver.put_shared(BROADCAST, serialize(["value"]))
    remove_shared_files(cluster)
    allocate = Arena.allocate

    def remove_first(self: Arena, size: int, *, allow_fallback: bool = True) -> object:
        monkeypatch.undo()
        a.remove_block(BLOCK)
        cluster.driver.remove_block(BROADCAST)
        return allocate(self, size, allow_fallback=allow_fallback)

    for block_id in (BLOCK, BROADCAST):
        monkeypatch.setattr(Arena, "allocate", remove_first)
        assert values(b, block_id) is None
        assert locations(cluster, block_id) == ()
        a.put_single(BLOCK, "value", StorageLevel.OFF_HEAP)


def test_the_first_of_a_run_to_claim_a_name_has_it(tmp_path: object) -> None:
    scratch = Scratch.create((str(tmp_path),))
    other = Scratch.attach(scratch.primary)
    assert [scratch.claim("a"), other.claim("a"), other.claim("b"), scratch.claim("b")] == [True, False, True, False]
    scratch.remove()
    assert other.claim("a"), "what cannot be written down is said twice"


@pytest.mark.parametrize(("cut", "says"), [(False, "was removed while"), (True, "was cut short while")])
def test_what_happened_to_the_files_is_told_once(
    make_cluster: ClusterMaker, caplog: pytest.LogCaptureFixture, cut: bool, says: str
) -> None:
    cluster = make_cluster("1")
    manager = cluster.managers["1"]
    for number in range(2):
        manager.put_single(RDDBlockId(9, number), b"x", StorageLevel.OFF_HEAP)
        path = location_of(cluster, RDDBlockId(9, number)).segment
        os.truncate(path, 1) if cut else os.unlink(path)
    manager.put_single(BLOCK, b"x", StorageLevel.OFF_HEAP)
    assert [says in message for message in caplog.messages if "while its run lives" in message] == [True]
    assert ("systemd" in caplog.text) is not cut
