"""Checkpoints: when they are written, what is read afterwards, and what becomes of the lineage."""

from __future__ import annotations

import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest

from localcluster.base.storage_level import StorageLevel
from localcluster.rdd.checkpoint import write_checkpoint
from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.lineage import dump_lineage
from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.partitioner import Partitioner
from protocol.errors import SparkException
from protocol.sql_errors import IllegalArgumentException
from storage import os_layer
from tests.localcluster.rdd.local_context import LocalContext
from tests.support import fails


@pytest.fixture
def directory(sc: LocalContext, tmp_path: Path) -> Path:
    """Where the context's checkpoints go."""
    sc.setCheckpointDir(str(tmp_path))
    (path,) = tmp_path.iterdir()
    return path


@pytest.fixture
def log() -> list[Any]:
    _log.clear()
    return _log


_log: list[Any] = []


def noted(x: Any) -> Any:
    _log.append(x)  # pickled by reference: the in-process context's tasks write here
    return x


def files(directory: Path) -> list[str]:
    return sorted(str(path.relative_to(directory)) for path in directory.rglob("*") if path.is_file())


def test_the_first_job_writes_and_later_ones_read(sc: LocalContext, directory: Path, log: list[Any]) -> None:
    rdd = sc.parallelize([1, 2, 3], 2).map(noted)
    rdd.checkpoint()
    assert (rdd.is_checkpointed, rdd.isCheckpointed(), rdd.getCheckpointFile(), files(directory)) == (
        True,
        False,
        None,
        [],
    )
    assert rdd.count() == 3
    assert sorted(log) == [1, 1, 2, 2, 3, 3], "a pass for the count, a pass for the files"
    assert rdd.isCheckpointed()
    assert rdd.getCheckpointFile() == f"file:{directory}/rdd-{rdd.id()}"
    assert rdd.map(str).glom().collect() == [["1"], ["2", "3"]]
    assert len(log) == 6
    assert files(directory) == [f"rdd-{rdd.id()}/part-00000", f"rdd-{rdd.id()}/part-00001"]


def test_the_directory_is_as_the_context_says(sc: LocalContext, tmp_path: Path) -> None:
    assert sc.getCheckpointDir() is None
    sc.setCheckpointDir(f"file:{tmp_path}/not there yet")
    parent, _, name = str(sc.getCheckpointDir()).rpartition("/")
    assert parent == f"file:{tmp_path}/not there yet"
    assert os.listdir(tmp_path / "not there yet") == [name]
    first = sc.getCheckpointDir()
    sc.setCheckpointDir(str(tmp_path))
    assert sc.getCheckpointDir() != first


def test_a_directory_that_cannot_be_made(sc: LocalContext, tmp_path: Path) -> None:
    (tmp_path / "file").write_bytes(b"")
    with pytest.raises(SparkException, match=r"file/.* cannot be made"):
        sc.setCheckpointDir(str(tmp_path / "file"))
    with pytest.raises(SparkException, match="Checkpoint directory has not been set in the SparkContext"):
        sc.parallelize([1]).checkpoint()


def test_a_cached_rdd_is_not_computed_again(sc: LocalContext, directory: Path, log: list[Any]) -> None:
    rdd = sc.parallelize([1, 2], 2).map(noted).cache()
    rdd.checkpoint()
    assert rdd.collect() == [1, 2]
    assert log == [1, 2]
    sc.blocks.blocks.clear()
    assert rdd.collect() == [1, 2]
    assert log == [1, 2], "read from the files"
    assert rdd.unpersist().collect() == [1, 2]
    assert rdd.persist(StorageLevel.DISK_ONLY).collect() == [1, 2]
    assert sorted(sc.blocks.blocks) == [f"rdd_{rdd.id()}_0", f"rdd_{rdd.id()}_1"]


def test_a_job_on_some_partitions_writes_all(sc: LocalContext, directory: Path) -> None:
    rdd = sc.parallelize(range(8), 4).map(abs)
    rdd.checkpoint()
    assert rdd.take(1) == [0]
    assert rdd.isCheckpointed()
    assert rdd.collect() == list(range(8))


def make_shuffled(sc: LocalContext) -> Any:
    return sc.parallelize([(1, 2), (3, 4), (1, 5)], 3).reduceByKey(max, 2)


def make_united(sc: LocalContext) -> Any:
    return sc.parallelize([1, 2], 2).union(sc.parallelize([3], 1))


def make_united_side_by_side(sc: LocalContext) -> Any:
    placed = sc.parallelize([(1, 2), (3, 4)], 3).partitionBy(2)
    return placed.union(placed)


def make_zipped(sc: LocalContext) -> Any:
    return sc.parallelize([1, 2, 3], 2).zip(sc.parallelize([4, 5, 6], 2))


