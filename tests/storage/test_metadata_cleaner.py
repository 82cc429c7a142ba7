from __future__ import annotations

import threading

import pytest

from storage import metadata_cleaner
from storage.metadata_cleaner import MetadataCleaner


def test_what_is_older_than_the_time_to_live_is_to_go() -> None:
    times: list[float] = []
    MetadataCleaner("test", 30.0, times.append, clock=lambda: 100.0).clean_now()
    assert times == [70.0]


def test_the_thread_goes_on_after_a_round_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metadata_cleaner, "_MIN_PERIOD", 0.001)
    twice = threading.Event()
    rounds = 0

    def clean(cleanup_time: float) -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            twice.set()
        raise ZeroDivisionError("a round that fails")

    cleaner = MetadataCleaner("test", 0.001, clean)
    cleaner.start()
    assert twice.wait(10)
    cleaner.stop()
    assert "a round that fails" in caplog.text


def test_stop_waits_for_the_round_under_way_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_cleaner, "_MIN_PERIOD", 0.001)
    monkeypatch.setattr(metadata_cleaner, "_STOP_DEADLINE", 0.05)
    entered, leave = threading.Event(), threading.Event()

    def clean(cleanup_time: float) -> None:
        entered.set()
        assert leave.wait(10)

    cleaner = MetadataCleaner("test", 0.001, clean)
    cleaner.start()
    assert entered.wait(10)
    with pytest.raises(TimeoutError):
        cleaner.stop()
    leave.set()
    cleaner.stop()


def test_stop_without_start_does_nothing() -> None:
    MetadataCleaner("test", 1.0, print).stop()
