"""Blocks in a store of the program's own: whose they are, who reads them, and what earlier processes left there."""

from __future__ import annotations

import logging
from collections.abc import Iterator, Mapping
from typing import Any

import pytest

from protocol import block_messages as m
from protocol.errors import BlockNotFoundError, BlockPutError
from protocol.locations import DRIVER, ExternalLocation
from storage.block_id import BlockId, ExternalBlockId, RDDBlockId
from storage.block_manager import BlockManager
from storage.block_result import BlockResult
from storage.block_store import BlockStore, PutResult
from storage.local_transport import LocalCluster
from storage.managed_buffer import HeapBuffer, ManagedBuffer
from storage.serializer import deserialize, serialize
from storage.storage_level import StorageLevel
from tests.storage.clusters import ClusterMaker, block, locations, run_together, values
from tests.storage.masters import BLOCK, THE_DRIVER, A, B, Master

BLOCK_0 = RDDBlockId(0, 0)


class OwnStore(BlockStore):
    """The simplest store that a user could plug in; each process has one of its own."""

    def __init__(self, options: Mapping[str, str]) -> None:
        self.options = options
        self.blocks: dict[BlockId, bytes] = {}
        self.asked: list[BlockId] = []
        self.is_closed = False

    def put_bytes(self, block_id: BlockId, data: ManagedBuffer, level: StorageLevel) -> PutResult:
        if self.contains(block_id):
            raise BlockPutError(f"{block_id} is here already")
        self.blocks[block_id] = bytes(data.memoryview())
        return PutResult(True, data.size)

    def put_iterator(self, block_id: BlockId, values: Iterator[Any], level: StorageLevel) -> PutResult:
        return self.put_bytes(block_id, HeapBuffer(b"".join(serialize(values))), level)

    def get_size(self, block_id: BlockId) -> int:
        if not self.contains(block_id):
            raise BlockNotFoundError(f"no {block_id}")
        return len(self.blocks[block_id])

    def get_bytes(self, block_id: BlockId) -> ManagedBuffer | None:
        return HeapBuffer(self.blocks[block_id]) if self.contains(block_id) else None

    def get_values(self, block_id: BlockId) -> Iterator[Any] | None:
        return deserialize(self.blocks[block_id]) if self.contains(block_id) else None

    def remove(self, block_id: BlockId) -> bool:
        self.asked.append(block_id)
        return self.blocks.pop(block_id, None) is not None

    def contains(self, block_id: BlockId) -> bool:
        self.asked.append(block_id)
        return block_id in self.blocks

    def clear(self) -> None:
        self.blocks.clear()

    def close(self) -> None:
        self.is_closed = True


SERVER: dict[BlockId, bytes] = {}


class KeptStore(OwnStore):
    """One for all processes, which outlives them and their run."""

    def __init__(self, options: Mapping[str, str]) -> None:
        super().__init__(options)
        self.blocks = SERVER


@pytest.fixture
def make_run(make_cluster: ClusterMaker) -> Any:
    """Clusters whose OFF_HEAP blocks go to the kept store."""
    SERVER.clear()
    return lambda *executors: make_cluster(*executors, external_store=f"{__name__}.KeptStore")


def store_of(manager: BlockManager) -> Any:
    return manager.off_heap_store.store  # type: ignore[union-attr]


def read_or_compute(manager: BlockManager, block_id: BlockId, value: str) -> Any:
    result, leftover = manager.get_or_else_update(block_id, StorageLevel.OFF_HEAP, lambda: [value])
    assert leftover is None
    assert isinstance(result, BlockResult)
    (found,) = result.values
    return found


def holders(cluster: LocalCluster, block_id: BlockId) -> list[str]:
    return [holder.executor_id for holder, _ in locations(cluster, block_id)]


