"""PySpark's serializers: how records become bytes, for programs that choose one or use one themselves.

What one given to `SparkContext` leads to is in `record_encoding`. Blocks, shuffles and results of localcluster itself
are written by `storage.serializer`, which chooses the encoding for each batch of records.
"""

from localcluster.serializers.batching import (
    AutoBatchedSerializer,
    BatchedSerializer,
    CartesianDeserializer,
    FlattenedValuesSerializer,
    PairDeserializer,
)
from localcluster.serializers.encodings import (
    AutoSerializer,
    CloudPickleSerializer,
    CompressedSerializer,
    CPickleSerializer,
    MarshalSerializer,
    NoOpSerializer,
    PickleSerializer,
    UTF8Deserializer,
)
from localcluster.serializers.framing import (
    FramedSerializer,
    Serializer,
    SpecialLengths,
    pack_long,
    read_bool,
    read_int,
    read_long,
    write_int,
    write_long,
    write_with_length,
)

__all__ = [
    "AutoBatchedSerializer",
    "AutoSerializer",
    "BatchedSerializer",
    "CPickleSerializer",
    "CartesianDeserializer",
    "CloudPickleSerializer",
    "CompressedSerializer",
    "FlattenedValuesSerializer",
    "FramedSerializer",
    "MarshalSerializer",
    "NoOpSerializer",
    "PairDeserializer",
    "PickleSerializer",
    "Serializer",
    "SpecialLengths",
    "UTF8Deserializer",
    "pack_long",
    "read_bool",
    "read_int",
    "read_long",
    "write_int",
    "write_long",
    "write_with_length",
]
