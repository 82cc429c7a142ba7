"""How much the results of a job may take in the driver: ``spark.driver.maxResultSize``."""

from __future__ import annotations

from localcluster.conf.settings import bytes_text
from localcluster.scheduler.stage import Stage
from protocol.cluster_messages import TaskResult
from protocol.errors import JobError


def size_of(result: TaskResult) -> int:
    """Bytes of the serialised result of a task of a result stage."""
    assert not isinstance(result.result, tuple)
    return len(result.result) if isinstance(result.result, bytes) else result.result.length


def too_large(stage: Stage, limit: int) -> JobError:
    return JobError(
        f"Job aborted due to stage failure: Total size of serialized results of {len(stage.done)} tasks "
        f"({bytes_text(stage.result_size)}) is bigger than spark.driver.maxResultSize ({bytes_text(limit)})"
    )
