"""Profilers: where a job's Python code spends its time. PySpark's ``profiler`` module.

Covers the classes that a program sees and derives from. When a profiler is made, and how it gets to the tasks, is in
`profiling`. UDFs are a part of DataFrames, which do not exist here: their profilers are there for their names only.
"""

from __future__ import annotations

import atexit
import importlib.util
import logging
import os
import threading
from collections.abc import Callable
from typing import TYPE_CHECKING, Any, Protocol

from localcluster.task.accumulators import Accumulator, AccumulatorParam
from protocol.errors import PySparkNotImplementedError, PySparkRuntimeError
from storage import os_layer

if TYPE_CHECKING:  # the standard library's profilers are imported where they run: few programs use them
    import cProfile
    import pstats

log = logging.getLogger(__name__)

_profiling = threading.Lock()  # held by the thread of this process that profiles


class Accumulators(Protocol):
    """What profilers ask of the `SparkContext` that they get."""

    def accumulator(self, value: Any, accum_param: AccumulatorParam[Any] | None = None, /) -> Accumulator[Any]: ...


class Profiler:
    """What measures the tasks of one RDD. Made in the driver; every task has a copy, whose `profile` runs the task.

    Derive from it, or from `BasicProfiler`, and give the class to `SparkContext`:

    >>> class Short(BasicProfiler):
    ...     def show(self, id):
    ...         print(f"RDD {id}: {self.stats().total_calls > 0}")
    >>> conf = SparkConf().set("spark.python.profile", "true")
    >>> with SparkContext(conf=conf, profiler_cls=Short) as sc:
    ...     _ = sc.parallelize(range(1000)).map(str).collect()
    ...     sc.show_profiles()
    RDD 1: True
    """

    def __init__(self, ctx: Accumulators) -> None:
        pass

    def profile(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """In a task: call ``func``, which is the task's work, and add what was measured to an accumulator."""
        raise NotImplementedError

    def stats(self) -> Any:
        """What was measured so far."""
        raise NotImplementedError

    def show(self, id: int) -> None:
        """Print what was measured for the RDD with this id."""
        raise NotImplementedError

    def dump(self, id: int, path: str) -> None:
        """Write what was measured for the RDD with this id into a directory."""
        raise NotImplementedError


class PStatsParam(AccumulatorParam[Any]):
    """Merges the ``pstats.Stats`` of several tasks; None while there are none. Used as a class, not by an instance."""

    @staticmethod
    def zero(value: pstats.Stats | None) -> None:  # static, as in PySpark
        return None

    @staticmethod
    def addInPlace(value1: pstats.Stats | None, value2: pstats.Stats | None) -> pstats.Stats | None:
        if value1 is None or value2 is None:
            return value1 or value2
        value1.add(value2)
        return value1


class BasicProfiler(Profiler):
    """Profiles tasks with cProfile and merges their numbers."""

    _kind = "RDD"

    def __init__(self, ctx: Accumulators) -> None:
        super().__init__(ctx)
        self._accumulator: Accumulator[Any] = ctx.accumulator(None, PStatsParam)  # type: ignore[arg-type]

    def profile(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Call ``func`` under cProfile and return what it returns.

        Only one thread of a process can (from Python 3.12 on). With more than one core per executor, tasks that run
        while another one is profiled are not, and a warning says so. From 3.12 on cProfile also counts what other
        threads call meanwhile, the executor's own included, so counts are not exact there. The standard library's
        ``profile`` would be, but takes ten times as long, and so shows other times than those of the program.
        """
        if not _profiling.acquire(blocking=False):
            log.warning("a task is not profiled, since another one in this executor is; use spark.executor.cores=1")
            return func(*args, **kwargs)
        import cProfile

        profile = cProfile.Profile()
        try:
            return profile.runcall(func, *args, **kwargs)
        finally:
            _profiling.release()
            self._accumulator.add(_portable(profile))

    def stats(self) -> pstats.Stats | None:
        """The numbers of all tasks that succeeded; None before the first."""
        stats: pstats.Stats | None = self._accumulator.value
        return stats

    def show(self, id: int) -> None:
        stats = self.stats()
        if stats is not None:
            print("=" * 60)
            print(f"Profile of {self._kind}<id={id}>")
            print("=" * 60)
            stats.sort_stats("time", "cumulative").print_stats()

    def dump(self, id: int, path: str) -> None:
        """Write ``rdd_<id>.pstats``, which the ``pstats`` module reads. Makes the directory if it is missing."""
        os_layer.make_directories(path)
        stats = self.stats()
        if stats is not None:
            stats.dump_stats(os.path.join(path, f"{self._kind.lower()}_{id}.pstats"))


def _portable(profile: cProfile.Profile) -> pstats.Stats:
    import pstats

    stats = pstats.Stats(profile)
    stats.stream = None  # type: ignore[attr-defined]  # a stream cannot travel; None prints to sys.stdout of that time
    return stats.strip_dirs()


class UDFBasicProfiler(BasicProfiler):
    """PySpark's profiler of UDFs. Nothing here makes one; it differs from its base in what it prints and writes."""

    _kind = "UDF"


class MemoryProfiler(Profiler):
    """PySpark's profiler of the memory that UDFs take, line by line. There are no UDFs here."""

    def profile(self, func: Callable[..., Any], *args: Any, **kwargs: Any) -> Any:
        """Raises PySparkRuntimeError without the library that PySpark uses, else PySparkNotImplementedError."""
        if importlib.util.find_spec("memory_profiler") is None:
            raise PySparkRuntimeError(errorClass="MISSING_LIBRARY_FOR_PROFILER", messageParameters={})
        raise PySparkNotImplementedError(
            "MemoryProfiler measures UDFs of DataFrames, which are not part of localcluster. Call memory_profiler or "
            "tracemalloc in the function that an RDD runs instead."
        )


class ProfilerCollector:
    """The profilers of a context, oldest first: ``profilers`` holds ``[id, profiler, whether it was shown]``."""

    def __init__(
        self,
        profiler_cls: type[Profiler],
        udf_profiler_cls: type[Profiler],
        memory_profiler_cls: type[Profiler],
        dump_path: str | None = None,
    ) -> None:
        self.profiler_cls = profiler_cls
        self.udf_profiler_cls = udf_profiler_cls
        self.memory_profiler_cls = memory_profiler_cls
        self.profile_dump_path = dump_path
        self.profilers: list[list[Any]] = []

    def new_profiler(self, ctx: Accumulators) -> Profiler:
        """A profiler for an RDD, of the class ``profiler_cls`` of now."""
        return self.profiler_cls(ctx)

    def new_udf_profiler(self, ctx: Accumulators) -> Profiler:
        return self.udf_profiler_cls(ctx)

    def new_memory_profiler(self, ctx: Accumulators) -> Profiler:
        return self.memory_profiler_cls(ctx)

    def add_profiler(self, id: int, profiler: Profiler) -> None:
        """Keep a profiler. What was not shown or dumped by then is shown, or dumped to the path given, at exit."""
        if not self.profilers:
            if self.profile_dump_path:
                atexit.register(self.dump_profiles, self.profile_dump_path)
            else:
                atexit.register(self.show_profiles)
        self.profilers.append([id, profiler, False])

    def find(self, id: int) -> Profiler | None:
        """The profiler kept for the RDD with this id."""
        return next((profiler for known, profiler, _ in self.profilers if known == id), None)

    def dump_profiles(self, path: str) -> None:
        """Write every profile into a directory, and forget them."""
        for id, profiler, _ in self.profilers:
            profiler.dump(id, path)
        self.profilers = []

    def show_profiles(self) -> None:
        """Print the profiles that were not printed yet."""
        for entry in self.profilers:
            id, profiler, shown = entry
            if not shown and profiler:
                profiler.show(id)
                entry[2] = True
