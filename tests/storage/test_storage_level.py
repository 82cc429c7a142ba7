"""Storage levels: Spark's names and flags, their rules, and how they print."""

from __future__ import annotations

import ast
import pickle
from dataclasses import FrozenInstanceError
from pathlib import Path

import pytest

import storage
from protocol.errors import ConfigurationError
from storage.storage_level import _NAMED, StorageLevel

# name: (disk, memory, off heap, deserialized, replication), as in Scala's object StorageLevel
LEVELS = {
    "NONE": (False, False, False, False, 1),
    "DISK_ONLY": (True, False, False, False, 1),
    "DISK_ONLY_2": (True, False, False, False, 2),
    "DISK_ONLY_3": (True, False, False, False, 3),
    "MEMORY_ONLY": (False, True, False, True, 1),
    "MEMORY_ONLY_2": (False, True, False, True, 2),
    "MEMORY_ONLY_SER": (False, True, False, False, 1),
    "MEMORY_ONLY_SER_2": (False, True, False, False, 2),
    "MEMORY_AND_DISK": (True, True, False, True, 1),
    "MEMORY_AND_DISK_2": (True, True, False, True, 2),
    "MEMORY_AND_DISK_SER": (True, True, False, False, 1),
    "MEMORY_AND_DISK_SER_2": (True, True, False, False, 2),
    "MEMORY_AND_DISK_DESER": (True, True, False, True, 1),
    "OFF_HEAP": (True, True, True, False, 1),
}


def test_these_are_all_levels_that_have_a_name() -> None:
    annotated = {name for name, kind in StorageLevel.__annotations__.items() if kind.startswith("ClassVar")}
    named = {name for name, value in vars(StorageLevel).items() if isinstance(value, StorageLevel)}
    assert annotated == named == set(_NAMED) == set(LEVELS)


@pytest.mark.parametrize(("name", "flags"), LEVELS.items())
def test_named_levels_have_the_flags_of_scala_spark(name: str, flags: tuple[bool, bool, bool, bool, int]) -> None:
    level = getattr(StorageLevel, name)
    assert (level.use_disk, level.use_memory, level.use_off_heap, level.deserialized, level.replication) == flags
    assert (level.useDisk, level.useMemory, level.useOffHeap) == flags[:3]
    assert level == StorageLevel(*flags)
    assert StorageLevel.from_string(name) is level
    assert level.is_valid == (name != "NONE")


@pytest.mark.parametrize(
    ("level", "text"),
    [
        (StorageLevel.NONE, "Serialized 1x Replicated"),
        (StorageLevel.DISK_ONLY_3, "Disk Serialized 3x Replicated"),
        (StorageLevel.MEMORY_ONLY, "Memory Deserialized 1x Replicated"),
        (StorageLevel.MEMORY_AND_DISK_SER_2, "Disk Memory Serialized 2x Replicated"),
        (StorageLevel.OFF_HEAP, "Disk Memory OffHeap Serialized 1x Replicated"),
    ],
)
def test_levels_print_as_in_pyspark(level: StorageLevel, text: str) -> None:
    assert str(level) == text


def test_repr_is_the_call_that_makes_the_level() -> None:
    assert repr(StorageLevel.MEMORY_ONLY_2) == "StorageLevel(False, True, False, True, 2)"


@pytest.mark.parametrize("replication", [0, -1, 40, 1.5, "2"])
def test_replication_is_from_1_to_39(replication: object) -> None:
    with pytest.raises(ConfigurationError, match="replication"):
        StorageLevel(False, True, False, False, replication)  # type: ignore[arg-type]
    assert StorageLevel(False, True, False, False, 39).replication == 39


def test_off_heap_cannot_be_deserialized() -> None:
    with pytest.raises(ConfigurationError, match="off-heap"):
        StorageLevel(False, True, True, True)


@pytest.mark.parametrize("name", ["", "memory_only", "MEMORY_ONLY ", "MEMORY_ONLY_3", "from_string", "is_valid"])
def test_from_string_rejects_other_names_and_lists_the_known(name: str) -> None:
    with pytest.raises(ConfigurationError, match="MEMORY_AND_DISK_SER_2") as raised:
        StorageLevel.from_string(name)
    assert repr(name) in str(raised.value)


@pytest.mark.parametrize("name", LEVELS)
def test_levels_are_values(name: str) -> None:
    level = StorageLevel.from_string(name)
    copy = pickle.loads(pickle.dumps(level, 5))
    assert copy == level
    assert hash(copy) == hash(level)
    assert len(pickle.dumps(level, 5)) < 80
    with pytest.raises(FrozenInstanceError):
        level.replication = 2  # type: ignore[misc]


def test_each_flag_makes_a_different_level() -> None:
    levels = {StorageLevel(*flags) for flags in LEVELS.values()}
    assert len(levels) == len(LEVELS) - 1  # MEMORY_AND_DISK has two names


def test_only_these_modules_look_at_the_flags_of_a_level() -> None:
    """Whoever changes what a level leads to finds all of it there; the module's docstring says which does what."""
    flags = {"use_disk", "use_memory", "use_off_heap", "deserialized", "replication"}
    looking = {
        path.stem
        for path in Path(storage.__path__[0]).glob("*.py")
        for node in ast.walk(ast.parse(path.read_text()))
        if isinstance(node, ast.Attribute) and node.attr in flags
    }
    assert looking == {"storage_level", "tiers", "memory_store", "block_manager", "block_sharing", "master_replicas"}, (
        "rules by level belong in the modules that the docstring of storage_level names; others ask a property of it"
    )
