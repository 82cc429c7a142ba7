"""Groups of sorted pairs, and the lists that hold them."""

from __future__ import annotations

import os
import pickle
from collections.abc import Iterator

import pytest

from localcluster.compat.external import ExternalList, ExternalListOfList, GroupByKey


@pytest.fixture(autouse=True)
def short_lists(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(ExternalList, "LIMIT", 7)


def pairs(size: int) -> Iterator[tuple[int, list[int]]]:
    return ((key, [n]) for key in range(1, size) for n in range(key))


def test_groups_are_whole_whether_in_memory_or_on_disk() -> None:
    groups = list(GroupByKey(pairs(30)))
    assert [(key, list(values), len(values)) for key, values in groups] == [
        (n, list(range(n)), n) for n in range(1, 30)
    ]
    assert list(groups[-1][1]) == list(range(29)), "a group can be read again"


def test_groups_can_be_pickled_and_appended_to_afterwards() -> None:
    ((_, values),) = pickle.loads(pickle.dumps(list(GroupByKey((0, [n]) for n in range(20)))))
    values.append([20, 21])
    assert list(values) == list(range(22))
    assert len(values) == 22


def test_nothing_has_no_groups() -> None:
    assert list(GroupByKey([])) == []


def test_a_list_of_lists_reads_as_one() -> None:
    values = ExternalListOfList([[i, i] for i in range(100)])
    values.append([1, 2, 3])
    assert (len(values), len(list(values))) == (203, 203)


def test_the_items_on_disk_are_in_a_file_without_a_name() -> None:
    before = len(os.listdir("/proc/self/fd"))
    values = ExternalList([])
    for n in range(100):
        values.append(n)
    assert len(values.values) < 7
    assert list(values) == list(range(100))
    assert len(os.listdir("/proc/self/fd")) == before + 1
    del values
    assert len(os.listdir("/proc/self/fd")) == before
