"""A context that many tests share, and what is looked at between two of them."""

from __future__ import annotations

from typing import TYPE_CHECKING

import pytest

from localcluster.api.context import SparkContext
from localcluster.trials.leak_check import OUTLIVES_TESTS

if TYPE_CHECKING:
    from localcluster.conf.spark_conf import SparkConf


class SharedContext:
    """The context of a session, made when a test first asks and again when one has stopped or broken it."""

    def __init__(self, conf: SparkConf) -> None:
        self._conf = conf
        self._context: SparkContext | None = None

    def get(self) -> SparkContext:
        if self._context is None:
            self._context = SparkContext(conf=self._conf)
            setattr(self._context, OUTLIVES_TESTS, True)
        return self._context

    def stop(self) -> None:
        context, self._context = self._context, None
        if context is not None:
            context.stop()

    def tidy(self) -> None:
        """After a test: fails it for a job that runs; undoes what would show in the next test."""
        context = self._context
        if context is None:  # a test that also wanted one of its own
            return
        if not _is_usable(context):
            self.stop()
            return
        running = context.statusTracker().getActiveJobsIds()
        context.cancelAllJobs()
        context._jobs.properties.replace({})
        for rdd in list(context._cluster.status.persisted.values()):
            rdd.unpersist(blocking=True)
        if running:
            pytest.fail(f"the test left jobs running in the shared context: {running}", pytrace=False)


def _is_usable(context: SparkContext) -> bool:
    try:
        context._cluster.check_usable()
    except Exception:
        return False
    return SparkContext._active_spark_context is context