def make_cogrouped(sc: LocalContext) -> Any:
    return sc.parallelize([(1, 2), (3, 4)], 2).join(sc.parallelize([(1, "a")], 3))


MAKERS: dict[str, Callable[[LocalContext], Any]] = {
    "collection": lambda sc: sc.parallelize(["a", None, (1, 2)], 2),
    "range": lambda sc: sc.range(10, numSlices=3),
    "empty": lambda sc: sc.emptyRDD(),
    "empty partitions": lambda sc: sc.parallelize([], 3),
    "shuffled": make_shuffled,
    "united": make_united,
    "united side by side": make_united_side_by_side,
    "zipped": make_zipped,
    "product": lambda sc: sc.parallelize([1, 2], 2).cartesian(sc.parallelize("ab", 2)),
    "coalesced": lambda sc: sc.parallelize([1, 2, 3], 3).coalesce(2),
    "cogrouped": make_cogrouped,
}


@pytest.mark.parametrize("make", MAKERS.values(), ids=MAKERS)
def test_every_kind_keeps_records_partitions_and_partitioner(
    sc: LocalContext, directory: Path, make: Callable[[LocalContext], Any]
) -> None:
    rdd = make(sc)
    child, places, partitioner = rdd.map(repr), rdd.glom().collect(), rdd.partitioner
    texts, wide = child.collect(), child.union(child).coalesce(2)
    wide_texts = wide.collect()  # its partitions hold those of before
    rdd.checkpoint()
    rdd.count()
    assert rdd.isCheckpointed()
    assert [d.rdd.dependencies for d in rdd.dependencies] == [()]
    assert (rdd.getNumPartitions(), rdd.partitioner) == (len(places), partitioner)
    assert rdd.glom().collect() == places
    assert (child.collect(), wide.collect()) == (texts, wide_texts)
    again = LocalContext()._checkpointFile(rdd.getCheckpointFile())
    assert again.glom().collect() == places
    assert again.partitioner == partitioner


def test_marked_ancestors_are_written_by_jobs_on_what_is_made_of_them(sc: LocalContext, directory: Path) -> None:
    source = sc.parallelize([1, 2], 2).map(abs)
    shuffled = source.keyBy(abs).groupByKey(2)
    source.checkpoint()
    shuffled.count()
    assert source.isCheckpointed()
    upper = sc.parallelize([1], 1).map(abs)
    lower = upper.map(abs)
    upper.checkpoint()
    lower.checkpoint()
    lower.count()
    assert (lower.isCheckpointed(), upper.isCheckpointed()) == (True, False), "lower has no ancestors any more"
    upper.count()
    assert upper.isCheckpointed()


def test_nothing_of_what_came_before_travels_or_is_kept(sc: LocalContext, directory: Path) -> None:
    big = "x" * 10_000
    rdd = sc.parallelize([(1, 2)], 2).map(lambda x: (x, big)).reduceByKey(max)
    shuffle = rdd.dependencies[0]
    assert isinstance(shuffle, ShuffleDependency)
    rdd.checkpoint()
    rdd.count()
    assert len(dump_lineage(rdd.map(abs), None)) < 1500
    assert shuffle not in vars(rdd).values()
    assert rdd.toDebugString().decode().splitlines()[1].startswith(" |  ReliableCheckpointRDD[")


def test_reading_partition_by_partition_writes_it_too(sc: LocalContext, directory: Path) -> None:
    for prefetch in (False, True):
        rdd = sc.parallelize([1, 2, 3], 2)
        rdd.checkpoint()
        assert list(rdd.toLocalIterator(prefetch)) == [1, 2, 3]
        assert rdd.isCheckpointed()


def test_iterations_with_checkpoints_stay_short(sc: LocalContext, directory: Path) -> None:
    rdd = sc.parallelize([(1, 1)], 2)
    lengths = []
    for step in range(1, 31):
        rdd = rdd.union(sc.parallelize([(step, step)], 1)).reduceByKey(lambda a, b: a + b, 2)
        if step % 5 == 0:
            rdd.checkpoint()
            rdd.count()
            lengths.append(len(dump_lineage(rdd, None)))
            assert len(rdd.toDebugString().splitlines()) == 2
    assert max(lengths) - min(lengths) < 10
    assert dict(rdd.collect()) == {1: 2, **{step: step for step in range(2, 31)}}


