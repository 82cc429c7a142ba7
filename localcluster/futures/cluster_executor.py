"""`ClusterExecutor`: a `concurrent.futures.Executor` whose calls run in the executors of a context.

Covers what programs see. How calls become jobs, and what becomes of them, is ``dispatcher``; how large arguments
travel, ``large_arguments``.
"""

from __future__ import annotations

import atexit
import os
import sys
import threading
import weakref
from collections.abc import Callable, Iterable, Iterator
from concurrent.futures import BrokenExecutor, Executor, Future
from functools import partial
from itertools import islice
from operator import index
from types import TracebackType
from typing import Any, NoReturn, ParamSpec, TypeVar

from localcluster.api.context import SparkContext
from localcluster.base.call_site import first_spark_call
from localcluster.futures.dispatcher import Call, Dispatcher
from localcluster.futures.large_arguments import LargeArguments
from localcluster.futures.remote_call import PickledCall, RemoteCall
from protocol.errors import ClusterError, ContextError, PySparkTypeError
from protocol.forks import free_in_forks

P = ParamSpec("P")
T = TypeVar("T")

MAX_NBYTES = 1 << 20  # as in joblib


class ClusterExecutor(Executor):
    """Calls functions in the executors of ``context``; without one, in those of the active context, or of one of its
    own with ``max_workers`` processes (default: one per processor), which it stops when it is shut down. A number in
    the place of the context is ``max_workers``, as for `ProcessPoolExecutor`, whose ``mp_context`` and
    ``max_tasks_per_child`` have no meaning here.

    ``max_workers`` is also the most calls that run at once. ``initializer(*initargs)`` is called in each process before
    its first call, in replacements too, and again if another executor's was called there meanwhile. Arrays of
    ``max_nbytes`` or more go once, and arrive as read-only views; None: they go with each call.

    Raises ValueError for ``max_workers`` below 1, TypeError for arguments that it does not have, what making a context
    raises, ContextError when the given one is stopped, and SerializationError for an initializer that cannot be
    pickled.

    >>> from localcluster import ClusterExecutor
    >>> with ClusterExecutor(sc) as executor:
    ...     future = executor.submit(pow, 2, 10)
    ...     squares = list(executor.map(pow, range(5), [2] * 5, chunksize=2))
    >>> future.result(), squares
    (1024, [0, 1, 4, 9, 16])
    """

    def __init__(
        self,
        context: SparkContext | int | None = None,
        max_workers: int | None = None,
        *,
        mp_context: None = None,
        max_tasks_per_child: None = None,
        initializer: Callable[..., object] | None = None,
        initargs: tuple[Any, ...] = (),
        max_nbytes: int | None = MAX_NBYTES,
    ) -> None:
        _refuse(mp_context=mp_context, max_tasks_per_child=max_tasks_per_child)
        context, max_workers = _context_and_width(context, max_workers)
        if initializer is not None and not callable(initializer):
            raise TypeError("initializer must be a callable")
        site = first_spark_call()
        own, self._context = _context(context, max_workers)
        try:
            self._large = LargeArguments(partial(self._context._kept.broadcast, keep=False), max_nbytes)
            action = RemoteCall(self._initializer(initializer, initargs))
            name = f"{type(self).__name__} at {site.file}:{site.linenum}"
            self._dispatcher = Dispatcher(self._context, max_workers, name, action)
            at_exit = partial(_at_exit, self._dispatcher, os.getpid())
            self._dispatcher.start(partial(_end, self._large, at_exit, self._context if own else None))
        except BaseException:
            if own:
                self._context.stop()
            raise
        self._lock = free_in_forks(threading.Lock())  # between a submission and the shutdown
        self._is_shut_down = False
        atexit.register(at_exit)  # after the context, so it runs before that stops
        weakref.finalize(self, self._dispatcher.close).atexit = False  # what was submitted goes on, as with others

    def _initializer(self, function: Callable[..., object] | None, args: tuple[Any, ...]) -> PickledCall | None:
        if function is None:
            return None
        parts = self._large.dumps(function), self._large.dumps_arguments(args, {})
        self._large.kept = [blocks for _, blocks in parts]
        return parts[0][0], parts[1][0]

    def submit(self, fn: Callable[P, T], /, *args: P.args, **kwargs: P.kwargs) -> Future[T]:
        """Have ``fn(*args, **kwargs)`` called. The arguments are pickled now: later changes to them do not show.

        What cannot be pickled, the result too, is the future's exception. Raises RuntimeError after
        `shutdown`, BrokenExecutor when the context is stopped or broken.
        """
        self._large.values_may_have_changed()
        return self._submit(fn, args, kwargs)

    def _submit(self, fn: Callable[..., T], args: tuple[Any, ...], kwargs: dict[str, Any]) -> Future[T]:
        self._check()
        future: Future[T] = Future()
        try:
            function = fn if isinstance(fn, _Pickled) else _Pickled(*self._large.dumps(fn))
            arguments = _Pickled(*self._large.dumps_arguments(args, kwargs))
            data = self._context._kept.put_partition([function.data, arguments.data])
            call = Call(future, data, (function.blocks, arguments.blocks))
        except Exception as error:
            self._check()  # it may be the context's end
            future.set_running_or_notify_cancel()
            future.set_exception(error)
            return future
        with self._lock:
            self._check()
            self._dispatcher.put(call)
        return future

    def map(
        self,
        fn: Callable[..., T],
        *iterables: Iterable[Any],
        timeout: float | None = None,
        chunksize: int = 1,
        **kwargs: Any,
    ) -> Iterator[T]:
        """The results of ``fn`` on each item, in order, as the builtin `map`. ``chunksize`` items make one call; other
        arguments are those that `Executor.map` has in this version of Python.

        The function is pickled once. Raises ValueError for a ``chunksize`` below 1, and as `submit`; the iterator
        TimeoutError, and what the calls raise.
        """
        if chunksize < 1:
            raise ValueError("chunksize must be >= 1.")
        self._large.values_may_have_changed()
        try:
            function: Any = _Pickled(*self._large.dumps(partial(_call_on_chunk, fn)))
        except Exception:
            function = partial(_call_on_chunk, fn)  # the futures will say why
        chunks = _chunks(zip(*iterables), chunksize)  # noqa: B905  # as the builtin, the shortest decides
        results = super().map(function, chunks, timeout=timeout, **kwargs)
        return _flattened(results)

    def shutdown(self, wait: bool = True, *, cancel_futures: bool = False) -> None:
        """Take no more calls, and end when those that there are have ended. A context of its own stops then.

        ``wait``: return not before. ``cancel_futures``: cancel the calls that were not handed out yet.
        """
        with self._lock:
            self._is_shut_down = True
            self._dispatcher.close(cancel_futures)
        if wait:
            self._dispatcher.thread.join()

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        """`shutdown`; after a Ctrl-C, which ends the processes of other pools as well, all calls are cancelled."""
        if kind is not None and issubclass(kind, KeyboardInterrupt):
            self._dispatcher.abandon()
        self.shutdown()

    def _check(self) -> None:
        if self._is_shut_down:
            raise RuntimeError("cannot schedule new futures after shutdown")
        if self._dispatcher.broken is not None:
            raise BrokenExecutor(str(self._dispatcher.broken)) from self._dispatcher.broken
        try:
            self._context._cluster.check_usable()
        except (ContextError, ClusterError) as error:
            raise BrokenExecutor(str(error)) from error

    def __reduce__(self) -> NoReturn:
        raise TypeError("a ClusterExecutor cannot be pickled: calls cannot make calls of their own")


