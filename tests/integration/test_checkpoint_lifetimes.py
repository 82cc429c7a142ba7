"""How long checkpoints last: beyond their context, their RDD or their executors. Each test has a context of its own."""

from __future__ import annotations

import gc
import os
import signal
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext, StorageLevel
from protocol.errors import SparkException
from tests.support import executors, wait_for_executors, wait_until


def test_a_checkpoint_is_read_by_a_later_context(tmp_path: Path) -> None:
    class Point:  # pickled by value
        def __init__(self, x: int) -> None:
            self.x = x

    with SparkContext("local[2]", "first") as sc:
        sc.setCheckpointDir(str(tmp_path))
        rdd = sc.parallelize(range(10), 3).map(lambda x: (x % 4, Point(x))).partitionBy(4)
        rdd.checkpoint()
        assert rdd.count() == 10
        path = rdd.getCheckpointFile()
        serializer = rdd._jrdd_deserializer
    assert path is not None
    with SparkContext("local[2]", "second") as sc:
        again = sc._checkpointFile(path, serializer)
        assert sorted(point.x for point in again.values().collect()) == list(range(10))
        assert again.getNumPartitions() == 4
        assert again.partitioner is None, "keys may hash otherwise in another context"
        assert len(again.lookup(3)) == 2


def test_an_executor_that_dies_while_it_writes_does_no_harm(tmp_path: Path) -> None:
    flag = tmp_path / "died"

    def dies_in_the_second_pass(index: int, records: Any) -> Any:
        for record in records:
            if index == 1 and os.path.exists(f"{flag}.1") and not flag.exists():
                flag.touch()
                os.kill(os.getpid(), signal.SIGKILL)
            yield record
        if index == 1:
            Path(f"{flag}.1").touch()

    with SparkContext("local[2]", "dies") as sc:
        sc.setCheckpointDir(str(tmp_path / "checkpoints"))
        rdd = sc.parallelize(range(100), 4).mapPartitionsWithIndex(dies_in_the_second_pass)
        rdd.checkpoint()
        assert rdd.count() == 100
        assert flag.exists()
        path = Path(str(rdd.getCheckpointFile()).removeprefix("file:"))
        assert sorted(os.listdir(path)) == [f"part-{index:05d}" for index in range(4)]
        assert os.listdir(path.parent) == [path.name]
        assert rdd.collect() == list(range(100))


def test_files_go_with_the_rdd_where_the_settings_say_so(tmp_path: Path) -> None:
    conf = SparkConf().setMaster("local[1]").set("spark.cleaner.referenceTracking.cleanCheckpoints", "true")
    with SparkContext(conf=conf.set("spark.checkpoint.dir", str(tmp_path))) as sc:
        rdd = sc.parallelize(range(10), 2).map(str)
        rdd.checkpoint()
        rdd.count()
        path = Path(str(rdd.getCheckpointFile()).removeprefix("file:"))
        assert path.parent.parent == tmp_path
        assert len(os.listdir(path)) == 2
        del rdd
        gc.collect()
        wait_until(lambda: not path.exists())
        assert path.parent.exists()


@pytest.mark.parametrize(("level", "survives"), [(None, False), (StorageLevel.OFF_HEAP, True)])
def test_a_local_checkpoint_is_as_safe_as_its_blocks(level: StorageLevel | None, survives: bool) -> None:
    with SparkContext("local[1]", "blocks") as sc:
        rdd = sc.parallelize(range(1000), 2).map(lambda x: (x, str(x)))
        if level is not None:
            rdd.persist(level)
        rdd.localCheckpoint()
        rdd.count()
        (executor,) = executors(sc)
        pid = sc.parallelize([0], 1).map(lambda _: os.getpid()).first()
        os.kill(pid, signal.SIGKILL)
        wait_until(lambda: executor not in executors(sc))
        wait_for_executors(sc, 1)
        if survives:
            assert rdd.count() == 1000
        else:
            with pytest.raises(SparkException, match=rf"Checkpoint block rdd_{rdd.id()}_\d not found!"):
                rdd.count()


def test_a_failed_job_writes_nothing(sc: SparkContext, tmp_path: Path) -> None:
    sc.setCheckpointDir(str(tmp_path))
    rdd = sc.parallelize([1, 0], 2).map(lambda x: 1 / x)
    rdd.checkpoint()
    with pytest.raises(SparkException, match="ZeroDivisionError"):
        rdd.count()
    assert not rdd.isCheckpointed()
    (directory,) = tmp_path.iterdir()
    assert list(directory.iterdir()) == []
