"""Progress bars: one for each running stage, on a terminal or in a notebook; silence otherwise.

They are drawn by the threads that wait for jobs, while they wait. So the bars are gone when the last action returns,
they are where a notebook shows that action's output, and short jobs do nothing for them. How they look is the business
of ``progress_views``.
"""

from __future__ import annotations

import logging
import math
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager, suppress

from localcluster.driver.progress_views import ProgressView, StageProgress
from localcluster.driver.status import RunningStage

log = logging.getLogger(__name__)

INTERVAL = 0.2  # seconds between looks
PATIENCE = 0.5  # seconds that jobs, and stages, run before there is a bar: short ones would only flicker


class Progress:
    """Draws the bars of a context's stages while threads wait for jobs.

    ``running_stages`` are `Status`'s. ``view`` None: there is nowhere to show them.
    """

    def __init__(
        self,
        view: ProgressView | None,
        running_stages: Callable[[], Sequence[RunningStage]],
        clock: Callable[[], float] = time.monotonic,
    ) -> None:
        self._view = view
        self._running_stages = running_stages
        self._clock = clock
        self._lock = threading.RLock()  # for what follows, and the view; a signal handler may run a job meanwhile
        self._waiting = 0  # threads
        self._due = math.inf  # when to look next
        self._since: dict[tuple[int, int], float] = {}  # {(stage id, attempt): last look when no task had started}
        self._shown = False

    @contextmanager
    def waiting(self) -> Iterator[Callable[[], float]]:
        """While a thread waits for a job. It calls what it gets now and then, which draws the bars when it is time, and
        returns the seconds until it is time again.
        """
        if self._view is None:
            yield lambda: math.inf
            return
        with self._lock:
            if not self._waiting:
                self._due = self._clock() + PATIENCE
            self._waiting += 1
        try:
            yield self._look
        finally:
            with self._lock:
                self._waiting -= 1
                if self._shown:
                    self._draw(self._clock())

    def close(self) -> None:
        with self._lock:
            view, self._view = self._view, None
            if view is not None:
                with suppress(Exception):  # as in `_draw`
                    view.close()

    def _look(self) -> float:
        now = self._clock()
        if now < self._due:
            return self._due - now
        if self._lock.acquire(blocking=False):  # else another thread is drawing
            try:
                self._due = now + INTERVAL
                self._draw(now)
            finally:
                self._lock.release()
        return INTERVAL

    def _draw(self, now: float) -> None:
        if self._view is None:
            return
        stages = self._running(now) if self._waiting else []
        self._shown = bool(stages)
        try:
            self._view.show(stages)
        except Exception:  # of a notebook's widgets, say: no reason for a job to fail
            log.warning("there are no progress bars any more, since they cannot be drawn", exc_info=True)
            self.close()

    def _running(self, now: float) -> list[StageProgress]:
        """The stages to show. Their time counts from when their first task may have started: what waited for other
        jobs' tasks says nothing of the rate.
        """
        running, since = [], {}
        for stage in self._running_stages():
            key = stage.stage_id, stage.attempt
            since[key] = self._since.get(key, stage.created) if stage.active or stage.done else now
            seconds = now - since[key]
            if seconds >= PATIENCE:
                running.append(StageProgress(*key, stage.name, stage.tasks, stage.done, stage.active, seconds))
        self._since = since
        return running
