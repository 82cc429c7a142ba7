"""Block ids: which block is meant, by Spark's exact names.

Covers the kinds of id that this project uses and the inverse, `BlockId.parse`. Spark's ids for push-based shuffle,
batches of shuffle blocks and its test id do not exist here.

An id is its name: two ids are equal when their names are, whatever process made them. The constructors accept only
numbers and fields whose name parses back to the same id, so a name always leads to exactly one id.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, ClassVar
from uuid import UUID

from protocol.errors import BlockIdError

MAX_NUMBER = 2**63 - 1  # Spark's Long

_NUMBER = "(0|[1-9][0-9]{0,18})"  # not \d, which takes the digits of every script
_UUID = "([0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12})"
_FIELD = "[A-Za-z0-9_]+"
_RUN = "[A-Za-z0-9-]+"
_NAMESPACE = "[A-Za-z0-9][A-Za-z0-9._-]{0,99}"
_DIGEST = "[0-9a-f]{32}"


class BlockId:
    """Base of all ids. Immutable, hashable, ordered by name; pickles as its class and its fields."""

    __slots__ = ("name",)

    name: str
    is_rdd: ClassVar[bool] = False
    is_shuffle: ClassVar[bool] = False
    is_broadcast: ClassVar[bool] = False
    is_cached_data: ClassVar[bool] = False
    """Whether it is the program's data, cached or received; else the runtime made it for its own purposes."""

    @staticmethod
    def parse(name: str) -> BlockId:
        """The id whose name this is. Raises BlockIdError for any text that is not exactly the name of an id."""
        for pattern, make in _PARSERS:
            match = pattern.fullmatch(name)
            if match is not None:
                try:
                    return make(*match.groups())
                except BlockIdError as error:
                    raise BlockIdError(f"not a block name: {name!r}: {error}") from error
        raise BlockIdError(f"not a block name: {name!r}")

    @property
    def of_rdd(self) -> int | None:
        """Id of the RDD that the block is a partition of."""
        return None

    @property
    def of_shuffle(self) -> int | None:
        """Id of the shuffle that the block is a map output of."""
        return None

    @property
    def of_broadcast(self) -> int | None:
        """Id of the broadcast that the block is a part of."""
        return None

    def __hash__(self) -> int:
        return hash(self.name)  # a str computes its hash once; it is never sent, because it differs between processes

    def __eq__(self, other: object) -> bool:
        return self is other or (isinstance(other, BlockId) and self.name == other.name)

    def __lt__(self, other: BlockId) -> bool:
        return self.name < other.name

    def __str__(self) -> str:
        return self.name


def _set_name(block_id: BlockId, name: str, *numbers: int) -> None:
    for number in numbers:
        if type(number) is not int or not 0 <= number <= MAX_NUMBER:
            raise BlockIdError(f"{type(block_id).__name__} takes integers from 0 to 2**63 - 1, not {number!r}")
    object.__setattr__(block_id, "name", name)  # the dataclasses are frozen


# eq=False keeps equality, hash and order of BlockId; its base is not a dataclass, so `name` is no constructor argument.


@dataclass(frozen=True, slots=True, eq=False)
class RDDBlockId(BlockId):
    """One partition of a cached RDD: ``rdd_1_2``."""

    rdd_id: int
    split_index: int
    is_rdd: ClassVar[bool] = True
    is_cached_data: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _set_name(self, f"rdd_{self.rdd_id}_{self.split_index}", self.rdd_id, self.split_index)

    @property
    def of_rdd(self) -> int:
        return self.rdd_id

    def __reduce__(self) -> tuple[Any, ...]:
        return RDDBlockId, (self.rdd_id, self.split_index)


@dataclass(frozen=True, slots=True, eq=False)
class _MapOutputBlockId(BlockId):
    shuffle_id: int
    map_id: int
    reduce_id: int
    is_shuffle: ClassVar[bool] = True
    _suffix: ClassVar[str] = ""

    def __post_init__(self) -> None:
        name = f"shuffle_{self.shuffle_id}_{self.map_id}_{self.reduce_id}{self._suffix}"
        _set_name(self, name, self.shuffle_id, self.map_id, self.reduce_id)

    @property
    def of_shuffle(self) -> int:
        return self.shuffle_id

    def __reduce__(self) -> tuple[Any, ...]:
        return type(self), (self.shuffle_id, self.map_id, self.reduce_id)


class ShuffleBlockId(_MapOutputBlockId):
    """What one map task wrote for one reducer: ``shuffle_0_1_2``."""

    __slots__ = ()


class ShuffleDataBlockId(_MapOutputBlockId):
    """All that one map task of a sort shuffle wrote: ``shuffle_0_1_0.data``."""

    __slots__ = ()
    _suffix = ".data"


class ShuffleIndexBlockId(_MapOutputBlockId):
    """Where each reducer's slice starts in a ``.data`` block: ``shuffle_0_1_0.index``."""

    __slots__ = ()
    _suffix = ".index"


@dataclass(frozen=True, slots=True, eq=False)
class BroadcastBlockId(BlockId):
    """A broadcast of the program's, ``broadcast_3``, or, with a field, one of the runtime's: ``broadcast_3_stage``."""

    broadcast_id: int
    field: str = ""
    is_broadcast: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if self.field and re.fullmatch(_FIELD, self.field) is None:
            raise BlockIdError(f"a broadcast's field has letters, digits and _ only, not {self.field!r}")
        suffix = f"_{self.field}" if self.field else ""
        _set_name(self, f"broadcast_{self.broadcast_id}{suffix}", self.broadcast_id)

    @property
    def of_broadcast(self) -> int:
        return self.broadcast_id

    def __reduce__(self) -> tuple[Any, ...]:
        return BroadcastBlockId, (self.broadcast_id, self.field)


