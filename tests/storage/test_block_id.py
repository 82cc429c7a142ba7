"""Block ids: names as Spark spells them, parse as the exact inverse. Mirrors Spark's BlockIdSuite."""

from __future__ import annotations

import pickle
import re
from contextlib import suppress
from dataclasses import FrozenInstanceError
from uuid import UUID

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from protocol.errors import BlockIdError
from storage.block_id import (
    MAX_NUMBER,
    BlockId,
    BroadcastBlockId,
    CacheBlockId,
    ExternalBlockId,
    RDDBlockId,
    ShuffleBlockId,
    ShuffleDataBlockId,
    ShuffleIndexBlockId,
    StreamBlockId,
    TaskResultBlockId,
    TempLocalBlockId,
    TempShuffleBlockId,
)

UUID_TEXT = "00000000-0000-0005-0000-000000000002"

# id, a different id of the same kind, name
KINDS = [
    (RDDBlockId(1, 2), RDDBlockId(1, 1), "rdd_1_2"),
    (ShuffleBlockId(1, 2, 3), ShuffleBlockId(3, 2, 3), "shuffle_1_2_3"),
    (ShuffleDataBlockId(4, 5, 6), ShuffleDataBlockId(6, 5, 6), "shuffle_4_5_6.data"),
    (ShuffleIndexBlockId(7, 8, 9), ShuffleIndexBlockId(9, 8, 9), "shuffle_7_8_9.index"),
    (BroadcastBlockId(42), BroadcastBlockId(123), "broadcast_42"),
    (BroadcastBlockId(3, "piece0"), BroadcastBlockId(3), "broadcast_3_piece0"),
    (TaskResultBlockId(60), TaskResultBlockId(61), "taskresult_60"),
    (StreamBlockId(1, 100), StreamBlockId(2, 101), "input-1-100"),
    (TempLocalBlockId(UUID(UUID_TEXT)), TempLocalBlockId(UUID(int=3)), f"temp_local_{UUID_TEXT}"),
    (TempShuffleBlockId(UUID(UUID_TEXT)), TempShuffleBlockId(UUID(int=3)), f"temp_shuffle_{UUID_TEXT}"),
    (ExternalBlockId("run-1", RDDBlockId(1, 2)), ExternalBlockId("run-2", RDDBlockId(1, 2)), "run-1.rdd_1_2"),
    (CacheBlockId("a.b_c-1", "1" * 32), CacheBlockId("a.b_c-1", "2" * 32), f"cache_a.b_c-1_{'1' * 32}"),
]
IDS = [block_id for block_id, _, _ in KINDS]

numbers = st.integers(0, MAX_NUMBER)
fields = st.text("abcXYZ019_", max_size=12)
block_ids = st.one_of(
    st.builds(RDDBlockId, numbers, numbers),
    st.builds(ShuffleBlockId, numbers, numbers, numbers),
    st.builds(ShuffleDataBlockId, numbers, numbers, numbers),
    st.builds(ShuffleIndexBlockId, numbers, numbers, numbers),
    st.builds(BroadcastBlockId, numbers, fields),
    st.builds(TaskResultBlockId, numbers),
    st.builds(StreamBlockId, numbers, numbers),
    st.builds(TempLocalBlockId, st.uuids()),
    st.builds(TempShuffleBlockId, st.uuids()),
    st.builds(
        CacheBlockId,
        st.from_regex("[A-Za-z0-9][A-Za-z0-9._-]{0,99}", fullmatch=True),
        st.text("0123456789abcdef", min_size=32, max_size=32),
    ),
)
block_ids |= st.builds(ExternalBlockId, st.text("abcXYZ019-", min_size=1), block_ids)


@pytest.mark.parametrize(("block_id", "different", "name"), KINDS)
def test_an_id_is_its_name(block_id: BlockId, different: BlockId, name: str) -> None:
    assert block_id.name == str(block_id) == name
    assert type(BlockId.parse(name)) is type(block_id)
    assert BlockId.parse(name) == block_id
    assert hash(BlockId.parse(name)) == hash(block_id)
    assert different != block_id
    assert different.name != name
    assert hash(different) != hash(block_id)


@pytest.mark.parametrize("block_id", IDS, ids=str)
def test_an_id_knows_its_family(block_id: BlockId) -> None:
    assert block_id.is_rdd == block_id.name.startswith("rdd_")
    assert block_id.is_shuffle == block_id.name.startswith("shuffle_")
    assert block_id.is_broadcast == block_id.name.startswith("broadcast_")
    assert block_id.is_cached_data == block_id.name.startswith(("rdd_", "input-", "cache_"))


@pytest.mark.parametrize("block_id", IDS, ids=str)
def test_an_id_knows_what_it_belongs_to(block_id: BlockId) -> None:
    number = int(re.findall("[0-9]+", block_id.name)[0])
    assert block_id.of_rdd == (number if block_id.is_rdd else None)
    assert block_id.of_shuffle == (number if block_id.is_shuffle else None)
    assert block_id.of_broadcast == (number if block_id.is_broadcast else None)


def test_fields_hold_the_numbers_of_the_name() -> None:
    rdd, shuffle = RDDBlockId(1, 2), ShuffleIndexBlockId(7, 8, 9)
    assert (rdd.rdd_id, rdd.split_index) == (1, 2)
    assert (shuffle.shuffle_id, shuffle.map_id, shuffle.reduce_id) == (7, 8, 9)
    assert BroadcastBlockId(42).field == ""
    assert BlockId.parse("broadcast_3__a_") == BroadcastBlockId(3, "_a_")