# --- contexts ---


def _refuse(**unsupported: object) -> None:
    for name, value in unsupported.items():
        if value is not None:
            raise TypeError(f"{name} has no meaning for a ClusterExecutor: calls run in the executors of a context")


def _wrong_type(value: object, wanted: str) -> PySparkTypeError:
    return PySparkTypeError(f"a ClusterExecutor wants {wanted}, not {type(value).__name__} {value!r}")


def _context_and_width(context: Any, max_workers: Any) -> tuple[SparkContext | None, int | None]:
    """As they were meant: a number in the first place is the second."""
    if max_workers is None and type(context) is int:
        context, max_workers = None, context
    if context is not None and not isinstance(context, SparkContext):
        raise _wrong_type(context, "a SparkContext, or the number of processes, which is max_workers")
    if max_workers is not None:
        if not hasattr(type(max_workers), "__index__"):
            raise _wrong_type(max_workers, "a number as its max_workers")
        if index(max_workers) <= 0:
            raise ValueError("max_workers must be greater than 0")
    return context, None if max_workers is None else index(max_workers)


def _context(given: SparkContext | None, max_workers: int | None) -> tuple[bool, SparkContext]:
    """Whether it is the executor's own, and the context."""
    with SparkContext._lock:
        found = given or SparkContext._active_spark_context
        if found is not None:
            found._cluster.check_usable()
            return False, found
        return True, SparkContext(f"local[{max_workers or '*'}]", "ClusterExecutor")


def _end(large: LargeArguments, at_exit: Callable[[], None], own_context: SparkContext | None) -> None:
    atexit.unregister(at_exit)
    large.clear()
    if own_context is not None:
        own_context.stop()


def _at_exit(dispatcher: Dispatcher, pid: int) -> None:
    """Have all calls end first, as `concurrent.futures` does, unless the program ends with a Ctrl-C."""
    if os.getpid() == pid:
        if getattr(sys, "last_type", None) is KeyboardInterrupt:
            dispatcher.abandon()
        dispatcher.close()
        dispatcher.thread.join()


class _Pickled:
    """A function, or arguments, that are pickled already, and the blocks that these need."""

    def __init__(self, data: bytes, blocks: object) -> None:
        self.data = data
        self.blocks = blocks


# --- chunks of a map ---


def _call_on_chunk(function: Callable[..., T], chunk: Iterable[tuple[Any, ...]]) -> list[T]:
    return [function(*args) for args in chunk]


def _chunks(items: Iterable[tuple[Any, ...]], size: int) -> Iterator[list[tuple[Any, ...]]]:
    items = iter(items)
    while chunk := list(islice(items, size)):
        yield chunk


def _flattened(results: Iterator[list[T]]) -> Iterator[T]:
    """As `concurrent.futures` does it: what was given out is not kept."""
    for chunk in results:
        chunk.reverse()
        while chunk:
            yield chunk.pop()
