"""`Profiling`: the part of a context that has its jobs profiled, where ``spark.python.profile`` says so.

Covers which profiler a stage gets; the profilers are in ``task.profiler``. Every stage is
profiled as a whole: like PySpark's pipelines, a stage runs what several RDDs do in one loop.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.conf.settings import Settings
from localcluster.task.profiled_action import ProfiledAction
from localcluster.task.profiler import Profiler, ProfilerCollector
from protocol.errors import PySparkRuntimeError

if TYPE_CHECKING:
    from localcluster.conf.setting import Texts
    from localcluster.rdd.core import RDDCore


class Profiling:
    """The profiles of a context. ``collector`` is None in a context that profiles nothing."""

    def __init__(
        self,
        conf: Texts,
        profiler_cls: type[Profiler],
        udf_profiler_cls: type[Profiler],
        memory_profiler_cls: type[Profiler],
    ) -> None:
        self.collector: ProfilerCollector | None = None
        settings = Settings(conf)
        self._profiles_tasks = settings.python_profile
        if self._profiles_tasks or settings.python_profile_memory:
            dump_path = settings.python_profile_dump
            self.collector = ProfilerCollector(profiler_cls, udf_profiler_cls, memory_profiler_cls, dump_path)

    def require_collector(self) -> ProfilerCollector:
        """Raises PySparkRuntimeError when there is none."""
        if self.collector is None:
            raise PySparkRuntimeError(errorClass="INCORRECT_CONF_FOR_PROFILE", messageParameters={})
        return self.collector

    def profiled(self, rdd: RDDCore[Any], action: Any) -> Any:
        """The action of a stage, profiled if this context profiles.

        As in PySpark, the jobs of an RDD made by a function count together under its id, and a job on any other kind
        of RDD (a collection, a file) under an id of its own, that of the RDD that PySpark's actions make there.
        """
        if not self._profiles_tasks:
            return action
        from localcluster.rdd.rdd import PipelinedRDD

        collector = self.require_collector()
        id = rdd.id() if isinstance(rdd, PipelinedRDD) else rdd.ctx._next_rdd_id()
        profiler = collector.find(id)
        if profiler is None:
            profiler = collector.new_profiler(rdd.context)
            collector.add_profiler(id, profiler)
        return ProfiledAction(action, profiler)
