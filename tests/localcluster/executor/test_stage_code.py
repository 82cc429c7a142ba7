"""What the tasks of one stage get to run: one lineage for all, or a fresh one each."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from localcluster.executor.stage_code import StageCode
from localcluster.rdd.lineage import dump_lineage
from protocol.cluster_messages import StageDescription
from protocol.errors import BlockNotFoundError, SerializationError
from storage import serializer
from storage.block_id import BroadcastBlockId
from storage.managed_buffer import HeapBuffer
from tests.localcluster.rdd.local_context import LocalContext

NO_BLOCKS: Any = None  # the binary travels with the description


def stage_code(function: Any, action: Any = None) -> StageCode:
    rdd = LocalContext().range(10).map(function)
    return of_binary(dump_lineage(rdd, action))


def of_binary(binary: bytes) -> StageCode:
    return StageCode(StageDescription(0, 0, binary, {}, 0), NO_BLOCKS)


def test_a_lineage_without_state_is_shared_from_the_second_task_on() -> None:
    code = stage_code(lambda x: x + 1)
    code.load()
    assert code.load() is code.load()


def test_a_lineage_with_state_is_unpickled_for_every_task() -> None:
    seen: list[int] = []
    code = stage_code(lambda x: seen.append(x))
    loaded = [code.load()[0] for _ in range(4)]
    assert len(set(map(id, loaded))) == 4


def test_an_action_with_state_is_not_shared_either() -> None:
    counts = {"calls": 0}
    code = stage_code(lambda x: x, lambda task_context, values: counts)
    assert code.load()[1] is not code.load()[1]


def test_changes_that_a_task_makes_to_its_closure_are_not_seen_by_the_next() -> None:
    calls = 0

    def count_calls(task_context: Any, values: Any) -> int:
        nonlocal calls
        calls += 1
        return calls

    code = stage_code(lambda x: x, count_calls)
    assert [code.load()[1](None, ()) for _ in range(3)] == [1, 1, 1]


@pytest.mark.parametrize("binary", [b"", b"garbage", b"cno_such_module\nname\n."])
def test_a_binary_that_cannot_be_loaded_says_so_each_time(binary: bytes) -> None:
    code = of_binary(binary)
    for _ in range(2):
        with pytest.raises(SerializationError, match="cannot be unpickled in the executor"):
            code.load()


def test_a_binary_in_shared_memory_is_fetched_once_when_it_is_loaded() -> None:
    """The job may be over by the time; or a fetch fails, and the next one does not."""
    binary = HeapBuffer(b"".join(serializer.wrap(dump_lineage(LocalContext().range(3), "action"))))
    found = [None, binary]
    master = SimpleNamespace(get_block_status=lambda block_id: {})
    blocks = SimpleNamespace(get_bytes=lambda block_id: found.pop(0), master=master)
    code = StageCode(StageDescription(0, 0, BroadcastBlockId(4), {}, 0), blocks)  # type: ignore[arg-type]
    with pytest.raises(BlockNotFoundError, match="broadcast_4"):
        code.load()
    assert code.load()[1] == "action"
    assert code.load()[1] == "action"


def test_a_module_that_is_missing_is_named_with_the_way_out() -> None:
    binary = b"cno_such_module\nname\n."
    with pytest.raises(SerializationError, match=r"No module named 'no_such_module'.*addPyFile"):
        of_binary(binary).load()
