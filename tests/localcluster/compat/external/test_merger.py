"""PySpark's `ExternalMerger` on our combiner."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pytest

from localcluster.compat.external import Aggregator, ExternalGroupBy, ExternalMerger, SimpleAggregator
from localcluster.compat.external.merger import Merger
from protocol.errors import PySparkRuntimeError, SerializationError

LISTS = Aggregator(lambda x: [x], lambda x, y: [*x, y], lambda x, y: x + y)
ROWS = [(n % 100, n) for n in range(3000)]
SUM = sum(n for _, n in ROWS)


@pytest.mark.parametrize(("limit", "spills"), [(1 << 20, False), (1, True)])
@pytest.mark.parametrize("kind", [ExternalMerger, ExternalGroupBy])
def test_values_of_a_key_come_together_in_order(kind: type[ExternalMerger], limit: int, spills: bool) -> None:
    merger = kind(LISTS, limit)
    merger.mergeValues(ROWS)
    assert (merger.spills > 0) is spills
    assert dict(merger.items()) == {key: [n for k, n in ROWS if k == key] for key in range(100)}


def test_values_and_combiners_can_be_merged_into_one(tmp_path: Path) -> None:
    merger = ExternalMerger(
        SimpleAggregator(lambda a, b: a + b), 1, localdirs=[str(tmp_path / "a"), str(tmp_path / "b")]
    )
    merger.mergeValues(ROWS)
    merger.mergeCombiners(ROWS)
    assert list(tmp_path.rglob("temp_*"))
    items = dict(merger.items())
    assert (len(items), sum(items.values())) == (100, 2 * SUM)
    assert not list(tmp_path.rglob("temp_*"))


@pytest.mark.parametrize("end", ["_cleanup", "del"])
def test_files_go_with_a_merger_that_is_not_read(tmp_path: Path, end: str) -> None:
    merger = ExternalMerger(LISTS, localdirs=[str(tmp_path)])
    merger.mergeValues(ROWS)
    merger._spill()
    assert merger.spills == 1
    assert list(tmp_path.rglob("temp_*"))
    if end == "_cleanup":
        merger._cleanup()
    else:
        del merger
    assert not list(tmp_path.rglob("temp_*"))


def stop(*_: Any) -> Any:
    raise StopIteration


@pytest.mark.parametrize(
    "aggregator", [Aggregator(stop, stop, stop), Aggregator(list, stop, stop), SimpleAggregator(stop)]
)
def test_a_stop_iteration_is_an_error(aggregator: Aggregator) -> None:
    with pytest.raises(PySparkRuntimeError, match="STOP_ITERATION_OCCURRED"):
        ExternalMerger(aggregator).mergeValues([(1, ()), (1, ())])


def test_values_that_must_be_spilled_and_cannot_be_pickled_are_an_error() -> None:
    merger = ExternalMerger(SimpleAggregator(lambda a, b: a))
    merger.mergeValues((n, (x for x in ())) for n in range(10))
    with pytest.raises(SerializationError, match="generator"):
        merger._spill()


def test_a_merger_without_methods_cannot_be_made() -> None:
    with pytest.raises(TypeError):
        Merger(LISTS)  # type: ignore[abstract]
