"""FAIR scheduling with pools from a file, and the end of a context while jobs run: contexts of their own."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from localcluster import SparkConf, SparkContext
from protocol.errors import ConfigurationError
from tests.integration.test_job_control import Sleepers
from tests.support import DEADLINE, wait_until


def fair_context(allocation: Path, executors: int = 2) -> SparkContext:
    conf = SparkConf().set("spark.scheduler.mode", "FAIR").set("spark.scheduler.allocation.file", str(allocation))
    return SparkContext(f"local[{executors}]", "fair", conf=conf)


def test_a_minimum_share_gets_the_next_free_core(tmp_path: Path) -> None:
    allocation = tmp_path / "pools.xml"
    allocation.write_text('<allocations><pool name="sure"><minShare>1</minShare></pool></allocations>')
    with fair_context(allocation, executors=1) as sc:
        gate, order = tmp_path / "gate", tmp_path / "order"

        def task(name: str) -> Callable[[int], None]:
            def run(x: int) -> None:
                with order.open("a") as file:
                    file.write(name)
                wait_until(gate.exists)

            return run

        def job(pool: str, partitions: int) -> None:
            sc.setLocalProperty("spark.scheduler.pool", pool)
            sc.parallelize(range(partitions), partitions).foreach(task(pool[0]))

        threads = [threading.Thread(target=job, args=args) for args in (("long", 4), ("another", 1), ("sure", 1))]
        for number, thread in enumerate(threads, 1):
            thread.start()
            wait_until(lambda number=number: len(sc.statusTracker().getActiveJobsIds()) == number)
            wait_until(order.exists)  # from then on the only core is taken
        gate.touch()
        for thread in threads:
            thread.join(DEADLINE)
        assert order.read_text() == "lsalll"


def test_a_bad_allocation_file_is_an_error_that_leaves_nothing(tmp_path: Path) -> None:
    before = threading.active_count()
    with pytest.raises(ConfigurationError, match=r"allocation\.file"):
        fair_context(tmp_path / "nowhere.xml")
    assert threading.active_count() == before
    with SparkContext("local[1]", "afterwards") as sc:
        assert sc.parallelize([1, 2]).sum() == 3


def test_a_context_that_stops_says_so_to_its_jobs(tmp_path: Path) -> None:
    with SparkContext("local[1]", "stops") as sc:
        job = Sleepers(sc, tmp_path, lambda: None)
        wait_until(job.started.exists)
    assert "Job 0 cancelled because SparkContext was shut down" in str(job.wait())


def test_an_approximate_job_in_the_background_ends_with_its_context(tmp_path: Path) -> None:
    before = threading.active_count()
    started = tmp_path / "started"

    def wait(x: int) -> int:
        started.touch()
        wait_until(lambda: False)
        return x

    with SparkContext("local[1]", "stops") as sc:
        assert sc.parallelize([1], 1).map(wait).countApprox(0) == 0
        wait_until(started.exists)
    assert threading.active_count() == before
