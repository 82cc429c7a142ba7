"""Digests of pandas' frames and Arrow's tables, whatever blocks or chunks they lie in."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest

from localcluster.digests.content import content_digest
from tests.localcluster.digests.digests_elsewhere import in_another_process

pd = pytest.importorskip("pandas")


def frame() -> Any:
    return pd.DataFrame(
        {
            "number": np.arange(5),
            "text": ["a", "b", None, "d", "e"],
            "time": pd.date_range("2026-01-01", periods=5, tz="UTC"),
            "kind": pd.Categorical(["x", "y", "x", "x", "y"]),
            "maybe": pd.array([1, None, 3, 4, 5], dtype="Int64"),
            "float": np.arange(5) / 2,
            "object": [(1, 2), {"a": 1}, None, 1, "x"],
            "span": pd.interval_range(0, 5),
            "month": pd.period_range("2026-01", periods=5, freq="M"),
            "long": pd.to_timedelta(np.arange(5), unit="s"),
            "sparse": pd.arrays.SparseArray([0, 0, 1, 0, 2]),
        },
        index=pd.MultiIndex.from_product([["a"], range(5)], names=["l", "n"]),
    )


def values() -> list[Any]:
    whole = frame()
    return [
        whole,
        *(whole[column] for column in whole),
        *(whole[column].array for column in whole),
        *(
            whole.index,
            whole.columns,
            pd.RangeIndex(5),
            pd.Index([1, 2]),
            pd.Index(["a"]),
            pd.date_range("2026", periods=3),
        ),
        *(pd.Timestamp("2026"), pd.Timestamp("2026", tz="UTC"), pd.Timedelta(1), pd.NA, pd.NaT, pd.Period("2026", "M")),
        *(
            whole.dtypes,
            whole.T,
            whole.iloc[::-1],
            whole.rename(columns={"text": "TEXT"}),
            whole.reset_index(drop=True),
        ),
    ]


def test_they_are_the_same_in_another_process_and_all_differ() -> None:
    digests = [content_digest(value).hex() for value in values()]
    assert in_another_process(values()) == digests
    assert len(set(digests)) == len(digests)


def test_how_a_frame_was_put_together_does_not_matter() -> None:
    whole = frame()
    digest = content_digest(whole)
    assert content_digest(whole.copy()) == digest
    by_column = pd.DataFrame(index=whole.index.copy())
    for column in whole:
        by_column[column] = whole[column].copy()
    assert content_digest(by_column) == digest
    assert content_digest(pd.concat([whole.iloc[:2], whole.iloc[2:]])) == digest
    assert content_digest(whole.iloc[::-1].iloc[::-1]) == digest
    list(whole.index), whole.index.is_unique, whole["number"].sum()
    assert content_digest(whole) == digest


@pytest.mark.parametrize("column", list(frame()))
def test_a_changed_cell_changes_the_digest(column: str) -> None:
    changed = frame()
    changed[column] = changed[column].take([4, 1, 2, 3, 0]).set_axis(changed.index)
    assert content_digest(changed) != content_digest(frame())


def test_attributes_and_names_count() -> None:
    one, other = frame(), frame()
    other.attrs["unit"] = "m"
    assert content_digest(one) != content_digest(other)
    assert content_digest(pd.Series([1], name="a")) != content_digest(pd.Series([1], name="b"))


def test_tables_of_arrow() -> None:
    pa = pytest.importorskip("pyarrow")
    table = pa.table(
        {
            "a": [1, None, 3],
            "b": ["x", "yy", None],
            "c": [[1], [], None],
            "d": pa.array(["u", "v", "u"]).dictionary_encode(),
        }
    )
    digest = content_digest(table)
    assert content_digest(pa.concat_tables([table[:1], table[1:]])) == digest
    assert content_digest(pa.concat_tables([table, table])[3:]) == digest
    array = pa.array(["x", "yy", None, "z"])
    assert content_digest(array[1:3]) == content_digest(pa.array(["yy", None]))
    assert content_digest(pa.chunked_array([array[:1], array[1:]])) == content_digest(pa.chunked_array([array]))
    assert content_digest(pa.chunked_array([array])) != content_digest(array)
    everything = [
        table,
        table.to_batches()[0],
        array,
        table.schema,
        pa.int64(),
        array[0],
        table["b"],
        pa.table({"a": [1]}),
    ]
    digests = [content_digest(value).hex() for value in everything]
    assert in_another_process(everything) == digests
    assert len(set(digests)) == len(digests)
