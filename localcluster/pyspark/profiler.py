"""PySpark's module of this name."""

from localcluster.profiler import (
    BasicProfiler,
    MemoryProfiler,
    Profiler,
    ProfilerCollector,
    PStatsParam,
    UDFBasicProfiler,
)
