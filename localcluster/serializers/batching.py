"""Serializers that write their records in batches, and those that read batches of two kinds by turns.

As in PySpark. Covers no encoding of their own: each hands its batches to another serializer.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sized
from itertools import chain, islice, product
from typing import Any, BinaryIO

from localcluster.serializers.framing import Serializer, write_with_length


class BatchedSerializer(Serializer):
    """Hands its records to another serializer in lists of ``batchSize``, or in one list of all."""

    UNLIMITED_BATCH_SIZE = -1
    UNKNOWN_BATCH_SIZE = 0

    def __init__(self, serializer: Any, batchSize: int = UNLIMITED_BATCH_SIZE) -> None:
        self.serializer = serializer
        self.batchSize = batchSize

    def _batched(self, iterator: Iterable[Any]) -> Iterator[Any]:
        if self.batchSize == self.UNLIMITED_BATCH_SIZE:
            yield list(iterator)
            return
        records = iter(iterator)
        while batch := list(islice(records, self.batchSize)):
            yield batch

    def dump_stream(self, iterator: Iterable[Any], stream: BinaryIO) -> None:
        self.serializer.dump_stream(self._batched(iterator), stream)

    def load_stream(self, stream: BinaryIO) -> Iterator[Any]:
        return chain.from_iterable(self._load_stream_without_unbatching(stream))

    def _load_stream_without_unbatching(self, stream: BinaryIO) -> Iterator[Iterable[Any]]:
        batches: Iterator[Iterable[Any]] = self.serializer.load_stream(stream)
        return batches

    def __repr__(self) -> str:
        return f"BatchedSerializer({self.serializer}, {self.batchSize})"


class FlattenedValuesSerializer(BatchedSerializer):
    """For pairs of a key and a list: cuts lists longer than ``batchSize``, so that a key may come several times."""

    def __init__(self, serializer: Any, batchSize: int = 10) -> None:
        super().__init__(serializer, batchSize)

    def _batched(self, iterator: Iterable[Any]) -> Iterator[Any]:
        for key, values in iterator:
            for start in range(0, len(values), self.batchSize):
                yield key, values[start : start + self.batchSize]

    def load_stream(self, stream: BinaryIO) -> Iterator[Any]:
        pairs: Iterator[Any] = self.serializer.load_stream(stream)
        return pairs

    def __repr__(self) -> str:
        return f"FlattenedValuesSerializer({self.serializer}, {self.batchSize})"


class AutoBatchedSerializer(BatchedSerializer):
    """Batches of about ``bestSize`` bytes: twice as many records after a small batch, half as many after a huge one."""

    def __init__(self, serializer: Any, bestSize: int = 1 << 16) -> None:
        super().__init__(serializer, self.UNKNOWN_BATCH_SIZE)
        self.bestSize = bestSize

    def dump_stream(self, iterator: Iterable[Any], stream: BinaryIO) -> None:
        records = iter(iterator)
        count = 1
        while batch := list(islice(records, count)):
            data = self.serializer.dumps(batch)
            write_with_length(data, stream)
            if len(data) < self.bestSize:
                count *= 2
            elif len(data) > 10 * self.bestSize and count > 1:
                count //= 2

    def __repr__(self) -> str:
        return f"AutoBatchedSerializer({self.serializer})"


# --- two streams in one --------------------------------------------------------------------------------------------


class _TwoStreams(Serializer):
    """Reads batches of keys and batches of values by turns."""

    def __init__(self, key_ser: Serializer, val_ser: Serializer) -> None:
        self.key_ser = key_ser
        self.val_ser = val_ser

    def _combine(self, keys: Iterable[Any], values: Iterable[Any]) -> Iterable[Any]:
        raise NotImplementedError

    def _load_stream_without_unbatching(self, stream: BinaryIO) -> Iterator[Iterable[Any]]:
        keys = self.key_ser._load_stream_without_unbatching(stream)
        values = self.val_ser._load_stream_without_unbatching(stream)
        # Not strict: the end of the stream, met by whichever reads next, ends both.
        return (self._combine(*batches) for batches in zip(keys, values))  # noqa: B905

    def load_stream(self, stream: BinaryIO) -> Iterator[Any]:
        return chain.from_iterable(self._load_stream_without_unbatching(stream))

    def __repr__(self) -> str:
        return f"{type(self).__name__}({self.key_ser}, {self.val_ser})"


class CartesianDeserializer(_TwoStreams):
    """Every key of a batch with every value of the batch that follows it."""

    def _combine(self, keys: Iterable[Any], values: Iterable[Any]) -> Iterable[Any]:
        return product(keys, values)


class PairDeserializer(_TwoStreams):
    """The keys of a batch with the values of the batch that follows it, one to one. ValueError if their numbers
    differ.
    """

    def _combine(self, keys: Iterable[Any], values: Iterable[Any]) -> Iterable[Any]:
        keys = keys if isinstance(keys, Sized) else list(keys)
        values = values if isinstance(values, Sized) else list(values)
        if len(keys) != len(values):
            raise ValueError(
                f"Can not deserialize PairRDD with different number of items in batches: ({len(keys)}, {len(values)})"
            )
        return zip(keys, values, strict=True)
