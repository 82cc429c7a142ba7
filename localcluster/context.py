"""`SparkContext`: a program's connection to its cluster, as in PySpark.

Covers starting and stopping, making RDDs, broadcasts and accumulators, and running jobs. What the methods make is
where its concept is: ``rdd``, ``broadcast``, ``accumulators``; the cluster itself is in ``driver``.
"""

from __future__ import annotations

import atexit
import logging
import os
import threading
import time
import weakref
from collections.abc import Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster import settings
from localcluster.accumulators import Accumulator, AccumulatorParam, param_for
from localcluster.broadcast import Broadcast
from localcluster.conf import SparkConf
from localcluster.job_control import JobControl
from localcluster.launcher.client import connect
from localcluster.master_url import layout, memory_from_master
from localcluster.partition_data import INLINE, PartitionData
from localcluster.py_files import make_importable
from localcluster.rdd.call_site import call_site
from localcluster.rdd.sources import Sources
from localcluster.task_context import TaskContext
from localcluster.version import __version__
from protocol.errors import ActiveContextError, ContextError
from storage import serializer

if TYPE_CHECKING:
    from types import TracebackType

    from localcluster.rdd.dependency import ShuffleDependency
    from localcluster.rdd.rdd import RDD

T = TypeVar("T")
U = TypeVar("U")

log = logging.getLogger(__name__)


