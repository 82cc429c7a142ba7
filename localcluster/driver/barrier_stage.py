"""Which stages are barrier stages, and on what conditions they can run. As in Spark's ``DAGScheduler``.

All tasks of a barrier stage are launched together. What they do from there on is in ``scheduler.barrier_attempt``.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from localcluster.rdd.core import RDDCore
from localcluster.rdd.lineage import narrow_lineage
from localcluster.scheduler.barrier_slots import too_few_slots
from protocol.errors import JobError


def is_barrier_stage(members: Sequence[RDDCore[Any]], tasks: int, slots: int) -> bool:
    """Whether a stage of these RDDs, the one that its tasks compute first, is one: some of them was made by
    ``rdd.barrier()``. ``tasks`` is their number; ``slots`` is how many the cluster runs at once.

    Raises JobError when it is one and cannot run.
    """
    if not any(member.starts_barrier for member in members):
        return False
    partitions = members[0].getNumPartitions()
    if partitions > slots:
        raise too_few_slots(partitions, slots)
    for member in members:
        if member.getNumPartitions() != tasks or _depends_on_several_barriers(member):
            raise JobError(
                "[SPARK-24820][SPARK-24821]: Barrier execution mode does not allow the following pattern of RDD chain "
                "within a barrier stage:\n1. Ancestor RDDs that have different number of partitions from the resulting "
                "RDD (e.g. union()/coalesce()/first()/take()/PartitionPruningRDD). A workaround for first()/take() can "
                "be barrierRdd.collect().head (scala) or barrierRdd.collect()[0] (python).\n2. An RDD that depends on "
                "multiple barrier RDDs (e.g. barrierRdd1.zip(barrierRdd2))."
            )
    return True


def _depends_on_several_barriers(rdd: RDDCore[Any]) -> bool:
    if len(rdd.dependencies) < 2:
        return False
    lineages = [narrow_lineage(dependency.rdd) for dependency in rdd.dependencies]
    return sum(any(member.starts_barrier for member in lineage) for lineage in lineages) > 1