@dataclass(frozen=True, slots=True, eq=False)
class TaskResultBlockId(BlockId):
    """The result of a task, when it is too large for a message: ``taskresult_7``."""

    task_id: int

    def __post_init__(self) -> None:
        _set_name(self, f"taskresult_{self.task_id}", self.task_id)

    def __reduce__(self) -> tuple[Any, ...]:
        return TaskResultBlockId, (self.task_id,)


@dataclass(frozen=True, slots=True, eq=False)
class StreamBlockId(BlockId):
    """A block of received streaming input: ``input-0-12``."""

    stream_id: int
    unique_id: int
    is_cached_data: ClassVar[bool] = True

    def __post_init__(self) -> None:
        _set_name(self, f"input-{self.stream_id}-{self.unique_id}", self.stream_id, self.unique_id)

    def __reduce__(self) -> tuple[Any, ...]:
        return StreamBlockId, (self.stream_id, self.unique_id)


@dataclass(frozen=True, slots=True, eq=False)
class TempLocalBlockId(BlockId):
    """Data spilled by one task for itself: ``temp_local_<uuid>``."""

    uuid: UUID

    def __post_init__(self) -> None:
        _set_name(self, f"temp_local_{self.uuid}")

    def __reduce__(self) -> tuple[Any, ...]:
        return TempLocalBlockId, (self.uuid,)


@dataclass(frozen=True, slots=True, eq=False)
class TempShuffleBlockId(BlockId):
    """Shuffle data spilled before it becomes a map output: ``temp_shuffle_<uuid>``."""

    uuid: UUID

    def __post_init__(self) -> None:
        _set_name(self, f"temp_shuffle_{self.uuid}")

    def __reduce__(self) -> tuple[Any, ...]:
        return TempShuffleBlockId, (self.uuid,)


@dataclass(frozen=True, slots=True, eq=False)
class ExternalBlockId(BlockId):
    """A block of one run as a store knows it that outlives runs: ``localcluster-1000-0123456789ab.rdd_1_2``."""

    run: str
    block: BlockId

    def __post_init__(self) -> None:
        if re.fullmatch(_RUN, self.run) is None:
            raise BlockIdError(f"a run's name has letters, digits and - only, not {self.run!r}")
        _set_name(self, f"{self.run}.{self.block.name}")

    def __reduce__(self) -> tuple[Any, ...]:
        return ExternalBlockId, (self.run, self.block)


@dataclass(frozen=True, slots=True, eq=False)
class CacheBlockId(BlockId):
    """An entry of the machine's cache, ``cache_features_<digest of its key>``: a namespace, 32 hexadecimal digits."""

    namespace: str
    digest: str
    is_cached_data: ClassVar[bool] = True

    def __post_init__(self) -> None:
        if re.fullmatch(_NAMESPACE, self.namespace) is None:
            raise BlockIdError(
                "a namespace of the cache has up to 100 letters, digits and . _ - only, a letter or digit first, "
                f"not {self.namespace!r}"
            )
        if re.fullmatch(_DIGEST, self.digest) is None:
            raise BlockIdError(f"a digest has 32 hexadecimal digits, not {self.digest!r}")
        _set_name(self, f"cache_{self.namespace}_{self.digest}")

    def __reduce__(self) -> tuple[Any, ...]:
        return CacheBlockId, (self.namespace, self.digest)


def _of_numbers(kind: Callable[..., BlockId]) -> Callable[..., BlockId]:
    return lambda *numbers: kind(*map(int, numbers))


_PARSERS: list[tuple[re.Pattern[str], Callable[..., BlockId]]] = [
    (re.compile(f"rdd_{_NUMBER}_{_NUMBER}"), _of_numbers(RDDBlockId)),
    (re.compile(f"shuffle_{_NUMBER}_{_NUMBER}_{_NUMBER}"), _of_numbers(ShuffleBlockId)),
    (re.compile(rf"shuffle_{_NUMBER}_{_NUMBER}_{_NUMBER}\.data"), _of_numbers(ShuffleDataBlockId)),
    (re.compile(rf"shuffle_{_NUMBER}_{_NUMBER}_{_NUMBER}\.index"), _of_numbers(ShuffleIndexBlockId)),
    (
        re.compile(f"broadcast_{_NUMBER}(?:_({_FIELD}))?"),
        lambda number, field: BroadcastBlockId(int(number), field or ""),
    ),
    (re.compile(f"taskresult_{_NUMBER}"), _of_numbers(TaskResultBlockId)),
    (re.compile(f"input-{_NUMBER}-{_NUMBER}"), _of_numbers(StreamBlockId)),
    (re.compile(f"temp_local_{_UUID}"), lambda text: TempLocalBlockId(UUID(text))),
    (re.compile(f"temp_shuffle_{_UUID}"), lambda text: TempShuffleBlockId(UUID(text))),
    (re.compile(f"cache_({_NAMESPACE})_({_DIGEST})"), CacheBlockId),
    (re.compile(rf"({_RUN})\.(.+)"), lambda run, name: ExternalBlockId(run, BlockId.parse(name))),
]