class SparkContext(Sources, JobControl):
    """One per process at a time. Usable as a context manager, which stops it at the end.

    ``master``, ``appName``, ``pyFiles``, ``environment`` and ``conf`` mean what they mean in PySpark; explicit
    arguments win over ``conf``, which wins over the command line.

    Raises ContextError when another context is active or inside a task, ConfigurationError for a bad setting,
    ClusterError when the cluster cannot be started.
    """

    _active: SparkContext | None = None
    _lock = threading.RLock()

    def __init__(
        self,
        master: str | None = None,
        appName: str | None = None,
        pyFiles: Sequence[str] | None = None,
        environment: Mapping[str, str] | None = None,
        conf: SparkConf | None = None,
    ) -> None:
        if TaskContext.get() is not None:
            raise ContextError(errorClass="CONTEXT_ONLY_VALID_ON_DRIVER")
        self.call_site = call_site()
        with SparkContext._lock:
            other = SparkContext._active
            if other is not None:
                raise ActiveContextError(
                    f"Cannot run multiple SparkContexts at once; existing SparkContext(app={other.appName}, "
                    f"master={other.master}) created by {other.call_site}"
                )
            self._start(_settings(master, appName, pyFiles, environment, conf))
            SparkContext._active = self

    def _start(self, conf: SparkConf) -> None:
        self._conf = conf
        self._pid = os.getpid()
        self._batchSize = 0  # of PySpark's serialiser: 0 lets it choose
        values = dict(conf.getAll())
        settings.check(values)
        make_importable(settings.value(values, "spark.submit.pyFiles") or ())
        self._layout = layout(values)
        self.startTime = int(time.time() * 1000)
        self.applicationId = f"local-{self.startTime}"
        self._rdd_ids = count()
        self._shuffle_ids = count()
        self._accumulator_ids = count()
        self._accumulators: weakref.WeakValueDictionary[int, Accumulator[Any]] = weakref.WeakValueDictionary()
        self._persisted: weakref.WeakValueDictionary[int, RDD[Any]] = weakref.WeakValueDictionary()
        self._properties = threading.local()
        launcher = connect()  # a fresh interpreter, which starts while this one loads the driver's modules
        from localcluster.driver.cluster import Cluster
        from localcluster.driver.context_cleaner import ContextCleaner
        from localcluster.driver.job_runner import JobRunner
        from localcluster.driver.progress import ProgressBars

        self._cluster = Cluster(launcher, values, self._layout)
        self._cleaner = ContextCleaner(self._cluster.wake)
        if settings.value(values, "spark.cleaner.referenceTracking"):
            self._cluster.each_round(self._cleaner.run)
        self._jobs = JobRunner(self._cluster, self._accumulators, self._cleaner)
        self._progress = ProgressBars(self._cluster, enabled=settings.value(values, "spark.ui.showConsoleProgress"))
        atexit.register(self.stop)

    @classmethod
    def getOrCreate(cls, conf: SparkConf | None = None) -> SparkContext:
        """The active context, else a new one."""
        with SparkContext._lock:
            return SparkContext._active or cls(conf=conf)

    def stop(self) -> None:
        """End executors and remove everything that the context left. May be called again; running jobs fail."""
        if os.getpid() != self._pid:
            return  # a forked child that ends: the cluster is its parent's
        with SparkContext._lock:
            if SparkContext._active is self:
                SparkContext._active = None
        atexit.unregister(self.stop)
        self._cleaner.stop()
        self._progress.stop()
        self._cluster.stop()

    def __enter__(self) -> SparkContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self.stop()

    def __reduce__(self) -> Any:
        raise ContextError(errorClass="CONTEXT_ONLY_VALID_ON_DRIVER")

    def __repr__(self) -> str:
        return f"<SparkContext master={self.master} appName={self.appName}>"

    # --- what it is ---

    @property
    def conf(self) -> SparkConf:
        """The settings. Changing them has no effect on a context that runs."""
        return self._conf

    def getConf(self) -> SparkConf:
        """A copy of the settings."""
        return SparkConf(loadDefaults=False).setAll(self._conf.getAll())

    @property
    def master(self) -> str:
        layout = self._layout
        default = f"local[{layout.executors}]" if layout.cores == 1 else f"local[{layout.executors}x{layout.cores}]"
        return self._conf.get("spark.master", default)

    @property
    def appName(self) -> str:
        return self._conf.get("spark.app.name", "localcluster")

    @property
    def version(self) -> str:
        """Version of localcluster."""
        return __version__

    @property
    def defaultParallelism(self) -> int:
        """Partitions of a collection when the program does not say: the cores of all executors, unless configured."""
        configured: int | None = settings.value(dict(self._conf.getAll()), "spark.default.parallelism")
        return configured or self._layout.executors * self._layout.cores

    @property
    def defaultMinPartitions(self) -> int:
        """Least partitions of a file when the program does not say."""
        return min(self.defaultParallelism, 2)

    def setLogLevel(self, logLevel: str) -> None:
        """Level of the driver's own log records: ALL, DEBUG, ERROR, FATAL, INFO, OFF, TRACE or WARN, as in Spark."""
        levels = {"ALL": 1, "TRACE": 5, "DEBUG": 10, "INFO": 20, "WARN": 30, "ERROR": 40, "FATAL": 50, "OFF": 100}
        if logLevel.upper() not in levels:
            raise ValueError(f"logLevel must be one of {', '.join(sorted(levels))}, not {logLevel!r}")
        for package in ("localcluster", "storage", "protocol"):
            logging.getLogger(package).setLevel(levels[logLevel.upper()])

    # --- shared variables ---

    def broadcast(self, value: T) -> Broadcast[T]:
        """Share a read-only value with all tasks. Raises SerializationError when it cannot be pickled."""
        self._cluster.check_usable()
        broadcast_id = self._cluster.next_broadcast_id()
        variable = Broadcast(broadcast_id, value, self._cluster.remove_broadcast)
        self._cleaner.register(variable, lambda: self._cluster.remove_broadcast(broadcast_id))
        return variable

    def accumulator(self, value: T, accum_param: AccumulatorParam[T] | None = None) -> Accumulator[T]:
        """A variable that tasks can add to. Raises TypeError when the type is no number and there is no
        ``accum_param``.
        """
        param = accum_param or param_for(value)
        variable = Accumulator(next(self._accumulator_ids), value, param)
        self._accumulators[variable.aid] = variable
        return variable

    # --- what RDDs need of their context ---

    def _next_rdd_id(self) -> int:
        return next(self._rdd_ids)

    def _next_shuffle_id(self) -> int:
        return next(self._shuffle_ids)

    def register_shuffle(self, dependency: ShuffleDependency) -> None:
        """Remove the shuffle's outputs when the dependency is collected."""
        shuffle_id, cluster = dependency.shuffle_id, self._cluster
        self._cleaner.register(dependency, lambda: cluster.remove_shuffle(shuffle_id))

    def persist_rdd(self, rdd: RDD[Any]) -> None:
        """Remove the RDD's blocks when it is collected."""
        rdd_id, cluster = rdd.id(), self._cluster
        if rdd_id not in self._persisted:
            self._persisted[rdd_id] = rdd
            self._cleaner.register(rdd, lambda: cluster.remove_rdd(rdd_id))

    def unpersist_rdd(self, rdd_id: int, blocking: bool) -> None:
        self._persisted.pop(rdd_id, None)
        if not self._cluster.closed:
            self._cluster.remove_rdd(rdd_id, blocking)

    def put_partition(self, values: list[Any]) -> PartitionData:
        """Serialise the records of one partition of a collection."""
        self._cluster.check_usable()
        chunks = serializer.serialize(values)
        if sum(map(len, chunks)) <= INLINE:
            return PartitionData(b"".join(chunks))
        block_id = self._cluster.put_broadcast(*chunks)
        data = PartitionData(block_id)
        self._cleaner.register(data, lambda: self._cluster.remove_broadcast(block_id.broadcast_id))
        return data


def _settings(
    master: str | None,
    app_name: str | None,
    py_files: Sequence[str] | None,
    environment: Mapping[str, str] | None,
    conf: SparkConf | None,
) -> SparkConf:
    """The context's own copy of the settings."""
    merged = SparkConf()
    if conf is not None:
        merged.setAll(conf.getAll())
    if master is not None:
        merged.setMaster(master)
    if app_name is not None:
        merged.setAppName(app_name)
    if py_files:
        merged.set("spark.submit.pyFiles", ",".join(py_files))
    for name, text in (environment or {}).items():
        merged.set(f"spark.executorEnv.{name}", text)
    memory = memory_from_master(merged.get("spark.master"))
    if memory is not None:
        merged.setIfMissing("spark.executor.memory", memory)
    return merged


def _forget_context() -> None:
    """In a forked child: the active context is the parent's; one of the child's own may be made."""
    SparkContext._active = None
    SparkContext._lock = threading.RLock()


os.register_at_fork(after_in_child=_forget_context)
