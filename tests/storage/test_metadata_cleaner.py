from __future__ import annotations

import threading

import pytest

from storage import metadata_cleaner
from storage.metadata_cleaner import MetadataCleaner


def test_the_thread_goes_on_after_a_round_that_failed(
    monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(metadata_cleaner, "_MIN_PERIOD", 0.001)
    twice = threading.Event()
    rounds = 0

    def clean() -> None:
        nonlocal rounds
        rounds += 1
        if rounds == 2:
            twice.set()
        raise ZeroDivisionError("a round that fails")

    cleaner = MetadataCleaner(0.001, clean)
    assert twice.wait(10)
    cleaner.stop()
    assert "a round that fails" in caplog.text


def test_stop_waits_for_the_round_under_way_but_not_for_ever(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(metadata_cleaner, "_MIN_PERIOD", 0.001)
    monkeypatch.setattr(metadata_cleaner, "_STOP_DEADLINE", 0.05)
    entered, leave = threading.Event(), threading.Event()

    def clean() -> None:
        entered.set()
        assert leave.wait(10)

    cleaner = MetadataCleaner(0.001, clean)
    assert entered.wait(10)
    with pytest.raises(TimeoutError):
        cleaner.stop()
    leave.set()
    cleaner.stop()
