"""Every message of both protocols: what it is made of, and that it arrives as it was sent."""

from __future__ import annotations

import dataclasses
import inspect
import pickle
from typing import Any, NamedTuple

import pytest

from protocol import block_messages, cache_messages, cluster_messages
from protocol.cluster_messages import LaunchTasks, TaskDescription, TaskResult, TasksFinished
from protocol.locations import BlockManagerId, FileLocation, HeapLocation, ShmLocation
from protocol.message import BlockIdLike, Message, Order, Report, StorageLevelLike
from protocol.task_output import InBlock, Inline, MapOutput
from protocol.wire import dumps, loads


class NamedId(NamedTuple):
    name: str


class Level(NamedTuple):
    use_disk: bool = True
    use_memory: bool = True
    use_off_heap: bool = False
    deserialized: bool = True
    replication: int = 2
    is_valid: bool = True


BLOCK_ID: BlockIdLike = NamedId("rdd_1_2")
LEVEL: StorageLevelLike = Level()
MANAGER = BlockManagerId("3", 4711)
SHM = ShmLocation("/dev/shm/localcluster-x", 64, 4096)


def starts_with_rdd(block_id: BlockIdLike) -> bool:
    return block_id.name.startswith("rdd")


# {annotation of a field: a value for it}; a message with a new kind of field needs a line here
SAMPLES: dict[str, Any] = {
    "int": 7,
    "int | None": None,
    "str": "7",
    "str | None": None,
    "float": 0.25,
    "bool": False,
    "bytes": b"\0pickled",
    "bytes | None": b"\0pickled",
    "bytes | SharedLocation": SHM,
    "tuple[int, ...]": (1, 2, 3),
    "tuple[int, Mapping[int, int | None]] | None": (1, {2: 3, 4: None}),
    "tuple[TaskDescription, ...]": (TaskDescription(1, 2, 0, b"p"), TaskDescription(3, 4, 1, b"q")),
    "tuple[TaskResult, ...]": (
        TaskResult(1, Inline(b"r"), None, 0.5),
        TaskResult(2, InBlock(SHM), b"u", 0.25),
        TaskResult(3, MapOutput((SHM, None)), None, 0.25),
    ),
    "tuple[str, ...]": ("a", "b"),
    "frozenset[int]": frozenset({1, 2}),
    "Mapping[str, str]": {"spark.executor.memory": "1g"},
    "Mapping[str, int]": {"": 30, "app": 10},
    "BlockIdLike": BLOCK_ID,
    "tuple[BlockIdLike, ...]": (BLOCK_ID, NamedId("broadcast_3")),
    "StorageLevelLike": LEVEL,
    "BlockManagerId": MANAGER,
    "tuple[BlockManagerId, ...]": (MANAGER,),
    "Location": HeapLocation("3"),
    "Location | None": SHM,
    "SharedLocation": FileLocation("/tmp/x", 0, 10),
    "tuple[ShmLocation, ...]": (SHM,),
    "tuple[tuple[ShmLocation, int], ...]": ((SHM, 2),),
    "Callable[[Any], bool]": starts_with_rdd,
}

MESSAGES = [
    member
    for module in (block_messages, cache_messages, cluster_messages)
    for _, member in inspect.getmembers(module, inspect.isclass)
    if issubclass(member, Message) and member.__module__ == module.__name__
]


def value_for(annotation: str) -> Any:
    """A value for a field: of the whole annotation, else of the first of its alternatives."""
    first = annotation.split(" | ")[0]
    nested = getattr(cluster_messages, first, None)  # a message inside a message
    if nested in MESSAGES:
        return sample(nested)
    return SAMPLES[annotation] if annotation in SAMPLES else SAMPLES[first]


def sample(message_class: type[Message]) -> Any:
    fields: Any = dataclasses.fields(message_class)  # type: ignore[arg-type]
    return message_class(**{field.name: value_for(field.type) for field in fields})


def test_the_whole_block_protocol_of_spark_is_there() -> None:
    assert {message.__name__ for message in MESSAGES} >= {
        "BlockManagerHeartbeat",
        "ExpireDeadHosts",
        "GetBlockStatus",
        "GetLocations",
        "GetLocationsMultipleBlockIds",
        "GetMatchingBlockIds",
        "GetMemoryStatus",
        "GetPeers",
        "GetStorageStatus",
        "HasCachedBlocks",
        "RegisterBlockManager",
        "RemoveBlock",
        "RemoveBroadcast",
        "RemoveExecutor",
        "RemoveRdd",
        "RemoveShuffle",
        "StopBlockManagerMaster",
        "UpdateBlockInfo",
    }


@pytest.mark.parametrize("message_class", MESSAGES)
def test_a_message_arrives_as_it_was_sent(message_class: type[Message]) -> None:
    message = sample(message_class)
    assert loads(dumps(message)) == message


@pytest.mark.parametrize("message_class", MESSAGES)
def test_a_message_is_frozen_slotted_has_a_direction_and_says_what_triggers_it(message_class: type[Message]) -> None:
    message = sample(message_class)
    assert isinstance(message, Order | Report)
    assert not hasattr(message, "__dict__")
    for field in message.__match_args__:
        with pytest.raises(dataclasses.FrozenInstanceError):
            setattr(message, field, None)
    assert message_class.__doc__
    assert not message_class.__doc__.startswith(message_class.__name__ + "(")  # what a dataclass without one gets


@pytest.mark.parametrize("message_class", MESSAGES)
def test_a_message_pickles_without_the_slow_state_of_dataclasses(message_class: type[Message]) -> None:
    assert b"_dataclass" not in pickle.dumps(sample(message_class), protocol=5)


def test_tasks_and_results_arrive_as_named_tuples() -> None:
    launch = loads(dumps(sample(LaunchTasks)))
    assert [type(task) for task in launch.tasks] == [TaskDescription, TaskDescription]
    finished = loads(dumps(sample(TasksFinished)))
    assert [type(result) for result in finished.results] == [TaskResult] * 3
