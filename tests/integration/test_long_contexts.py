"""A context that runs thousands of jobs holds on to nothing."""

from __future__ import annotations

import gc
import os
import threading
from operator import add
from typing import Any

import psutil

from localcluster import SparkContext, StorageLevel
from localcluster.executor.block_orders import AT_ONCE
from tests.support import executors, wait_until

JOBS = 2000
EXECUTOR_THREADS = 4 + AT_ONCE  # tasks, orders, reports, stacks; those for block orders start as they are needed


def test_two_thousand_jobs_leave_everything_where_it_was(sc: SparkContext) -> None:
    for _ in range(20):
        run_all_kinds(sc)
    wait_until(lambda: settled(sc)["blocks"] == 0)
    before = settled(sc)
    for number in range(JOBS):
        if number % 20 == 0:
            run_all_kinds(sc)
        else:
            assert sc.parallelize(range(4), 2).map(lambda x: x + 1).sum() == 10
    wait_until(lambda: settled(sc)["blocks"] == 0)
    assert settled(sc) == before
    assert all(psutil.Process(executor.pid).num_threads() <= EXECUTOR_THREADS for executor in executors(sc))
    sc._cluster.master.endpoint.check()


def run_all_kinds(sc: SparkContext) -> None:
    cached = sc.parallelize([(i % 3, i) for i in range(30)], 3).persist(StorageLevel.OFF_HEAP)
    variable = sc.broadcast(b"z" * 100_000)
    assert len(cached.reduceByKey(add).collect()) == 3
    assert sum(map(len, sc.parallelize(range(2), 2).map(lambda _: variable.value).collect())) == 200_000


def settled(sc: SparkContext) -> dict[str, Any]:
    """What there is after everything that can be cleaned was."""
    gc.collect()
    sc.parallelize([0], 1).count()  # a round of the event loop: the cleaner has run
    now = sc.statistics()
    return {
        "jobs": now.jobs.running,
        "map stages": now.stages.map_stages,
        "shuffles": now.shuffles,
        "blocks": now.blocks.blocks,
        "leases": now.blocks.leases,
        "limbo": now.blocks.extents_in_limbo,
        "segments": now.blocks.segments,
        "threads": threading.active_count(),
        "descriptors": len(os.listdir("/proc/self/fd")),
        "executor descriptors": [psutil.Process(executor.pid).num_fds() for executor in executors(sc)],
    }
