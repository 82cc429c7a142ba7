"""`SparkContext`: a program's connection to its cluster, as in PySpark.

Covers starting and stopping it and the parts that it is made of, and methods of what is left. The other methods are in
the base classes, which have no state: each says which part its methods ask.
"""

from __future__ import annotations

import atexit
import logging
import os
import sys
import threading
from collections.abc import Mapping, Sequence
from contextlib import ExitStack
from itertools import count
from typing import TYPE_CHECKING, Any, NoReturn, TypeVar

from localcluster.api.application import Application
from localcluster.api.files import AddedFiles, Files
from localcluster.api.info import ApplicationInfo, settings_of
from localcluster.api.job_control import JobControl
from localcluster.api.jobs import Jobs
from localcluster.api.kept import Kept
from localcluster.api.profiling import Profiling
from localcluster.base.arguments import PathLike, path_text
from localcluster.base.call_site import first_spark_call
from localcluster.base.no_jvm import NoJVM
from localcluster.base.py_files import PACKAGE_EXTENSIONS
from localcluster.base.shortage import naming_shortage
from localcluster.conf import SparkConf
from localcluster.conf.logs import show_own_records
from localcluster.conf.settings import Settings
from localcluster.conf.unknown_settings import warn_of_unknown
from localcluster.launcher.client import connect
from localcluster.launcher.interrupts import deferred
from localcluster.rdd.checkpoint import Checkpoints
from localcluster.rdd.sources import Sources
from localcluster.serializers import AutoBatchedSerializer, BatchedSerializer, CPickleSerializer, Serializer
from localcluster.shuffle.hashing import expect_seed
from localcluster.task.accumulators import Accumulator, AccumulatorParam, param_for
from localcluster.task.broadcast import Broadcast
from localcluster.task.env import get_env
from localcluster.task.profiler import BasicProfiler, MemoryProfiler, Profiler, UDFBasicProfiler
from localcluster.task.task_context import TaskContext
from localcluster.task.task_forks import stay
from localcluster.ui.status_page import StatusPage
from protocol.errors import ActiveContextError, ClusterError, ContextError, FaultNeverFiredError, PySparkValueError
from protocol.forks import free_in_forks
from storage import os_layer

if TYPE_CHECKING:
    from types import TracebackType


log = logging.getLogger(__name__)

T = TypeVar("T")
U = TypeVar("U")


