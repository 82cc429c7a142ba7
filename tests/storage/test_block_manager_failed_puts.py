"""A put that fails leaves nothing behind. Mirrors Spark's BlockManagerSuite."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import pytest

from protocol import block_messages as m
from protocol.errors import (
    AskTimeoutError,
    BlockMasterStoppedError,
    BlockPutError,
    BrokenChannelError,
    ClosedChannelError,
    SerializationError,
    TaskKilledError,
)
from storage import os_layer
from storage.storage_level import StorageLevel
from tests.storage.clusters import BIG, LEVELS, ClusterMaker, block, block_files, locations, values


class Unpicklable:
    def __reduce__(self) -> Any:
        raise TypeError("not this one")


@pytest.mark.parametrize("level", ["DISK_ONLY", "MEMORY_ONLY_SER", "OFF_HEAP"])
def test_a_put_that_cannot_be_serialised_leaves_nothing(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    with pytest.raises(SerializationError):
        a.put_single(block(1), Unpicklable(), StorageLevel.from_string(level))
    assert a.get(block(1)) is None
    assert locations(cluster, block(1)) == ()
    assert a.statistics().extents == 0
    assert block_files(a) == []
    assert a.put_single(block(1), 1, StorageLevel.from_string(level))


@pytest.mark.parametrize("level", LEVELS)
def test_an_iterator_that_raises_leaves_nothing_and_the_next_put_works(make_cluster: ClusterMaker, level: str) -> None:
    cluster = make_cluster()
    a = cluster.add("A")

    def broken() -> Iterator[int]:
        yield 1
        raise InterruptedError("in the middle")

    with pytest.raises(InterruptedError):
        a.get_or_else_update(block(1), StorageLevel.from_string(level), broken)
    assert block(1) not in a.block_ids()
    assert locations(cluster, block(1)) == ()
    result, _ = a.get_or_else_update(block(1), StorageLevel.from_string(level), lambda: [2])
    assert result is not None
    assert list(result.values) == [2]


@pytest.mark.parametrize("level", ["MEMORY_ONLY_2", "DISK_ONLY_2"])
def test_an_interrupted_replication_takes_the_block_back_everywhere_here(
    make_cluster: ClusterMaker, level: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster("B")
    a = cluster.add("A")

    def interrupted(*arguments: Any) -> Any:
        raise InterruptedError("during the upload")

    monkeypatch.setattr(a.master, "replicate_to", interrupted)
    with pytest.raises(InterruptedError):
        a.put_single(block(1), "value", StorageLevel.from_string(level))
    assert a.get_local_bytes(block(1)) is None
    assert locations(cluster, block(1)) == ()
    assert cluster.driver.get_remote_bytes(block(1)) is None


def test_a_put_whose_report_is_lost_leaves_nothing(make_cluster: ClusterMaker) -> None:
    cluster = make_cluster()
    a = cluster.add("A")
    cluster.hook = lambda seen: isinstance(seen.message, m.UpdateBlockInfo)
    with pytest.raises(AskTimeoutError):
        a.put_single(block(1), 1, StorageLevel.OFF_HEAP)
    assert block(1) not in a.block_ids()
    cluster.hook = None
    assert a.put_single(block(1), 1, StorageLevel.OFF_HEAP)


def test_a_full_disk_is_an_error_that_leaves_nothing(
    make_cluster: ClusterMaker, monkeypatch: pytest.MonkeyPatch
) -> None:
    cluster = make_cluster()
    a = cluster.add("A")

    def full(fd: int, data: Any) -> int:
        raise OSError(28, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "write", full)
        with pytest.raises(BlockPutError, match="No space"):
            a.put_single(block(1), BIG, StorageLevel.DISK_ONLY)
    assert locations(cluster, block(1)) == ()
    assert a.put_single(block(1), BIG, StorageLevel.DISK_ONLY)


def test_a_level_that_stores_nowhere_is_refused(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    with pytest.raises(BlockPutError, match="storage level"):
        a.put_single(block(1), 1, StorageLevel.NONE)


def test_a_put_of_a_block_that_is_here_changes_nothing(make_cluster: ClusterMaker) -> None:
    a = make_cluster().add("A")
    assert a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    assert a.put_single(block(1), 2, StorageLevel.DISK_ONLY)
    assert values(a, block(1)) == [1]


@pytest.mark.parametrize(
    "news", [BlockMasterStoppedError("stopped"), ClosedChannelError("gone"), BrokenChannelError("")]
)
def test_a_put_that_fails_since_the_run_is_over_is_no_news(
    make_cluster: ClusterMaker, news: Exception, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    a = make_cluster().add("A")

    def over(*arguments: Any) -> Any:
        raise news

    with monkeypatch.context() as patch:
        patch.setattr(a.master, "update_block_info", over)
        with pytest.raises(type(news)):
            a.put_single(block(1), 1, StorageLevel.MEMORY_ONLY)
    assert block(1) not in a.block_ids()
    assert caplog.messages == []


def test_a_failed_put_is_news_while_the_run_goes_on(
    make_cluster: ClusterMaker, caplog: pytest.LogCaptureFixture
) -> None:
    a = make_cluster().add("A")
    with pytest.raises(SerializationError):
        a.put_single(block(1), Unpicklable(), StorageLevel.DISK_ONLY)
    assert caplog.messages == [f"putting block {block(1)} failed"]


def test_a_put_of_a_task_that_is_killed_is_no_news(
    make_cluster: ClusterMaker, caplog: pytest.LogCaptureFixture
) -> None:
    a = make_cluster().add("A")

    def killed() -> Iterator[int]:
        yield 1
        raise TaskKilledError("another attempt won")

    with pytest.raises(TaskKilledError):
        a.get_or_else_update(block(1), StorageLevel.MEMORY_ONLY, killed)
    assert block(1) not in a.block_ids()
    assert caplog.messages == []
