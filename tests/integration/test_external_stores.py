"""Blocks on a Redis server that outlives executors and runs."""

from __future__ import annotations

import os
import signal
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext, StorageLevel
from storage.serializer import serialize
from tests.storage.redis_server import redis_server
from tests.support import executor_pids, wait_until


@pytest.fixture
def conf(tmp_path_factory: pytest.TempPathFactory) -> Iterator[SparkConf]:
    with redis_server(tmp_path_factory.mktemp("r")) as socket:
        options = {"class": "tests.storage.redis_store.RedisStore", "socket": socket, "prefix": "test:"}
        settings = [(f"localcluster.externalBlockStore.{name}", value) for name, value in options.items()]
        yield SparkConf().setMaster("local[2]").setAppName("kept").setAll(settings)


def server_of(conf: SparkConf) -> Any:
    import redis

    return redis.Redis(unix_socket_path=conf.get("localcluster.externalBlockStore.socket"))


def keys(conf: SparkConf) -> list[bytes]:
    with server_of(conf) as server:
        return list(server.keys())


def test_blocks_outlive_their_executor_and_not_their_run(conf: SparkConf, tmp_path: Path) -> None:
    log = tmp_path / "computed"

    def note(x: int) -> int:
        with open(log, "a") as file:
            file.write("x")
        return x

    with SparkContext(conf=conf) as sc:
        kept = sc.parallelize(range(100), 4).map(note).persist(StorageLevel.OFF_HEAP)
        assert kept.sum() == 4950
        for pid in executor_pids(sc):
            os.kill(pid, signal.SIGKILL)
        assert kept.sum() == 4950
        assert len(log.read_text()) == 100, "what the store had was computed again"
        assert len(keys(conf)) == 4
        kept.unpersist(blocking=True)
        assert keys(conf) == []
        assert kept.persist(StorageLevel.OFF_HEAP).count() == 100
    assert keys(conf) == []


DYING_STORE = """
import os
import signal
from pathlib import Path
from tests.storage.redis_store import RedisStore


class DyingStore(RedisStore):
    def __init__(self, options):
        super().__init__(options)
        self.driver, self.moment, self.marker = int(options["driver"]), options["moment"], Path(options["marker"])

    def die(self, moment):
        if moment == self.moment and os.getpid() != self.driver and not self.marker.exists():
            self.marker.touch()
            os.kill(os.getpid(), signal.SIGKILL)

    def put_iterator(self, block_id, values, level):
        self.die("before the put")
        result = super().put_iterator(block_id, values, level)
        self.die("before it is told of")
        return result

    def remove(self, block_id):
        removed = super().remove(block_id)
        self.die("before the removal is told of")
        return removed
"""


@pytest.mark.parametrize("moment", ["before the put", "before it is told of", "before the removal is told of"])
def test_an_executor_that_dies_at_the_store_costs_no_job_and_leaves_nothing_there(
    conf: SparkConf, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    (tmp_path / "dying_store.py").write_text(DYING_STORE)
    monkeypatch.syspath_prepend(str(tmp_path))
    options = {"class": "dying_store.DyingStore", "driver": os.getpid(), "moment": moment, "marker": tmp_path / "died"}
    conf.setAll([(f"localcluster.externalBlockStore.{name}", str(value)) for name, value in options.items()])
    with SparkContext(conf=conf) as sc:
        kept = sc.parallelize(range(100), 4).persist(StorageLevel.OFF_HEAP)
        assert kept.sum() == 4950
        kept.unpersist(blocking=True)
        assert kept.persist(StorageLevel.OFF_HEAP).sum() == 4950
        assert kept.sum() == 4950
        wait_until((tmp_path / "died").exists)
    assert keys(conf) == []


def test_a_second_run_on_a_kept_store_sees_its_own_blocks_only(conf: SparkConf) -> None:
    old = b"".join(serialize(["old"] * 7))
    with server_of(conf) as server:  # what a run left that was killed
        for name in ("rdd_1_0", "localcluster-0-0123456789ab.rdd_1_0"):
            server.set(f"test:{name}", old)
    for size in (10, 20):
        with SparkContext(conf=conf) as sc:
            kept = sc.parallelize(range(size), 2).persist(StorageLevel.OFF_HEAP)
            assert kept.id() == 1
            assert [kept.count(), kept.count()] == [size, size]
    assert len(keys(conf)) == 2, "it is another run's"
