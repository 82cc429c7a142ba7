"""How an executor reports: short tasks' results together, everything else at once, and a heartbeat.

A result waits at most ``FLUSH_DELAY`` seconds, and not at all when the executor has nothing else to do. Lease
releases ride along. Does not run tasks.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from typing import NoReturn

import psutil

from localcluster.executor.crash_report import report_error
from localcluster.executor.kills import REPEAT, Kills
from localcluster.executor.report_batch import ReportBatch
from protocol import sites
from protocol.block_messages import ReleaseLeases
from protocol.cluster_messages import ExecutorHeartbeat, TaskResult
from protocol.endpoint import Endpoint
from protocol.errors import (
    AskTimeoutError,
    BlockMasterStoppedError,
    BrokenChannelError,
    ChannelError,
    ClosedChannelError,
    EndOfChannel,
    FrameError,
    RemoteAskError,
)
from protocol.forks import free_in_forks
from protocol.message import Report
from protocol.outbound import ANNOUNCE_INTERVAL
from storage.block_manager import BlockManager

log = logging.getLogger(__name__)

DRIVER_GONE = (BrokenChannelError, ClosedChannelError, EndOfChannel, FrameError)
"""Errors after which an executor has nobody to work for."""

FLUSH_DELAY = 0.005  # seconds


def end_without_driver(error: ChannelError) -> NoReturn:
    """End this executor. The driver, if there is one, sees that, and its channel knows why."""
    log.debug("the driver is gone: %s", error)
    os._exit(1)


class Reporter:
    """Sends an executor's results and heartbeats.

    Also repeats kills that could not be delivered yet, and tells the driver how many frames came from here, so that
    lost ones are noticed: it is the thread that keeps time.
    """

    def __init__(
        self, endpoint: Endpoint, orders: Endpoint, block_manager: BlockManager, kills: Kills, interval: float
    ) -> None:
        self._endpoint = endpoint
        self._ends = endpoint, orders
        self._blocks = block_manager
        self._kills = kills
        self._interval = interval  # seconds between heartbeats
        self._lock = free_in_forks(threading.Lock())
        self._batch = ReportBatch()
        self._wake = threading.Event()
        self._stopped = False
        self._thread = threading.Thread(target=self._run, name="reporter", daemon=True)

    def start(self) -> None:
        self._thread.start()

    def finished(self, result: TaskResult, *, more_queued: bool) -> None:
        """Report a success; with ``more_queued`` it may wait for the next ones."""
        with self._lock:
            if self._batch.add(result, more_queued=more_queued):
                self._wake.set()
                return
            self._flush()

    def tell(self, *reports: Report) -> None:
        """Report something at once, after the results that happened before it."""
        with self._lock:
            self._flush()
            self._endpoint.tell(*reports)

    def wake(self) -> None:
        """Look at the kills now."""
        self._wake.set()

    def stop(self) -> None:
        """Send what is left and stop the heartbeat."""
        self._stopped = True
        self._wake.set()
        self._thread.join(5.0)
        with self._lock:
            self._flush()

    def _flush(self) -> None:
        reports: list[Report] = []
        finished = self._batch.take()
        if finished is not None:
            reports.append(finished)
        releases = self._blocks.take_lease_releases()
        if releases:
            reports.append(ReleaseLeases(releases))
        if reports:
            self._endpoint.tell(*reports)

    def _run(self) -> None:
        process = psutil.Process()
        beat = time.monotonic() + self._interval
        try:
            while not self._stopped:
                pause = max(0.0, min(beat - time.monotonic(), ANNOUNCE_INTERVAL))
                if self._wake.wait(min(pause, REPEAT) if self._kills.deliver() else pause):
                    self._wake.clear()
                    time.sleep(FLUSH_DELAY)  # lets a few more results gather
                    with self._lock:
                        self._flush()
                if time.monotonic() >= beat:
                    beat = time.monotonic() + self._interval
                    self._heartbeat(process)
                for end in self._ends:
                    end.channel.announce(time.monotonic())
        except DRIVER_GONE as error:
            end_without_driver(error)
        except BaseException as error:  # else what waits would never be sent
            log.exception("an executor cannot report any more")
            report_error(error)
            os._exit(1)

    def _heartbeat(self, process: psutil.Process) -> None:
        if sites.armed is not None and sites.armed("heartbeat"):
            return
        memory = process.memory_info()
        block_manager_id = self._blocks.id
        shared = getattr(memory, "shared", 0)
        heartbeat = ExecutorHeartbeat(block_manager_id.executor_id, self._kills.running, memory.rss, shared)
        self.tell(heartbeat)
        try:
            self._blocks.heartbeat()
        except (AskTimeoutError, RemoteAskError) as error:
            is_the_end = isinstance(error.__cause__, BlockMasterStoppedError)
            level = logging.DEBUG if is_the_end else logging.WARNING
            log.log(level, "executor %s: no answer to a heartbeat: %s", block_manager_id.executor_id, error)
