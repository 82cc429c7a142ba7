"""What is kept of executors' heartbeats."""

from __future__ import annotations

import time

from localcluster.driver.heartbeats import Heartbeats
from protocol.cluster_messages import ExecutorHeartbeat


def receive(heartbeats: Heartbeats, executor_id: str, rss: int, shared: int = 0, running: tuple[int, ...] = ()) -> None:
    heartbeats.receive(executor_id, ExecutorHeartbeat(executor_id, running, rss, shared), None)


def test_the_latest_counts_and_the_peak_is_remembered() -> None:
    heartbeats = Heartbeats()
    assert heartbeats.latest("a") is None
    receive(heartbeats, "a", rss=500)
    before = time.monotonic()
    receive(heartbeats, "a", rss=300, shared=100, running=(7, 8))
    beat = heartbeats.latest("a")
    assert beat is not None
    assert (beat.rss, beat.shared, beat.own, beat.peak_rss, beat.running) == (300, 100, 200, 500, (7, 8))
    assert before <= beat.heard_at <= time.monotonic()


def test_each_executor_has_its_own_and_a_lost_one_has_none() -> None:
    heartbeats = Heartbeats()
    receive(heartbeats, "a", rss=1)
    receive(heartbeats, "b", rss=2)
    heartbeats.forget("a")
    heartbeats.forget("a")
    beat = heartbeats.latest("b")
    assert heartbeats.latest("a") is None
    assert beat is not None
    assert beat.peak_rss == 2