def test_a_store_of_the_users_own_takes_off_heap_blocks(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster(external_store=f"{__name__}.OwnStore", external_store_options={"key": "value"})
    a, b = cluster.add("A"), cluster.add("B")
    assert store_of(a).options == {"key": "value", "executor_id": "A"}
    a.put_single(block(1), "kept outside", StorageLevel.OFF_HEAP)
    a.put_single(block(2), "kept inside", StorageLevel.MEMORY_ONLY)
    assert [block_id.block for block_id in store_of(a).blocks] == [block(1)]
    assert values(a, block(1)) == values(b, block(1)) == ["kept outside"]
    a.master.remove_block(block(1))
    assert not store_of(a).blocks
    assert locations(cluster, block(1)) == ()


def test_blocks_of_other_levels_are_none_of_its_business(make_run: Any) -> None:
    cluster = make_run("A", "B")
    a, b = cluster.managers["A"], cluster.managers["B"]
    a.put_single(block(1), "heap", StorageLevel.MEMORY_ONLY)
    a.put_single(block(2), "disk", StorageLevel.DISK_ONLY)
    for number, value in ((1, "heap"), (2, "disk")):
        assert values(a, block(number)) == values(b, block(number)) == [value]
        a.remove_block(block(number))
    assert store_of(a).asked == store_of(b).asked == []


@pytest.mark.parametrize("level", [StorageLevel.OFF_HEAP, StorageLevel(True, True, True, False, 2)])
def test_every_process_reads_the_store_itself(make_run: Any, level: StorageLevel) -> None:
    cluster = make_run("A", "B")
    a, b = cluster.managers["A"], cluster.managers["B"]
    a.put_single(block(1), "kept", level)
    assert locations(cluster, block(1)) == ((a.id, ExternalLocation()),), "copies are the store's affair"
    cluster.hook = lambda seen: isinstance(seen.message, m.FetchBlock)
    assert values(b, block(1)) == ["kept"]
    assert len(SERVER) == 1


def test_blocks_stay_when_the_process_that_put_them_dies(make_run: Any) -> None:
    cluster = make_run("A", "B")
    assert read_or_compute(cluster.managers["A"], BLOCK_0, "computed") == "computed"
    cluster.kill("A")
    assert holders(cluster, BLOCK_0) == [DRIVER]
    assert read_or_compute(cluster.managers["B"], BLOCK_0, "computed again") == "computed"
    assert values(cluster.add("A"), BLOCK_0) == ["computed"]
    cluster.driver.master.remove_rdd(0)
    assert not SERVER
    assert holders(cluster, BLOCK_0) == []
    assert read_or_compute(cluster.managers["B"], BLOCK_0, "computed anew") == "computed anew"


def test_blocks_stay_when_a_process_falls_silent_and_are_its_own_when_it_comes_back(make_run: Any) -> None:
    cluster = make_run("A")
    a = cluster.managers["A"]
    a.put_single(BLOCK_0, "kept", StorageLevel.OFF_HEAP)
    cluster.forget("A")
    assert holders(cluster, BLOCK_0) == [DRIVER]
    a.heartbeat()
    assert set(holders(cluster, BLOCK_0)) == {DRIVER, "A"}
    cluster.driver.master.remove_rdd(0)
    assert not SERVER
    assert holders(cluster, BLOCK_0) == []


def test_a_store_that_is_its_processs_own_dies_with_it(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster("A", "B", external_store=f"{__name__}.OwnStore")
    assert read_or_compute(cluster.managers["A"], BLOCK_0, "computed") == "computed"
    cluster.kill("A")
    assert holders(cluster, BLOCK_0) == []
    assert read_or_compute(cluster.managers["B"], BLOCK_0, "computed again") == "computed again"


def test_a_run_takes_nothing_of_another_for_its_own(make_run: Any) -> None:
    first, second = make_run("A"), make_run("A")
    for run, value in ((first, "first"), (second, "second")):
        assert read_or_compute(run.managers["A"], BLOCK_0, value) == value
    assert len(SERVER) == 2
    assert values(first.driver, BLOCK_0) == ["first"]
    first.stop()
    assert [key.name.split(".")[1] for key in SERVER] == ["rdd_0_0"]
    assert values(second.driver, BLOCK_0) == ["second"]


def test_what_a_process_put_and_did_not_live_to_tell_is_found_by_the_next_put(make_run: Any) -> None:
    cluster = make_run("A")
    cluster.managers["A"].put_single(BLOCK_0, "kept", StorageLevel.OFF_HEAP, tell_master=False)
    cluster.kill("A")
    assert holders(cluster, BLOCK_0) == []
    assert read_or_compute(cluster.add("B"), BLOCK_0, "computed again") == "kept"
    assert holders(cluster, BLOCK_0) == ["B"]
    cluster.driver.master.remove_rdd(0)
    assert not SERVER


def test_processes_that_compute_the_same_block_at_once_all_succeed(make_run: Any) -> None:
    cluster = make_run("A", "B", "C")
    managers = [cluster.managers[name] for name in "ABC"]
    for number in range(50):
        found: list[Any] = []

        def compute(manager: BlockManager, number: int = number, found: list[Any] = found) -> None:
            found.append(read_or_compute(manager, RDDBlockId(0, number), "same"))

        run_together(*(lambda manager=manager: compute(manager) for manager in managers))
        assert found == ["same"] * 3


def test_a_put_that_fails_is_an_error_also_when_the_store_cannot_be_asked(
    make_run: Any, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_run("A")

    def away(self: Any, *arguments: Any) -> Any:
        raise ConnectionError("the store is away")

    def put(self: Any, *arguments: Any) -> Any:
        monkeypatch.setattr(KeptStore, "contains", away)
        monkeypatch.setattr(KeptStore, "remove", away)
        raise BlockPutError("no room in the store")

    monkeypatch.setattr(KeptStore, "put_bytes", put)
    with pytest.raises(BlockPutError, match="no room in the store"):
        cluster.managers["A"].put_single(BLOCK_0, 1, StorageLevel.OFF_HEAP)
    monkeypatch.undo()
    assert holders(cluster, BLOCK_0) == []


def test_a_run_that_ends_leaves_nothing_in_the_store(make_run: Any) -> None:
    cluster = make_run("A", "B")
    stores = [store_of(manager) for manager in cluster.managers.values()]
    for name in "AB":
        cluster.managers[name].put_single(RDDBlockId(0, ord(name)), "kept", StorageLevel.OFF_HEAP)
    cluster.kill("A")
    SERVER[ExternalBlockId("another-run", BLOCK_0)] = b""
    cluster.stop()
    assert list(SERVER) == [ExternalBlockId("another-run", BLOCK_0)]
    assert [store.is_closed for store in stores] == [True, False, True], "the dead one had no time"


def test_a_store_that_is_away_at_the_end_is_a_warning_that_names_what_is_left(
    make_run: Any, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    cluster = make_run("A")
    cluster.managers["A"].put_single(BLOCK_0, 1, StorageLevel.OFF_HEAP)
    (left,) = SERVER

    def away(self: Any, block_id: BlockId) -> bool:
        raise ConnectionError("the store is away")

    monkeypatch.setattr(KeptStore, "remove", away)
    with caplog.at_level(logging.WARNING):
        cluster.stop()
    assert f"{left.run}.*" in caplog.text  # type: ignore[attr-defined]
    assert "the store is away" in caplog.text


def test_the_master_hands_external_blocks_to_the_driver() -> None:
    master = Master(A, B)
    for number in (1, 2):
        master.holds(A, ExternalLocation(), block=RDDBlockId(1, number))
    tells = master.tell(THE_DRIVER, m.RemoveExecutor("A"))
    assert [(party, type(order), set(order.block_ids)) for party, order in tells] == [
        (DRIVER, m.AdoptBlocks, {RDDBlockId(1, 1), RDDBlockId(1, 2)})
    ]
    assert master.locations(B, BLOCK) == ((THE_DRIVER, ExternalLocation()),)
    assert not master.tell(THE_DRIVER, m.RemoveExecutor("B"))
