"""When progress bars are drawn, and for which stages: a real scheduler, a view that remembers, time that is told."""

from __future__ import annotations

import math
import threading
from collections.abc import Sequence
from contextlib import suppress

import pytest

from localcluster.driver.progress import INTERVAL, PATIENCE, Progress
from localcluster.driver.progress_views import StageProgress
from tests.localcluster.driver.status_bench import StatusBench
from tests.localcluster.scheduler.harness import FakeDriver
from tests.localcluster.scheduler.lineage import Lineage


class View:
    def __init__(self) -> None:
        self.shown: list[list[StageProgress]] = []
        self.closed = 0
        self.error: Exception | None = None

    def show(self, stages: Sequence[StageProgress]) -> None:
        if self.error is not None:
            raise self.error
        self.shown.append(list(stages))

    def close(self) -> None:
        self.closed += 1


class Bench:
    def __init__(self) -> None:
        self.lineage = Lineage()
        self.driver = FakeDriver(2)
        self.view = View()
        status = StatusBench(self.driver).status
        self.progress = Progress(self.view, status.running_stages, clock=lambda: self.driver.now)

    def submit(self, tasks: int) -> None:
        self.driver.submit(self.lineage.job(self.lineage.source(tasks)))

    def shown(self) -> list[tuple[int, int, float]]:
        """What was drawn last, as (stage id, tasks done, seconds)."""
        return [(stage.stage_id, stage.done, stage.seconds) for stage in self.view.shown[-1]]


@pytest.fixture
def bench() -> Bench:
    return Bench()


def test_nothing_is_drawn_for_short_jobs(bench: Bench) -> None:
    for _ in range(3):
        bench.submit(4)
        with bench.progress.waiting() as look:
            assert look() == PATIENCE
            bench.driver.wait(PATIENCE - 0.1)
            assert look() == pytest.approx(0.1)
            bench.driver.finish_all()
    assert bench.view.shown == []


def test_bars_are_drawn_while_a_thread_waits_and_are_gone_when_it_stops(bench: Bench) -> None:
    bench.submit(4)
    with bench.progress.waiting() as look:
        bench.driver.wait(PATIENCE)
        assert look() == INTERVAL
        assert bench.view.shown == [[StageProgress(0, 0, "action", 4, 0, 2, PATIENCE)]]
        look()
        assert len(bench.view.shown) == 1, "it was not time yet"
        bench.driver.finish(bench.driver.running()[0])
        bench.driver.wait(INTERVAL)
        look()
        assert bench.shown() == [(0, 1, PATIENCE + INTERVAL)]
    assert bench.view.shown[-1] == [], "though the stage still runs"


def test_bars_are_gone_also_when_the_wait_is_interrupted(bench: Bench) -> None:
    bench.submit(4)
    with suppress(KeyboardInterrupt), bench.progress.waiting() as look:
        bench.driver.wait(PATIENCE)
        look()
        raise KeyboardInterrupt
    assert bench.view.shown[-1] == []


def test_while_other_threads_wait_the_bars_of_their_stages_stay(bench: Bench) -> None:
    bench.submit(1)
    bench.submit(1)
    with bench.progress.waiting() as look:
        with bench.progress.waiting():
            bench.driver.wait(PATIENCE)
            look()
            assert [stage_id for stage_id, _, _ in bench.shown()] == [0, 1]
            bench.driver.finish(bench.driver.running()[0])
        assert [stage_id for stage_id, _, _ in bench.shown()] == [1]
    assert bench.view.shown[-1] == []


def test_a_stage_that_waits_for_the_tasks_of_others_has_no_bar_and_its_time_does_not_count(bench: Bench) -> None:
    bench.submit(2)
    bench.submit(2)
    with bench.progress.waiting() as look:
        bench.driver.wait(10)
        look()
        assert bench.shown() == [(0, 0, 10)]
        for task_id in bench.driver.running():
            bench.driver.finish(task_id)
        bench.driver.wait(INTERVAL)
        look()
        assert bench.shown() == [], "it has only just begun"
        bench.driver.finish(bench.driver.running()[0])
        bench.driver.wait(PATIENCE)
        look()
        assert bench.shown() == [(1, 1, pytest.approx(INTERVAL + PATIENCE))]


def test_each_attempt_of_a_stage_counts_its_own_tasks(bench: Bench) -> None:
    rdd = bench.lineage.shuffled(bench.lineage.source(3), partitions=1)
    bench.driver.submit(bench.lineage.job(rdd))
    bench.driver.finish(bench.driver.task(0))
    for _ in range(2):
        bench.driver.finish(bench.driver.running()[0])
    bench.driver.wait(10)
    bench.driver.fail(bench.driver.running()[0], "fetch", (0, (1,)))
    with bench.progress.waiting() as look:
        bench.driver.wait(PATIENCE)
        look()
        [stage] = bench.view.shown[-1]
        assert (stage.attempt, stage.tasks, stage.done, stage.seconds) == (1, 1, 0, PATIENCE)


def test_a_thread_that_finds_another_one_drawing_does_not_spin(bench: Bench) -> None:
    answers = []
    with bench.progress.waiting() as look:
        bench.driver.wait(PATIENCE)
        bench.view.show = lambda stages: (  # type: ignore[method-assign]
            other := threading.Thread(target=lambda: answers.append(look())),
            bench.driver.wait(INTERVAL),
            other.start(),
            other.join(10),
        )
        look()
        bench.view.show = View().show  # type: ignore[method-assign]
    assert answers == [INTERVAL]


def test_bars_that_cannot_be_drawn_fail_no_job_and_are_not_tried_again(
    bench: Bench, caplog: pytest.LogCaptureFixture
) -> None:
    bench.submit(2)
    bench.view.error = RuntimeError("no widgets")
    with bench.progress.waiting() as look:
        for _ in range(3):
            bench.driver.wait(PATIENCE)
            look()
    assert bench.view.closed == 1
    assert caplog.text.count("RuntimeError: no widgets") == 1


def test_closed_or_without_a_view_nothing_is_done(bench: Bench) -> None:
    bench.progress.close()
    bench.progress.close()
    assert bench.view.closed == 1
    for progress in (bench.progress, Progress(None, tuple)):
        with progress.waiting() as look:
            assert look() == math.inf
        progress.close()
    assert bench.view.shown == []