def test_a_failed_write_fails_the_job_and_leaves_the_lineage(sc: LocalContext, directory: Path, log: list[Any]) -> None:
    def fails_in_the_second_pass(x: int) -> int:
        if len(_log) == 3:
            raise ValueError("the second pass")
        return noted(x)  # type: ignore[no-any-return]

    globals()["_fails"] = fails_in_the_second_pass
    rdd = sc.parallelize([1, 2], 2).map(_fails_by_reference)
    rdd.checkpoint()
    with pytest.raises(ValueError, match="the second pass"):
        rdd.count()
    assert not rdd.isCheckpointed()
    assert rdd.getCheckpointFile() is None
    assert list(directory.iterdir()) == []
    log.append("now it works")
    assert rdd.collect() == [1, 2]
    assert rdd.isCheckpointed(), "the mark stayed"


@pytest.mark.parametrize(
    ("call", "number"),
    [
        ("make_directories", errno.ENOSPC),
        ("open_output", errno.EMFILE),
        ("write", errno.ENOSPC),
        ("rename", errno.ENOSPC),
    ],
)
def test_what_the_system_refuses_fails_the_job_and_leaves_the_lineage(
    sc: LocalContext, directory: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    rdd = sc.parallelize([1, 2], 2).map(abs)
    rdd.checkpoint()
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, call, fails(number))
        with pytest.raises(Exception, match=os.strerror(number)):
            rdd.count()
    assert not rdd.isCheckpointed()
    assert list(directory.iterdir()) == []
    assert rdd.collect() == [1, 2]
    assert rdd.isCheckpointed(), "the mark stayed"


@pytest.mark.parametrize(("call", "number"), [("open_to_read", errno.EMFILE), ("map_privately", errno.ENOMEM)])
def test_a_checkpoint_that_cannot_be_mapped_now_can_be_read_later(
    sc: LocalContext, directory: Path, monkeypatch: pytest.MonkeyPatch, call: str, number: int
) -> None:
    rdd = sc.parallelize([1, 2], 2)
    rdd.checkpoint()
    rdd.count()
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, call, fails(number))
        with pytest.raises(SparkException, match=f"checkpoint file .* cannot be read: .*{os.strerror(number)}"):
            rdd.collect()
    assert rdd.collect() == [1, 2]


def _fails_by_reference(x: int) -> Any:
    return globals()["_fails"](x)


def test_two_threads_write_once(sc: LocalContext, directory: Path) -> None:
    rdd = sc.parallelize([1, 2], 2).map(abs)
    rdd.checkpoint()
    mark = rdd._checkpoint
    assert mark is not None
    with mark.lock:  # as another thread that writes
        thread = threading.Thread(target=rdd.count)
        thread.start()
        thread.join(30)
        assert not thread.is_alive()
    assert not rdd.isCheckpointed()
    write_checkpoint(rdd)
    file = rdd.dependencies[0]
    write_checkpoint(rdd)
    assert rdd.dependencies[0] is file


def test_attempts_that_do_not_count_leave_nothing(sc: LocalContext, directory: Path, monkeypatch: Any) -> None:
    run_task = LocalContext._run_task

    def twice(self: Any, rdd: Any, action: Any, index: int) -> Any:
        run_task(self, rdd, action, index)
        return run_task(self, rdd, action, index)

    monkeypatch.setattr(LocalContext, "_run_task", twice)
    rdd = sc.parallelize([1, 2], 2)
    rdd.checkpoint()
    rdd.count()
    assert files(directory) == ["rdd-0/part-00000", "rdd-0/part-00001"]


def test_damaged_checkpoints_are_errors(sc: LocalContext, directory: Path) -> None:
    with pytest.raises(IllegalArgumentException, match=f"Checkpoint directory does not exist: {directory}/nope"):
        sc._checkpointFile(f"file:{directory}/nope")
    rdd = sc.parallelize([1, 2, 3], 3).keyBy(abs).partitionBy(3)
    rdd.checkpoint()
    rdd.count()
    path = directory / f"rdd-{rdd.id()}"
    (path / "_partitioner").write_bytes(b"no pickle")
    again = sc._checkpointFile(str(path))
    assert (again.partitioner, again.count()) == (None, 3)
    part = path / "part-00001"
    whole = part.read_bytes()
    part.write_bytes(whole.replace(b"LCB2", b"LCB9"))
    with pytest.raises(SparkException, match=f"checkpoint file {part} is damaged: no batch starts at byte 0"):
        rdd.count()
    for damaged in (b"", b"no block", whole[64:], whole[:-1], whole[:64], whole + whole):
        part.write_bytes(damaged)
        with pytest.raises(SparkException, match=r"part-00001 is damaged or not complete"):
            rdd.count()
    (path / "part-00001").unlink()
    with pytest.raises(SparkException, match=r"part-00001 cannot be read"):
        rdd.count()
    with pytest.raises(SparkException, match=r"Invalid checkpoint file: part-00002 .*part-00001 is due"):
        sc._checkpointFile(str(path)).count()


