"""Pauses between tries."""

from __future__ import annotations

from localcluster.driver.backoff import FIRST_PAUSE, LONGEST_PAUSE, PATIENCE, Backoff


def pauses(backoff: Backoff, tries: int) -> list[float]:
    now, found = 1000.0, []
    for _ in range(tries):
        backoff.failed(now)
        pause = FIRST_PAUSE
        while not backoff.is_due(now + pause + 1e-9):
            pause *= 2
        found.append(min(pause, LONGEST_PAUSE))
        now += pause
    return found


def test_pauses_double_up_to_the_longest() -> None:
    found = pauses(Backoff(), 9)
    assert found[:3] == [FIRST_PAUSE, 2 * FIRST_PAUSE, 4 * FIRST_PAUSE]
    assert found[-2:] == [LONGEST_PAUSE] * 2


def test_failures_of_one_try_are_one() -> None:
    backoff = Backoff()
    for _ in range(10):
        backoff.failed(1000.0)
    assert not backoff.is_due(1000.0)
    assert backoff.is_due(1000.0 + FIRST_PAUSE)


def test_it_is_over_after_a_row_of_failures_which_a_success_ends() -> None:
    backoff = Backoff()
    assert not backoff.is_over(1e9)
    backoff.failed(1000.0)
    assert backoff.is_failing
    assert not backoff.is_over(1000.0 + PATIENCE - 1)
    assert backoff.is_over(1000.0 + PATIENCE)
    backoff.succeeded()
    assert not backoff.is_failing
    backoff.failed(2000.0)
    assert not backoff.is_over(2000.0 + PATIENCE - 1)
    assert backoff.is_due(2000.0 + FIRST_PAUSE)
