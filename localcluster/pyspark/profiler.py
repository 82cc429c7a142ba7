"""PySpark's module of this name."""

from localcluster.task.profiler import (
    BasicProfiler,
    MemoryProfiler,
    Profiler,
    ProfilerCollector,
    PStatsParam,
    UDFBasicProfiler,
)
