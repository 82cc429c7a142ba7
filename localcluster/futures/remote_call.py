"""A call in the task that makes it: unpickled, run, its outcome pickled.

Whatever the call raises is its outcome: the task succeeds, and the scheduler, which would try a failed one again, has
nothing to do. What ends the task itself (a kill, a driver that is gone) is passed on.
"""

from __future__ import annotations

import pickle
import threading
import time
from collections.abc import Iterable
from multiprocessing.process import current_process
from typing import TYPE_CHECKING, TypeAlias

from localcluster.futures.outcome import Outcome, Raised, Returned
from protocol.errors import ChannelError, TaskKilledError
from protocol.forks import free_in_forks

if TYPE_CHECKING:
    from localcluster.task.task_context import TaskContext

PickledCall: TypeAlias = tuple[bytes, bytes]
PASSED_ON = (TaskKilledError, ChannelError)

_prepared: tuple[PickledCall | None, Raised | None] = (
    None,
    None,
)  # the initializer that ran here last, and what it raised
_preparing = free_in_forks(threading.RLock())


class RemoteCall:
    """What a task does with its two records, a pickled function and a pickled ``(args, kwargs)``.

    ``initializer`` are two such pickles. It is called before the first call in a process, and again when that of
    another executor came between.
    """

    def __init__(self, initializer: PickledCall | None) -> None:
        self._initializer = initializer
        self._authkey = bytes(current_process().authkey)

    def __call__(self, context: TaskContext, records: Iterable[bytes]) -> Outcome:
        function, arguments = records
        if current_process().authkey != self._authkey:  # for queues and the like of the driver's `multiprocessing`
            current_process().authkey = self._authkey
        if self._initializer is not None:
            failure = _prepare(self._initializer)
            if failure is not None:
                return failure
        return run((function, arguments))


def run(call: PickledCall, of_initializer: bool = False) -> Outcome:
    """What becomes of a call, here and now."""
    started = time.perf_counter()
    try:
        function, (args, kwargs) = map(pickle.loads, call)
        value = function(*args, **kwargs)
        return Returned.of(None if of_initializer else value, time.perf_counter() - started)
    except PASSED_ON:
        raise
    except BaseException as error:  # SystemExit, too, as in `ProcessPoolExecutor`
        return _raised(error, time.perf_counter() - started, of_initializer)


def _prepare(initializer: PickledCall) -> Raised | None:
    global _prepared
    with _preparing:  # an executor may run several tasks at once
        ran, failure = _prepared
        if ran != initializer:
            outcome = run(initializer, of_initializer=True)
            failure = outcome if isinstance(outcome, Raised) else None
            _prepared = initializer, failure
        return failure


def _raised(error: BaseException, seconds: float, of_initializer: bool) -> Raised:
    from localcluster.executor.task_runner import pickled_exception, users_traceback  # an executor has it, a driver not

    return Raised(type(error).__qualname__, pickled_exception(error), users_traceback(error), seconds, of_initializer)
