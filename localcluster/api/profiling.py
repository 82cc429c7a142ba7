"""`Profiling`: the part of a context that has its jobs profiled, where ``spark.python.profile`` says so.

Covers which profiler a stage gets, and printing or writing what was measured; the profilers are in `profiler`. Every
stage is profiled as a whole: like PySpark's pipelines, a stage runs what several RDDs do in one loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.base.arguments import PathLike, path_text
from localcluster.conf import settings
from localcluster.task.profiled_action import ProfiledAction
from localcluster.task.profiler import Profiler, ProfilerCollector
from protocol.errors import PySparkRuntimeError

if TYPE_CHECKING:
    from localcluster.conf import SparkConf
    from localcluster.rdd.core import RDDCore


class Profiling:
    """A part of `SparkContext`."""

    profiler_collector: ProfilerCollector | None
    _conf: SparkConf
    _profiles_tasks: bool

    def _set_up_profiling(
        self, profiler_cls: type[Profiler], udf_profiler_cls: type[Profiler], memory_profiler_cls: type[Profiler]
    ) -> None:
        values = dict(self._conf.getAll())
        self._profiles_tasks = settings.value(values, "spark.python.profile")
        self.profiler_collector = None
        if self._profiles_tasks or settings.value(values, "spark.python.profile.memory"):
            dump_path = settings.value(values, "spark.python.profile.dump")
            self.profiler_collector = ProfilerCollector(profiler_cls, udf_profiler_cls, memory_profiler_cls, dump_path)

    def show_profiles(self) -> None:
        """Print the profiles that were not printed yet to standard output.

        Raises PySparkRuntimeError when the context was not started with ``spark.python.profile``.
        """
        self._require_collector().show_profiles()

    def dump_profiles(self, path: PathLike) -> None:
        """Write the profiles into a directory, as ``rdd_<id>.pstats``, and forget them. Raises as `show_profiles`."""
        self._require_collector().dump_profiles(path_text(path, "path"))

    def _require_collector(self) -> ProfilerCollector:
        if self.profiler_collector is None:
            raise PySparkRuntimeError(errorClass="INCORRECT_CONF_FOR_PROFILE", messageParameters={})
        return self.profiler_collector

    def _profiled(self, rdd: RDDCore[Any], action: Any) -> Any:
        """The action of a stage, profiled if this context profiles.

        As in PySpark, the jobs of an RDD made by a function count together under its id, and a job on any other kind
        of RDD (a collection, a file) under an id of its own, that of the RDD that PySpark's actions make there.
        """
        if not self._profiles_tasks:
            return action
        from localcluster.rdd.rdd import PipelinedRDD

        collector = self._require_collector()
        id = rdd.id() if isinstance(rdd, PipelinedRDD) else rdd.ctx._next_rdd_id()
        profiler = collector.find(id)
        if profiler is None:
            profiler = collector.new_profiler(rdd.ctx)
            collector.add_profiler(id, profiler)
        return ProfiledAction(action, profiler)
