"""PySpark's module of this name."""

from localcluster.serializers import (
    AutoBatchedSerializer,
    AutoSerializer,
    BatchedSerializer,
    CartesianDeserializer,
    CloudPickleSerializer,
    CompressedSerializer,
    CPickleSerializer,
    FlattenedValuesSerializer,
    FramedSerializer,
    MarshalSerializer,
    NoOpSerializer,
    PairDeserializer,
    PickleSerializer,
    Serializer,
    SpecialLengths,
    UTF8Deserializer,
    pack_long,
    read_bool,
    read_int,
    read_long,
    write_int,
    write_long,
    write_with_length,
)

__all__ = ["CPickleSerializer", "CloudPickleSerializer", "MarshalSerializer", "PickleSerializer", "UTF8Deserializer"]
