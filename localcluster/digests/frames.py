"""What pandas' frames and Arrow's tables are like, for a walk: columns, whatever blocks or chunks they lie in.

Indexes, and arrays of pandas' own types, are told by their reductions, which are the same for equal ones.
"""

from __future__ import annotations

import marshal
from typing import Any

from xxhash import xxh3_128

from localcluster.digests.walk import Leaf, Shape


def pandas_shape(pd: Any, value: Any) -> Shape | None:
    """None if pandas' own reduction will do."""
    kind = type(value)
    if kind is pd.DataFrame:
        columns = [value.iloc[:, place].array for place in range(value.shape[1])]
        labels = [*value.columns]
        named = ("its columns", "its index", "its attributes", "its flags")
        return Shape(
            ("frame",),
            (value.columns, value.index, value.attrs, value.flags.allows_duplicate_labels, *columns),
            lambda place: named[place] if place < 4 else f"column {labels[place - 4]!r}",
        )
    if kind is pd.Series:
        parts = (value.name, value.index, value.attrs, value.flags.allows_duplicate_labels, value.array)
        return Shape(("series",), parts, ("name", "index", "attributes", "flags", "values").__getitem__)
    if kind is getattr(pd.arrays, "NumpyExtensionArray", None) or kind is getattr(pd.arrays, "PandasArray", None):
        return Shape(("numpy array",), (value.to_numpy(),), "its values".format)
    if isinstance(value, (pd.api.extensions.ExtensionArray, pd.api.extensions.ExtensionDtype)):
        reduced = value.__reduce_ex__(5)
        return Shape(("array",), reduced if isinstance(reduced, str) else [_lasting(part) for part in reduced[:3]])
    return None


def _lasting(state: Any) -> Any:
    """Without what was worked out since the array was made."""
    if isinstance(state, tuple):
        return tuple(part for part in map(_lasting, state) if part is not None)
    if isinstance(state, dict):
        return {name: part for name, part in state.items() if name not in ("_cache", "_readonly")} or None
    return state


def arrow_shape(pa: Any, value: Any) -> Leaf | None:
    """Of arrays, tables and batches; None if Arrow's own reduction will do."""
    if isinstance(value, pa.Table):
        kind, table = "table", value
    elif isinstance(value, pa.RecordBatch):
        kind, table = "batch", pa.Table.from_batches([value])
    elif isinstance(value, (pa.Array, pa.ChunkedArray)):
        kind, table = "array" if isinstance(value, pa.Array) else "chunks", pa.table([value], [""])
    else:
        return None
    return Leaf(_digest_of_table(pa, kind, table))


def _digest_of_table(pa: Any, kind: str, table: Any) -> bytes:
    """By Arrow's own format. A table that is a part of its buffers is copied, so that nothing else is in them."""
    if table.nbytes != table.get_total_buffer_size() or any(column.num_chunks != 1 for column in table.columns):
        columns = [pa.concat_arrays([*column.chunks, pa.nulls(0, column.type)]) for column in table.columns]
        table = pa.Table.from_arrays(columns, schema=table.schema)
    sink = _Sink(marshal.dumps(("arrow", kind, table.num_rows), 2))
    with pa.PythonFile(sink, mode="w") as file, pa.ipc.new_stream(file, table.schema) as writer:
        writer.write_table(table)
    return sink.digest.digest()


class _Sink:
    """A file that is hashed and not kept."""

    def __init__(self, head: bytes) -> None:
        self.digest = xxh3_128(head)
        self.closed = False

    def write(self, data: bytes) -> int:
        self.digest.update(data)
        return len(data)

    def flush(self) -> None:
        """Nothing waits."""

    def close(self) -> None:
        self.closed = True
