"""`LocalClusterBackend`: joblib's batches as calls of a `ClusterExecutor`.

On the context that is active, else on one that is made for it and kept for the next `Parallel`, as joblib's own pool of
processes is. Batches, verbosity, timeouts and nesting are joblib's own business.
"""

from __future__ import annotations

import warnings
from collections.abc import Callable
from concurrent.futures import Future
from typing import Any

from joblib import cpu_count
from joblib.parallel import AutoBatchingMixin, FallbackToBackend, ParallelBackendBase, SequentialBackend

from localcluster.api.context import SparkContext
from localcluster.futures.cluster_executor import ClusterExecutor
from localcluster.task.task_context import TaskContext

READ_ONLY, BY_VALUE = ("r",), ("c", None)  # of joblib's mmap_mode, what can be had

_own_context: SparkContext | None = None


class LocalClusterBackend(AutoBatchingMixin, ParallelBackendBase):  # type: ignore[misc]  # joblib has no types
    """``parallel_config(backend="localcluster")``, after ``import localcluster.joblib``."""

    supports_retrieve_callback = True

    def __init__(self, **arguments: Any) -> None:
        super().__init__(**arguments)
        self._executor: ClusterExecutor | None = None

    def effective_n_jobs(self, n_jobs: int | None) -> int:
        """As joblib's own, counted in the cores of the context, if there is one already. It has no more than these."""
        if n_jobs == 0:
            raise ValueError("n_jobs == 0 in Parallel has no meaning")
        if n_jobs is None or n_jobs == 1:
            return 1
        if TaskContext.get() is not None:
            warnings.warn("the localcluster backend cannot be nested in its own tasks, setting n_jobs=1", stacklevel=3)
            return 1
        active = SparkContext._active_spark_context
        cores = cpu_count() if active is None or active is _own_context else active._cluster.slots
        if n_jobs < 0:
            return int(max(cores + 1 + n_jobs, 1))
        return n_jobs if active is None or active is _own_context else min(n_jobs, cores)

    def configure(
        self,
        n_jobs: int = 1,
        parallel: Any = None,
        prefer: str | None = None,
        require: str | None = None,
        max_nbytes: int | None = None,
        mmap_mode: str | None = "r",
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        **others: Any,
    ) -> int:
        """``initializer`` may also be an argument of `parallel_config`. Other arguments, such as ``temp_folder``, are
        about files that joblib makes, and there are none.

        Raises ValueError for a ``mmap_mode`` in which tasks would write into what other tasks read.
        """
        if mmap_mode not in READ_ONLY + BY_VALUE:
            raise ValueError(
                f"mmap_mode={mmap_mode!r}: with the localcluster backend, tasks cannot write into arguments"
            )
        n_jobs = self.effective_n_jobs(n_jobs)
        if n_jobs == 1:
            raise FallbackToBackend(SequentialBackend(nesting_level=self.nesting_level))
        self.parallel = parallel
        self._executor = ClusterExecutor(
            _context(n_jobs),
            n_jobs,
            initializer=initializer or self.backend_kwargs.get("initializer"),
            initargs=initargs or self.backend_kwargs.get("initargs", ()),
            max_nbytes=max_nbytes if mmap_mode in READ_ONLY else None,
        )
        return n_jobs

    def start_call(self) -> None:
        """Arrays may have changed since the last call; while one is under way, joblib does not expect that either."""
        assert self._executor is not None
        self._executor._large.values_may_have_changed()

    def submit(self, func: Callable[[], Any], callback: Callable[[Future[Any]], Any] | None = None) -> Future[Any]:
        assert self._executor is not None
        future: Future[Any] = self._executor._submit(func, (), {})
        if callback is not None:
            future.add_done_callback(callback)
        return future

    def retrieve_result_callback(self, future: Future[Any]) -> Any:
        return future.result()

    def abort_everything(self, ensure_ready: bool = True) -> None:
        if self._executor is not None:
            self._executor._dispatcher.abandon()

    def terminate(self) -> None:
        executor, self._executor = self._executor, None
        if executor is not None:
            executor.shutdown(wait=False)
        self.reset_batch_stats()


def stop() -> None:
    """Stop the context that was made for joblib, if there is one: so that another one can be made."""
    global _own_context
    context, _own_context = _own_context, None
    if context is not None:
        context.stop()


def _context(n_jobs: int) -> SparkContext:
    global _own_context
    with SparkContext._lock:
        active = SparkContext._active_spark_context
        if active is None:
            active = _own_context = SparkContext(f"local[{n_jobs}]", "joblib")
        elif active is _own_context and active._cluster.slots < n_jobs:
            active._cluster.set_executors(n_jobs)
        return active
