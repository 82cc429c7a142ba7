"""Which executors show no sign of life, and what is made of it.

A sign of life is a message, or work that a look at the process shows (``liveness``). Three cases:

- Stopped (SIGSTOP): for this no time-out is waited for. From 1.5 missing heartbeats on the process is looked at, and
  twice stopped in a row, half a heartbeat apart, means lost: within three heartbeats of the stop, also before the
  executor has registered. It is ended by SIGKILL, so that a SIGCONT finds nothing.
- No sign of life for ``spark.network.timeout``: hung, and lost. So long may a task do nothing and hold the GIL.
- At work, without heartbeats: never lost. Others cannot reach its heap meanwhile; see `ExpireDeadHosts`.

An executor that starts has the time-out, and its work, to get ready, whatever it says meanwhile. Time in which the
driver itself did not run (Ctrl-Z, a suspended machine) does not count: what was said then is still in the pipes.

A state machine: under the driver's lock, no clock of its own. Does not end executors (``executor_pool``).
"""

from __future__ import annotations

import logging
import math
from collections.abc import Iterable
from typing import NamedTuple

from localcluster.driver.known_executor import Executor, State
from localcluster.driver.liveness import Liveness, LookAt, ProcessWatch, look_at

log = logging.getLogger(__name__)

FIRST_LOOK = 1.5  # heartbeats of silence
NEXT_LOOK = 0.5  # heartbeats
PAUSE = 1.0  # seconds between two checks, a heartbeat at most, that are not taken for a pause of the driver itself


class Verdict(NamedTuple):
    executor: Executor
    liveness: Liveness  # but BUSY
    lacks: str  # what it has not done


class _Silence:
    """Of one executor. Times are the watch's own."""

    def __init__(self, now: float) -> None:
        self.heard_at = now
        self.looked_at = now
        self.process: ProcessWatch | None = None  # while it is silent
        self.is_told = False  # that it is waited for


class SilenceWatch:
    """Tells lost executors from busy ones. ``interval`` (of heartbeats) and ``timeout`` are seconds."""

    def __init__(self, interval: float, timeout: float, look: LookAt = look_at) -> None:
        self._interval = interval
        self._timeout = timeout
        self._look = look
        self._silences: dict[str, _Silence] = {}
        self._heard: set[str] = set()  # since the last check
        self._checked_at: float | None = None
        self.awake_since = 0.0  # on the clock of `check`: when the driver last came back from a pause
        self._asleep = 0.0  # seconds in which the driver itself did not run

    @property
    def round(self) -> float:
        """Seconds until the next check, at most."""
        return min(self._interval / 4, PAUSE / 2)

    def heard(self, executor_id: str) -> None:
        self._heard.add(executor_id)

    def forget(self, executor_id: str) -> None:
        self._silences.pop(executor_id, None)
        self._heard.discard(executor_id)

    def check(self, executors: Iterable[Executor], launcher: int, now: float) -> list[Verdict]:
        """Those to be ended, or that are gone; of those that are not forked yet, that ``launcher`` forks nothing.

        A verdict is repeated at the next look. ``launcher`` is a process id.
        """
        awake = self._awake(now)
        verdicts = []
        for executor in executors:
            if executor.state is not State.BROKEN:
                is_forked = executor.state is not State.ORDERED
                liveness = self._judge(executor, executor.pid if is_forked else launcher, awake)
                if liveness is not None:
                    verdicts.append(Verdict(executor, liveness, _lacks(executor)))
        self._heard.clear()
        return verdicts

    def _awake(self, now: float) -> float:
        """The time without that in which the driver did not run."""
        pause = math.inf if self._checked_at is None else now - self._checked_at
        self._checked_at = now
        expected = min(PAUSE, self._interval)
        if pause > expected:
            self.awake_since = now
            self._asleep += 0.0 if pause == math.inf else pause - expected
        return now - self._asleep

    def _judge(self, executor: Executor, pid: int, now: float) -> Liveness | None:
        """None: no reason to end it."""
        silence = self._silences.get(executor.executor_id)
        if silence is None or (executor.was_ready and executor.executor_id in self._heard):
            if silence is not None and silence.is_told:
                log.warning("executor %s is heard again", executor.executor_id)
            self._silences[executor.executor_id] = _Silence(now)
            return None
        if now - silence.heard_at < FIRST_LOOK * self._interval:
            return None
        if silence.process is not None and now - silence.looked_at < NEXT_LOOK * self._interval:
            return None
        silence.looked_at = now
        look = self._look(pid)
        if silence.process is None:
            silence.process = ProcessWatch(look, now)
            return None if look.is_there else Liveness.GONE
        liveness = silence.process.see(look, now)
        if liveness is Liveness.GONE or (liveness is Liveness.STOPPED and executor.state is not State.ORDERED):
            return liveness
        return self._wait_for(executor, silence, silence.process, liveness, now)

    def _wait_for(
        self, executor: Executor, silence: _Silence, process: ProcessWatch, liveness: Liveness, now: float
    ) -> Liveness | None:
        """None until it has shown no sign of life for the timeout."""
        alive_at = silence.heard_at if process.worked_at is None else process.worked_at
        if now - alive_at >= self._timeout:
            return liveness
        if now - silence.heard_at >= self._timeout and not silence.is_told:
            silence.is_told = True
            log.warning(
                "executor %s %s, but %s; it is waited for", executor.executor_id, _lacks(executor), Liveness.BUSY.value
            )
        return None


def _lacks(executor: Executor) -> str:
    return "sent no heartbeat" if executor.was_ready else "did not get ready"