class SparkContext(Application, Sources, Files, JobControl):
    """One per process at a time. Usable as a context manager, which stops it at the end.

    The arguments mean what they mean in PySpark; explicit ones win over ``conf``, which wins over the command line.
    ``sparkHome`` is kept and has no effect, ``gateway`` and ``jsc`` must be None.

    Raises ActiveContextError (a ValueError) when another context is active, ContextError inside a task (unless ``conf``
    sets ``spark.executor.allowSparkContext``), ConfigurationError for a bad setting, ClusterError when the cluster
    cannot be started. After a failure no context is active and nothing is left behind.
    """

    PACKAGE_EXTENSIONS = PACKAGE_EXTENSIONS
    """Endings of files that go onto the import path themselves."""

    _active_spark_context: SparkContext | None = None
    _lock = free_in_forks(threading.RLock())
    _next_accum_id = 0
    _gateway = NoJVM()
    _jvm = NoJVM()
    _jsc = NoJVM()

    def __init__(
        self,
        master: str | None = None,
        appName: str | None = None,
        sparkHome: str | None = None,
        pyFiles: Sequence[PathLike] | None = None,
        environment: Mapping[str, Any] | None = None,
        batchSize: int = 0,
        serializer: Serializer = CPickleSerializer(),  # noqa: B008  # has no state
        conf: SparkConf | None = None,
        gateway: Any = None,
        jsc: Any = None,
        profiler_cls: type[Profiler] = BasicProfiler,
        udf_profiler_cls: type[Profiler] = UDFBasicProfiler,
        memory_profiler_cls: type[Profiler] = MemoryProfiler,
    ) -> None:
        if conf is None or conf.get("spark.executor.allowSparkContext", "false").lower() != "true":
            SparkContext._assert_on_driver()
        if gateway is not None or jsc is not None:
            raise PySparkValueError("SparkContext takes no gateway and no jsc: there is no JVM behind localcluster.")
        self._callsite = first_spark_call()
        self._batchSize = batchSize
        self._unbatched_serializer = serializer
        self.serializer = BatchedSerializer(serializer, batchSize) if batchSize else AutoBatchedSerializer(serializer)
        self._pid = os.getpid()
        self._stopping = threading.RLock()
        with SparkContext._lock:
            SparkContext._ensure_initialized(self)
            stay()
            with ExitStack() as started:
                values = self._describe(settings_of(master, appName, sparkHome, environment, conf))
                self._profiling = Profiling(self._conf, profiler_cls, udf_profiler_cls, memory_profiler_cls)
                self.profiler_collector = self._profiling.collector
                self._start_cluster(values, started)
                try:
                    with naming_shortage("the context"):
                        self._start_parts(pyFiles or (), started)
                except ClusterError:
                    self._cluster.check_usable()  # without a launcher directories vanish: then that is what is wrong
                    raise
                started.callback(self._resign)
                started.callback(self._page.stop)  # before another context can want its port
                SparkContext._active_spark_context = self
                atexit.register(self.stop)
                with deferred():
                    self._parts = started.pop_all()  # what `stop` ends; if anything raises before this, it ends now

    def _describe(self, conf: SparkConf) -> dict[str, str]:
        """What programs read from a context. The settings before Spark adds to them."""
        values = dict(conf.getAll())
        show_own_records(values)
        warn_of_unknown(values)
        if Settings(values).faults:
            from localcluster.api.fault_plans import check_settings

            check_settings(values, finds_exceptions=True)
        self._conf = conf
        self._info = info = ApplicationInfo.of(conf)
        self.applicationId, self.appName, self.startTime, self.master = info.id, info.name, info.started, info.master
        self.sparkHome = conf.get("spark.home")
        self.pythonExec = sys.executable
        self.pythonVer = f"{sys.version_info.major}.{sys.version_info.minor}"
        self.environment = info.environment
        expect_seed(self.environment["PYTHONHASHSEED"])
        return values

    def _start_cluster(self, values: Mapping[str, str], started: ExitStack) -> None:
        """``started`` gets how it is ended."""
        with deferred():
            launcher = connect()  # a fresh interpreter, which starts while this one loads the driver's modules
            started.callback(launcher.close)
        from localcluster.driver.cluster import Cluster

        with naming_shortage("the cluster"):
            with deferred():
                self._cluster = Cluster(launcher, values, self._info.layout)
                started.callback(self._cluster.stop)  # before the launcher's, from which it has to hear meanwhile
            self._cluster.start(self._info.layout.executors)

    def _start_parts(self, py_files: Sequence[PathLike], started: ExitStack) -> None:
        """What the methods of a context ask. ``started`` gets how each part is ended."""
        from localcluster.driver.context_cleaner import ContextCleaner
        from localcluster.driver.job_runner import JobRunner

        settings, cluster = Settings(self._conf), self._cluster
        self._files = AddedFiles(cluster, get_env().files_directory)
        started.callback(self._files.stop)
        self._files.add_first(self._conf, py_files)
        self._python_includes = self._files.packages
        self._temp_dir = os_layer.make_temporary_directory("pyspark-", cluster.scratch.primary)
        cleaner = ContextCleaner(cluster.wake)
        started.callback(cleaner.stop)
        if settings.cleaner_reference_tracking:
            cluster.each_round(cleaner.run)
        encoding = None if self._unbatched_serializer == CPickleSerializer() else self.serializer  # one of its choice
        self._kept = Kept(cluster, cleaner, encoding, settings.cleaner_reference_tracking_clean_checkpoints)
        if settings.cleaner_ttl is not None:
            started.callback(self._kept.clean_by_age(settings.cleaner_ttl).stop)
        self._checkpoints = Checkpoints()
        if settings.checkpoint_dir:
            self._checkpoints.make_directory(settings.checkpoint_dir)
        runner = JobRunner(cluster, cleaner, self._profiling.profiled)
        self._jobs = Jobs(cluster, runner, self._checkpoints, encoding)
        self._next_rdd_id = count().__next__
        self._next_shuffle_id = count().__next__
        self._page = StatusPage(self._conf, self._on_page, cluster.status)

    @classmethod
    def _ensure_initialized(cls, instance: SparkContext | None = None, gateway: Any = None, conf: Any = None) -> None:
        """Raise ActiveContextError when a context other than ``instance`` is active. There is no JVM to start first."""
        active = SparkContext._active_spark_context
        if instance is not None and active is not None and active is not instance:
            site = active._callsite
            raise ActiveContextError(
                f"Cannot run multiple SparkContexts at once; existing SparkContext(app={active.appName}, "
                f"master={active.master}) created by {site.function} at {site.file}:{site.linenum} "
            )

    @staticmethod
    def _assert_on_driver() -> None:
        if TaskContext.get() is not None:
            raise ContextError(errorClass="CONTEXT_ONLY_VALID_ON_DRIVER")

    @classmethod
    def getOrCreate(cls, conf: SparkConf | None = None) -> SparkContext:
        """The active context, as it is, else a new one with these settings."""
        with SparkContext._lock:
            return SparkContext._active_spark_context or SparkContext(conf=conf)

    def stop(self) -> None:
        """End executors and remove everything that the context left. May be called again; running jobs fail.

        Raises FaultNeverFiredError when all is gone, the first time, if ``localcluster.faults.strict`` says so.
        """
        if os.getpid() != self._pid:
            return  # a forked child that ends: the cluster is its parent's
        try:
            with self._stopping:  # one part after the other, also when several threads stop the context
                self._parts.close()
        finally:
            self._jobs.stop()

    def _resign(self) -> None:
        with SparkContext._lock:
            if SparkContext._active_spark_context is self:
                SparkContext._active_spark_context = None
        atexit.unregister(self.stop)

    def __enter__(self) -> SparkContext:
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        try:
            self.stop()
        except FaultNeverFiredError as unfired:
            if error is None:  # else that says more
                raise
            log.warning("%s", unfired)

    def __getnewargs__(self) -> NoReturn:
        raise ContextError(errorClass="CONTEXT_ONLY_VALID_ON_DRIVER")

    def __reduce__(self) -> NoReturn:
        self.__getnewargs__()

    # --- shared variables ---

    def broadcast(self, value: T) -> Broadcast[T]:
        """Share a read-only value with all tasks. Raises SerializationError when it cannot be pickled."""
        return self._kept.broadcast(value)

    def accumulator(self, value: T, accum_param: AccumulatorParam[T] | None = None) -> Accumulator[T]:
        """A variable that tasks can add to. Raises TypeError when the type is no number and there is no
        ``accum_param``.
        """
        param = param_for(value) if accum_param is None else accum_param
        with SparkContext._lock:
            accumulator_id = SparkContext._next_accum_id
            SparkContext._next_accum_id += 1
        return Accumulator(accumulator_id, value, param)

    # --- profiles ---

    def show_profiles(self) -> None:
        """Print the profiles that were not printed yet to standard output.

        Raises PySparkRuntimeError when the context was not started with ``spark.python.profile``.
        """
        self._profiling.require_collector().show_profiles()

    def dump_profiles(self, path: PathLike) -> None:
        """Write the profiles into a directory, as ``rdd_<id>.pstats``, and forget them. Raises as `show_profiles`."""
        self._profiling.require_collector().dump_profiles(path_text(path, "path"))


def _forget_context() -> None:
    """In a forked child: the active context is the parent's; one of the child's own may be made."""
    SparkContext._active_spark_context = None


os.register_at_fork(after_in_child=_forget_context)
