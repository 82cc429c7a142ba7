"""The engines that `arrays.py` compares: how to start each on two processes of one core, and its way to say the jobs.

Functions for tasks are here, and no engine's: all run the same code. Imports are inside, so that workers have imported
what their engine makes them import, and no more.
"""

from __future__ import annotations

import importlib.util
import time
from abc import ABC, abstractmethod
from functools import partial
from pathlib import Path
from typing import Any

from engines import CORES, missing

PARTITIONS = 8
COLUMNS = 64
TASKS = 64


def make(number: int, rows: int) -> Any:
    import numpy as np

    return np.random.default_rng(number).random((rows, COLUMNS))


def product(x: Any, w: Any) -> Any:
    return x.T @ (x @ w)


def strided_sum(array: Any, number: int) -> float:
    return float(array[number::TASKS].sum())


def settle(number: int) -> int:
    """Long enough that each worker runs one."""
    time.sleep(0.2)
    return number


class Engine(ABC):
    """A cluster whose workers run, and have done nothing yet. ``stop`` ends it."""

    needs: tuple[str, ...] = ()

    @abstractmethod
    def __init__(self, directory: Path, size: int) -> None:
        """``directory``: for what it writes. ``size``: bytes of all arrays together."""

    @abstractmethod
    def stop(self) -> None: ...

    @abstractmethod
    def fill(self, rows: int) -> None:
        """Cache an array of so many rows for each partition."""

    @abstractmethod
    def products(self, w: Any) -> list[Any]:
        """`product` of each cached array and w."""

    @abstractmethod
    def sums(self, array: Any) -> list[float]:
        """`strided_sum` of the array in each of TASKS tasks."""


class Spark(Engine):
    """What localcluster and PySpark share: all but the context."""

    _sc: Any

    def _settle(self) -> None:
        self._sc.parallelize(range(CORES), CORES).map(settle).collect()

    def stop(self) -> None:
        self._sc.stop()

    def fill(self, rows: int) -> None:
        numbers = self._sc.parallelize(range(PARTITIONS), PARTITIONS)
        self._arrays = numbers.map(partial(make, rows=rows)).cache()
        self._arrays.count()

    def products(self, w: Any) -> list[Any]:
        return self._arrays.map(partial(product, w=w)).collect()

    def sums(self, array: Any) -> list[float]:
        shared = self._sc.broadcast(array)
        return self._sc.parallelize(range(TASKS), TASKS).map(lambda number: strided_sum(shared.value, number)).collect()


class Localcluster(Spark):
    needs = ("localcluster",)

    def __init__(self, directory: Path, size: int) -> None:
        from localcluster import SparkContext

        self._sc = SparkContext(f"local[{CORES}]", "bench")
        self._settle()


class PySpark(Spark):
    needs = ("pyspark",)

    def __init__(self, directory: Path, size: int) -> None:
        from pyspark import SparkConf, SparkContext

        conf = SparkConf().setMaster(f"local[{CORES}]").setAppName("bench").set("spark.ui.enabled", "false")
        conf.set("spark.driver.memory", f"{(8 * size >> 20) + 1024}m").set("spark.local.dir", str(directory))
        conf.set("spark.driver.extraJavaOptions", f"-Djava.io.tmpdir={directory}")
        conf.set("spark.driver.host", "127.0.0.1").set("spark.driver.bindAddress", "127.0.0.1")
        conf.set("spark.log.level", "ERROR").set("spark.ui.showConsoleProgress", "false")
        self._sc = SparkContext(conf=conf)
        self._settle()


class Ray(Engine):
    needs = ("ray",)

    def __init__(self, directory: Path, size: int) -> None:
        import ray

        # Told where to write, since the names of its sockets leave little room for a longer path.
        ray.init(
            num_cpus=CORES,
            object_store_memory=4 * size + (256 << 20),
            include_dashboard=False,
            log_to_driver=False,
            logging_level="ERROR",
            _temp_dir=str(directory),
        )
        self._ray = ray
        ray.get([ray.remote(settle).remote(number) for number in range(CORES)])

    def stop(self) -> None:
        self._ray.shutdown()

    def fill(self, rows: int) -> None:
        task = self._ray.remote(make)
        self._arrays = [task.remote(number, rows) for number in range(PARTITIONS)]
        self._ray.wait(self._arrays, num_returns=PARTITIONS, fetch_local=False)

    def products(self, w: Any) -> list[Any]:
        task = self._ray.remote(product)
        return self._ray.get([task.remote(array, w) for array in self._arrays])

    def sums(self, array: Any) -> list[float]:
        task, shared = self._ray.remote(strided_sum), self._ray.put(array)
        return self._ray.get([task.remote(shared, number) for number in range(TASKS)])


class Dask(Engine):
    needs = ("dask", "distributed")

    def __init__(self, directory: Path, size: int) -> None:
        from dask.distributed import Client, LocalCluster

        self._cluster = LocalCluster(
            n_workers=CORES, threads_per_worker=1, dashboard_address=None, local_directory=str(directory)
        )
        self._client = Client(self._cluster)
        self._client.gather(self._client.map(settle, range(CORES)))

    def stop(self) -> None:
        self._client.close()
        self._cluster.close()

    def fill(self, rows: int) -> None:
        from dask.distributed import wait

        self._arrays = self._client.map(make, range(PARTITIONS), rows=rows)
        wait(self._arrays)

    def products(self, w: Any) -> list[Any]:
        return self._client.gather(self._client.map(product, self._arrays, w=w))

    def sums(self, array: Any) -> list[float]:
        shared = self._client.scatter(array, broadcast=True, direct=True, hash=False)
        return self._client.gather([self._client.submit(strided_sum, shared, number) for number in range(TASKS)])


ENGINES: dict[str, type[Engine]] = {"localcluster": Localcluster, "pyspark": PySpark, "ray": Ray, "dask": Dask}


def installed(engine: str) -> bool:
    return all(importlib.util.find_spec(name) for name in ENGINES[engine].needs) and not missing(engine)