@given(block_ids)
def test_parse_inverts_the_name(block_id: BlockId) -> None:
    parsed = BlockId.parse(block_id.name)
    assert parsed == block_id
    assert repr(parsed) == repr(block_id)  # the same kind with the same fields


@given(block_ids, block_ids)
def test_ids_are_equal_exactly_when_their_fields_are(one: BlockId, other: BlockId) -> None:
    assert (one == other) == (repr(one) == repr(other))


BAD_NAMES = [
    f"cache__{'1' * 32}",
    f"cache_a_{'1' * 31}",
    f"cache_a_{'1' * 33}",
    f"cache_a_{'A' * 32}",
    f"cache_.a_{'1' * 32}",
    f"cache_a/b_{'1' * 32}",
    f"cache_{'a' * 101}_{'1' * 32}",
    f"cache_a_{'1' * 32}\n",
    "",
    "myblock",
    "test_abc",
    "rdd_1",
    "rdd_1_2_3",
    "rdd_-1_2",
    "rdd_+1_2",
    "rdd_01_2",
    "rdd_1_02",
    "rdd_1_2\n",
    "\nrdd_1_2",
    " rdd_1_2",
    "rdd_1_2 ",
    "RDD_1_2",
    "rdd_1__2",
    "rdd_1_٢",  # an Arabic digit, which int() and \d take
    "rdd_1_²",
    f"rdd_1_{MAX_NUMBER + 1}",
    f"rdd_1_{'9' * 5000}",  # more digits than int() takes
    "rdd_1_1_000",
    "shuffle_0_1",
    "shuffle_0_1_2.dat",
    "shuffle_0_1_2xdata",
    "shuffle_0_1_2.data\n",
    "shuffle_1_2_3_4",
    "shuffleMerged_app_000_8_9.data",
    "shuffleChunk_1_1_0",
    "broadcast_3_",
    "broadcast_3piece0",
    "broadcast_3_piece-0",
    "broadcast_3_é",
    "broadcast_3_a\n",
    "taskresult_",
    "taskresult_7 ",
    "input-0_12",
    "input_0_12",
    "temp_local_",
    f"temp_local_{UUID_TEXT}\n",
    f"temp_local_{UUID_TEXT.replace('-', '')}",
    "temp_local_{" + UUID_TEXT + "}",
    f"temp_local_urn:uuid:{UUID_TEXT}",
    "temp_local_ABCDEF00-0000-0005-0000-000000000002",
    "temp_local_0000000-00000-0005-0000-000000000002",
    f"temp_other_{UUID_TEXT}",
]


@pytest.mark.parametrize("name", BAD_NAMES, ids=lambda name: repr(name)[:40])
def test_parse_rejects_what_is_no_name_and_says_so(name: str) -> None:
    with pytest.raises(BlockIdError) as raised:
        BlockId.parse(name)
    assert repr(name) in str(raised.value)


near_names = st.from_regex(r"(rdd|shuffle|broadcast|taskresult|input|temp_local)[_-][-+ 0-9a-f_٣]*(\.data|\.index)?\s?")


@given(near_names | st.text(max_size=20))
@example("rdd_00_1")
@example("broadcast_0_0")
def test_parse_accepts_only_text_that_is_the_name_of_what_it_returns(text: str) -> None:
    parsed: BlockId | None = None
    with suppress(BlockIdError):
        parsed = BlockId.parse(text)
    assert parsed is None or parsed.name == text


@pytest.mark.parametrize("number", [-1, MAX_NUMBER + 1, 1.0, "1", True, None])
def test_constructors_reject_what_a_name_cannot_hold(number: object) -> None:
    with pytest.raises(BlockIdError, match="RDDBlockId takes integers"):
        RDDBlockId(0, number)  # type: ignore[arg-type]


@pytest.mark.parametrize("field", ["piece-0", "a b", "é", "a\n", "."])
def test_a_broadcast_field_has_word_characters_only(field: str) -> None:
    with pytest.raises(BlockIdError, match="field"):
        BroadcastBlockId(1, field)


@pytest.mark.parametrize("protocol", range(2, pickle.HIGHEST_PROTOCOL + 1))
@pytest.mark.parametrize("block_id", IDS, ids=str)
def test_ids_survive_pickling(block_id: BlockId, protocol: int) -> None:
    copy = pickle.loads(pickle.dumps(block_id, protocol))
    assert type(copy) is type(block_id)
    assert copy == block_id
    assert copy.name == block_id.name


def test_a_pickled_id_is_small() -> None:
    assert len(pickle.dumps(RDDBlockId(1, 2), 5)) < 64


@pytest.mark.parametrize("block_id", IDS, ids=str)
def test_ids_cannot_be_changed(block_id: BlockId) -> None:
    with pytest.raises((FrozenInstanceError, TypeError)):
        block_id.name = "other"  # type: ignore[misc]
    with pytest.raises((AttributeError, TypeError)):
        block_id.other = 1  # type: ignore[attr-defined]


@given(st.lists(block_ids))
def test_ids_sort_by_name(ids: list[BlockId]) -> None:
    assert [block_id.name for block_id in sorted(ids)] == sorted(block_id.name for block_id in ids)


def test_an_id_is_not_its_name_as_text() -> None:
    assert RDDBlockId(1, 2) != "rdd_1_2"
