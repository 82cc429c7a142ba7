"""Tasks that wait in an executor: each is started, given back or given up, once."""

from __future__ import annotations

import pytest

from localcluster.executor.task_queue import TaskQueue
from protocol.cluster_messages import TaskDescription


@pytest.fixture
def queue() -> TaskQueue[str]:
    queue: TaskQueue[str] = TaskQueue()
    queue.add_stage(1, "code")
    queue.add(1, [TaskDescription(task_id, task_id, 0, b"") for task_id in range(3)])
    return queue


def test_a_task_is_started_with_the_code_of_its_stage_and_only_once(queue: TaskQueue[str]) -> None:
    assert queue.start(0) == ("code", TaskDescription(0, 0, 0, b""))
    assert queue.start(0) is None


def test_only_what_was_not_started_is_given_back(queue: TaskQueue[str]) -> None:
    queue.start(0)
    assert queue.give_back((0, 1, 9)) == (1,)
    assert queue.start(1) is None


def test_only_what_was_not_started_is_given_up(queue: TaskQueue[str]) -> None:
    queue.start(0)
    assert not queue.give_up(0)
    assert queue.give_up(1)
    assert queue.start(1) is None


def test_a_task_that_waits_keeps_the_code_of_a_dropped_stage(queue: TaskQueue[str]) -> None:
    queue.drop_stage(1)
    queue.drop_stage(1)
    assert queue.start(2) is not None


def test_it_knows_whether_tasks_wait(queue: TaskQueue[str]) -> None:
    assert queue.has_tasks
    queue.give_back((0, 1, 2))
    assert not queue.has_tasks
