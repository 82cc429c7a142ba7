"""How a task waits for the others of its barrier stage: its call is a report to the driver, the answer an order.

Not an ask: the wait may take days, and has to end at once when the task is killed, in whatever thread it runs.
"""

from __future__ import annotations

from collections.abc import Callable
from itertools import count
from queue import Empty, SimpleQueue

from localcluster.executor.kills import Kills
from protocol.cluster_messages import BarrierCall, BarrierRelease
from protocol.errors import SparkException, TaskKilledError
from protocol.message import Report

LOOK_AT_KILLS = 0.1  # seconds between two looks at whether the task is to end
MAX_MESSAGE = 1 << 20  # characters


class BarrierCalls:
    """The calls of this executor's tasks that are not answered yet. ``tell`` sends a report. Thread-safe.

    If the driver goes, so does the executor.
    """

    def __init__(self, tell: Callable[[Report], None], kills: Kills) -> None:
        self._tell = tell
        self._kills = kills
        self._call_ids = count()
        self._waiting: dict[int, SimpleQueue[BarrierRelease]] = {}  # {call id: where its answer goes}

    def call(self, task_id: int, function: str, message: str) -> list[str]:
        """Wait until all tasks of the stage have made this call; their messages, by partition.

        Raises SparkException when that will not happen, TaskKilledError when the task is to end.
        """
        if len(message) > MAX_MESSAGE:
            raise SparkException(f"a message of {len(message)} characters; {function}() takes at most {MAX_MESSAGE}")
        call_id = next(self._call_ids)
        answers: SimpleQueue[BarrierRelease] = SimpleQueue()
        self._waiting[call_id] = answers
        try:
            self._tell(BarrierCall(task_id, call_id, function, message))
            release = self._wait(task_id, answers)
        finally:
            del self._waiting[call_id]
        if release.error is not None:
            raise SparkException(release.error)
        return list(release.messages)

    def answered(self, release: BarrierRelease) -> None:
        """The driver's answer; nobody may wait for it any more."""
        answers = self._waiting.get(release.call_id)
        if answers is not None:
            answers.put(release)

    def _wait(self, task_id: int, answers: SimpleQueue[BarrierRelease]) -> BarrierRelease:
        while True:
            try:
                release = answers.get(timeout=LOOK_AT_KILLS)
            except Empty:
                release = None
            reason = self._kills.reason(task_id)
            if reason is not None:
                raise TaskKilledError(reason)
            if release is not None:
                return release
            if task_id not in self._kills.running:  # a thread that outlives the task whose call it makes
                raise SparkException(f"task {task_id} is over")