def test_a_checkpoint_read_back_is_one(sc: LocalContext, directory: Path) -> None:
    rdd = sc.parallelize([1, 2], 2)
    rdd.checkpoint()
    rdd.count()
    again = sc._checkpointFile(str(rdd.getCheckpointFile()), rdd.ctx)
    again.checkpoint()
    assert again.getCheckpointFile() == rdd.getCheckpointFile()
    assert again.map(abs).collect() == [1, 2]
    assert len(files(directory)) == 2


def test_odd_directories_can_be_read_back(sc: LocalContext, tmp_path: Path) -> None:
    sc.setCheckpointDir(str(tmp_path / "100%25 ü"))
    rdd = sc.parallelize([1], 1)
    rdd.checkpoint()
    rdd.count()
    assert sc._checkpointFile(str(rdd.getCheckpointFile())).collect() == [1]


# --- local checkpoints ---------------------------------------------------------------------------------------------


def test_local_checkpoints_are_blocks(sc: LocalContext, log: list[Any]) -> None:
    rdd = sc.parallelize([1, 2], 2).map(noted)
    rdd.localCheckpoint()
    assert (rdd.isLocallyCheckpointed(), rdd.isCheckpointed(), rdd.is_checkpointed, rdd.is_cached) == (
        True,
        False,
        False,
        False,
    )
    assert rdd.getStorageLevel() == StorageLevel.MEMORY_AND_DISK_DESER
    assert rdd.first() == 1
    assert rdd.isCheckpointed()
    assert rdd.getCheckpointFile() is None
    assert log == [1, 2], "the job computes one partition, the checkpoint what is missing"
    assert rdd.map(str).collect() == ["1", "2"]
    assert len(log) == 2
    second = rdd.toDebugString().decode().splitlines()[2]
    assert second.startswith(" |  LocalCheckpointRDD[")


@pytest.mark.parametrize("lose", ["unpersist", "executor"])
def test_lost_blocks_of_a_local_checkpoint_are_an_error(sc: LocalContext, lose: str) -> None:
    rdd = sc.parallelize([1, 2], 2).map(abs)
    rdd.localCheckpoint()
    rdd.count()
    if lose == "unpersist":
        rdd.unpersist()
    else:
        del sc.blocks.blocks[f"rdd_{rdd.id()}_0"]
    with pytest.raises(SparkException, match=rf"Checkpoint block rdd_{rdd.id()}_0 not found!") as caught:
        rdd.map(abs).collect()
    assert caught.value.getCondition() == "CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND"


def test_levels_of_local_checkpoints_have_disk(sc: LocalContext) -> None:
    rdd = sc.parallelize([1]).persist(StorageLevel.MEMORY_ONLY_SER)
    rdd.localCheckpoint()
    assert rdd.getStorageLevel() == StorageLevel.MEMORY_AND_DISK_SER
    assert rdd.is_cached
    assert rdd.persist(StorageLevel.OFF_HEAP).getStorageLevel() == StorageLevel.OFF_HEAP
    assert rdd.persist(StorageLevel.MEMORY_ONLY_2).getStorageLevel() == StorageLevel.MEMORY_AND_DISK_2
    rdd.localCheckpoint()
    assert rdd.getStorageLevel() == StorageLevel.MEMORY_AND_DISK_2


def test_of_two_marks_the_local_one_counts(sc: LocalContext, directory: Path, caplog: Any) -> None:
    first, second, third = (sc.parallelize([1], 1).map(abs) for _ in range(3))
    first.checkpoint()
    first.localCheckpoint()
    second.localCheckpoint()
    second.checkpoint()
    third.checkpoint()
    assert [rdd.collect() for rdd in (first, second, third)] == [[1]] * 3
    third.localCheckpoint()
    assert "checkpointed already" in caplog.text
    assert [rdd.isLocallyCheckpointed() for rdd in (first, second, third)] == [True, True, False]
    assert len(files(directory)) == 1


def test_the_partitioner_outlives_a_local_checkpoint(sc: LocalContext) -> None:
    rdd = sc.parallelize([(1, 2), (3, 4)], 2).reduceByKey(max, 3)
    rdd.localCheckpoint()
    rdd.count()
    assert rdd.partitioner == Partitioner(3, portable_hash)
    jobs = len(sc.shuffles.outputs)
    assert rdd.reduceByKey(max, 3).count() == 2
    assert len(sc.shuffles.outputs) == jobs, "no shuffle"


def test_an_rdd_that_nobody_refers_to_is_not_written(sc: LocalContext, directory: Path) -> None:
    rdd = sc.parallelize([1], 1).map(abs)
    rdd.checkpoint()
    del rdd
    assert sc.parallelize([1], 1).count() == 1
    assert (len(sc._checkpoints.marked), files(directory)) == (0, [])
