"""What a serializer given to `SparkContext` does to a program's records.

Covers the two places where records pass between driver and tasks, collections and results: there they go through the
serializer, so they fail or change as PySpark's do. In between (shuffles, cached blocks) `storage.serializer` chooses
the encoding for each batch, as it does everywhere when the program gives no serializer.
"""

from __future__ import annotations

import io
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from localcluster.serializers.framing import Serializer


def encoded_and_decoded(serializer: Serializer, records: list[Any]) -> list[Any]:
    """The records as they come out of a stream of the serializer. Raises what it raises."""
    stream = io.BytesIO()
    serializer.dump_stream(iter(records), stream)
    stream.seek(0)
    return list(serializer.load_stream(stream))


class EncodedResult:
    """A function of a task whose result goes through a serializer."""

    __slots__ = ("func", "serializer")

    def __init__(self, func: Callable[..., Any], serializer: Serializer) -> None:
        self.func = func
        self.serializer = serializer

    def __call__(self, *args: Any) -> Any:
        return encoded_and_decoded(self.serializer, [self.func(*args)])[0]

    def __repr__(self) -> str:  # seen when the function cannot be pickled
        return repr(self.func)
