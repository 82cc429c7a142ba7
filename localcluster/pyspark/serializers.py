"""PySpark's module of this name."""

from localcluster.batching import (
    AutoBatchedSerializer,
    BatchedSerializer,
    CartesianDeserializer,
    FlattenedValuesSerializer,
    PairDeserializer,
)
from localcluster.framing import (
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
from localcluster.serializers import (
    AutoSerializer,
    CloudPickleSerializer,
    CompressedSerializer,
    MarshalSerializer,
    NoOpSerializer,
    PickleSerializer,
    UTF8Deserializer,
)
from localcluster.serializers import CloudPickleSerializer as CPickleSerializer

__all__ = ["CPickleSerializer", "CloudPickleSerializer", "MarshalSerializer", "PickleSerializer", "UTF8Deserializer"]
