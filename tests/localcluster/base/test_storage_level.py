"""Storage levels as PySpark's programs know them: names, flags, texts; and equal to the storage layer's by flags."""

from __future__ import annotations

import pickle

import pytest

import localcluster
from localcluster.base.storage_level import StorageLevel
from protocol.errors import ConfigurationError
from storage.storage_level import StorageLevel as StorageLayersLevel

# Recorded from PySpark 4.3: repr and str of each of its constants.
PYSPARKS = {
    "NONE": ("StorageLevel(False, False, False, False, 1)", "Serialized 1x Replicated"),
    "DISK_ONLY": ("StorageLevel(True, False, False, False, 1)", "Disk Serialized 1x Replicated"),
    "DISK_ONLY_2": ("StorageLevel(True, False, False, False, 2)", "Disk Serialized 2x Replicated"),
    "DISK_ONLY_3": ("StorageLevel(True, False, False, False, 3)", "Disk Serialized 3x Replicated"),
    "MEMORY_ONLY": ("StorageLevel(False, True, False, False, 1)", "Memory Serialized 1x Replicated"),
    "MEMORY_ONLY_2": ("StorageLevel(False, True, False, False, 2)", "Memory Serialized 2x Replicated"),
    "MEMORY_AND_DISK": ("StorageLevel(True, True, False, False, 1)", "Disk Memory Serialized 1x Replicated"),
    "MEMORY_AND_DISK_2": ("StorageLevel(True, True, False, False, 2)", "Disk Memory Serialized 2x Replicated"),
    "OFF_HEAP": ("StorageLevel(True, True, True, False, 1)", "Disk Memory OffHeap Serialized 1x Replicated"),
    "MEMORY_AND_DISK_DESER": ("StorageLevel(True, True, False, True, 1)", "Disk Memory Deserialized 1x Replicated"),
}


@pytest.mark.parametrize("name", PYSPARKS)
def test_constants_are_pysparks(name: str) -> None:
    level = getattr(localcluster.StorageLevel, name)
    assert (repr(level), str(level)) == PYSPARKS[name]
    assert StorageLevel.from_string(name) is level


def test_names_that_say_serialised_are_the_same_levels() -> None:
    assert StorageLevel.MEMORY_ONLY_SER == StorageLevel.MEMORY_ONLY
    assert StorageLevel.MEMORY_ONLY_SER_2 == StorageLevel.MEMORY_ONLY_2
    assert StorageLevel.MEMORY_AND_DISK_SER == StorageLevel.MEMORY_AND_DISK
    assert StorageLevel.MEMORY_AND_DISK_SER_2 == StorageLevel.MEMORY_AND_DISK_2


def test_flags_have_pysparks_names() -> None:
    level = StorageLevel(useDisk=True, useMemory=False, useOffHeap=False, deserialized=False, replication=2)
    flags = level.useDisk, level.useMemory, level.useOffHeap, level.deserialized, level.replication
    assert flags == (True, False, False, False, 2)
    assert StorageLevel(True, False, False, False).replication == 1


def test_levels_are_values() -> None:
    level = StorageLevel(False, True, False, False)
    assert level == StorageLevel.MEMORY_ONLY
    assert level != StorageLevel.DISK_ONLY
    assert level != "MEMORY_ONLY"
    assert {level, StorageLevel.MEMORY_ONLY} == {level}
    copy = pickle.loads(pickle.dumps(level))
    assert (copy, type(copy)) == (level, StorageLevel)


def test_they_equal_levels_of_the_storage_layer_with_the_same_flags_not_the_same_name() -> None:
    for one, other in (
        (StorageLevel.MEMORY_ONLY, StorageLayersLevel.MEMORY_ONLY_SER),
        (StorageLevel.MEMORY_AND_DISK_DESER, StorageLayersLevel.MEMORY_AND_DISK),
    ):
        assert one == other
        assert other == one
        assert hash(one) == hash(other)
    assert StorageLevel.MEMORY_ONLY != StorageLayersLevel.MEMORY_ONLY


def test_impossible_levels_are_refused() -> None:
    with pytest.raises(ConfigurationError, match="replication"):
        StorageLevel(False, True, False, False, 40)
    with pytest.raises(ValueError, match="off-heap"):
        StorageLevel(False, True, True, True)
