"""Which stages are barrier stages, and on what conditions they can run. As in Spark's ``DAGScheduler``.

All tasks of a barrier stage are launched together. What they do from there on is in ``scheduler.barrier_attempt``.
"""

from __future__ import annotations

from typing import Any

from localcluster.rdd.core import RDDCore
from localcluster.rdd.lineage import narrow_lineage
from protocol.errors import JobError


def is_barrier(rdd: RDDCore[Any]) -> bool:
    """Whether the stage that computes ``rdd`` is one: some RDD in it was made by ``rdd.barrier()``."""
    return any(member.starts_barrier for member in narrow_lineage(rdd))


def check_barrier_stage(rdd: RDDCore[Any], tasks: int, slots: int) -> None:
    """Raises JobError when a barrier stage of ``tasks`` tasks cannot run on ``slots`` cores, or cannot be one."""
    if rdd.getNumPartitions() > slots:
        raise JobError(
            "[SPARK-24819]: Barrier execution mode does not allow run a barrier stage that requires more slots than "
            "the total number of slots in the cluster currently. Please init a new cluster with more resources(e.g. "
            "CPU, GPU) or repartition the input RDD(s) to reduce the number of slots required to run this barrier "
            f"stage. (It has {rdd.getNumPartitions()} partitions, the cluster {slots} slots.)"
        )
    for member in narrow_lineage(rdd):
        if member.getNumPartitions() != tasks or _depends_on_several_barriers(member):
            raise JobError(
                "[SPARK-24820][SPARK-24821]: Barrier execution mode does not allow the following pattern of RDD chain "
                "within a barrier stage:\n1. Ancestor RDDs that have different number of partitions from the resulting "
                "RDD (e.g. union()/coalesce()/first()/take()/PartitionPruningRDD). A workaround for first()/take() can "
                "be barrierRdd.collect().head (scala) or barrierRdd.collect()[0] (python).\n2. An RDD that depends on "
                "multiple barrier RDDs (e.g. barrierRdd1.zip(barrierRdd2))."
            )


def _depends_on_several_barriers(rdd: RDDCore[Any]) -> bool:
    return len(rdd.dependencies) > 1 and sum(is_barrier(dependency.rdd) for dependency in rdd.dependencies) > 1
