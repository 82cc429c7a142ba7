"""Where modules lay in the first versions: files of records and checkpoints name the modules of what is in them.

Only modules with classes or functions that a record can be or refer to. `localcluster` installs this on import.
"""

from __future__ import annotations

import sys

from localcluster.base.module_aliases import AliasFinder

MOVED = {
    "localcluster.accumulators": "localcluster.task.accumulators",
    "localcluster.barrier_task_context": "localcluster.task.barrier_task_context",
    "localcluster.broadcast": "localcluster.task.broadcast",
    "localcluster.context": "localcluster.api.context",
    "localcluster.decorators": "localcluster.compat.decorators",
    "localcluster.external.disk": "localcluster.compat.external.disk",
    "localcluster.external.group_by_key": "localcluster.compat.external.group_by_key",
    "localcluster.external.merger": "localcluster.compat.external.merger",
    "localcluster.external.process_memory": "localcluster.compat.external.process_memory",
    "localcluster.external.sorter": "localcluster.compat.external.sorter",
    "localcluster.files": "localcluster.api.files",
    "localcluster.join": "localcluster.compat.join",
    "localcluster.loose_version": "localcluster.compat.loose_version",
    "localcluster.profiler": "localcluster.task.profiler",
    "localcluster.rdd.call_site": "localcluster.base.call_site",
    "localcluster.rdd.hashing": "localcluster.shuffle.hashing",
    "localcluster.rdd.partitioner": "localcluster.shuffle.partitioner",
    "localcluster.resource.information": "localcluster.task.resource_information",
    "localcluster.simple_tracebacks": "localcluster.compat.simple_tracebacks",
    "localcluster.status": "localcluster.api.status",
    "localcluster.task_context": "localcluster.task.task_context",
    "localcluster.testing": "localcluster.compat.testing",
    "localcluster.threads": "localcluster.compat.threads",
    "localcluster.util": "localcluster.compat.util",
}
_FINDER = AliasFinder(MOVED)


def install() -> None:
    """Before Python's own finders, which would load the modules of a package a second time. Idempotent."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.insert(0, _FINDER)
