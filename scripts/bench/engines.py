"""The engines that are compared, each on two cores: how to start one, and the jobs that it can run.

An engine is a function of (sizes, text path) that is a context manager. It yields {job name: the job, ready to call}.
Its imports are inside, since importing is part of starting.
"""

from __future__ import annotations

import importlib.util
import os
from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import partial
from typing import Any, TypeAlias

from sizes import Sizes

Jobs: TypeAlias = dict[str, Callable[[], tuple[dict[str, float], Any]]]
Engine: TypeAlias = Callable[[Sizes, str], AbstractContextManager[Jobs]]

CORES = 2


def first_result(sc: Any) -> None:
    if sc.parallelize(range(CORES), CORES).count() != CORES:
        raise AssertionError("wrong count")


@contextmanager
def localcluster(sizes: Sizes, text: str) -> Iterator[Jobs]:
    from localcluster import SparkContext, StorageLevel

    with SparkContext(f"local[{CORES}]", "bench") as sc:
        first_result(sc)
        yield rdd_jobs(sc, StorageLevel, sizes, text, fewer=1)


@contextmanager
def pyspark(sizes: Sizes, text: str) -> Iterator[Jobs]:
    from pyspark import SparkConf, SparkContext, StorageLevel

    conf = SparkConf().setMaster(f"local[{CORES}]").setAppName("bench").set("spark.ui.enabled", "false")
    conf.set("spark.driver.memory", "3g").set("spark.log.level", "ERROR").set("spark.ui.showConsoleProgress", "false")
    conf.set("spark.memory.offHeap.enabled", "true").set("spark.memory.offHeap.size", "2g")
    conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
    with SparkContext(conf=conf) as sc:
        first_result(sc)
        yield rdd_jobs(sc, StorageLevel, sizes, text, fewer=10)


@contextmanager
def pool(sizes: Sizes, text: str) -> Iterator[Jobs]:
    import multiprocessing

    from pool_jobs import JOBS, PoolBench, increment

    with multiprocessing.Pool(CORES) as workers:
        if workers.map(increment, range(CORES)) != [1, 2]:
            raise AssertionError("wrong result")
        bench = PoolBench(workers, sizes, text)
        yield {name: partial(job, bench) for name, job in JOBS.items()}


def rdd_jobs(sc: Any, levels: Any, sizes: Sizes, text: str, fewer: int) -> Jobs:
    from rdd_jobs import JOBS, Bench

    bench = Bench(sc, levels, sizes, text, fewer)
    return {name: partial(job, bench) for name, job in JOBS.items()}


ENGINES: dict[str, Engine] = {"localcluster": localcluster, "pyspark": pyspark, "pool": pool}


def missing(engine: str) -> str | None:
    """Why an engine cannot be used here, if so."""
    if engine != "pyspark":
        return None
    if importlib.util.find_spec("pyspark") is None:
        return "pyspark is not installed: pip install 'localcluster[spark]'"
    paths = os.environ.get("PATH", "").split(os.pathsep)
    if "JAVA_HOME" not in os.environ and not any(os.access(os.path.join(path, "java"), os.X_OK) for path in paths):
        return "pyspark needs Java, and there is none"
    return None
