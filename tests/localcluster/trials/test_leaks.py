"""What counts as left behind. What is said of tests that leave some: ``tests/integration/test_pytest_plugin``."""

from __future__ import annotations

import os
import tempfile
from itertools import count
from pathlib import Path

import pytest

from localcluster.trials import leaks
from tests.support import DEADLINE


def test_files_count_that_are_of_a_run_or_ours(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    shared, temporary = tmp_path / "shm", tmp_path / "tmp"
    shared.mkdir()
    temporary.mkdir()
    monkeypatch.setattr(leaks, "SHARED_MEMORY", shared)
    monkeypatch.setattr(tempfile, "tempdir", str(temporary))
    run, ours = "localcluster-0-0123456789ab", f"localcluster-test-{os.getpid()}-1"
    for path in (
        shared / f"{run}-0-1-2",
        shared / ours,
        shared / "localcluster-of-others",
        temporary / "localcluster-x",
    ):
        path.touch()
    assert leaks.runs().keys() == {run, ours, "localcluster-x"}


def test_only_what_is_there_all_the_time_is_left(monkeypatch: pytest.MonkeyPatch) -> None:
    """Each look finds another run that has just ended: those of other programs on this machine."""
    numbers = count()
    monkeypatch.setattr(leaks, "everything", lambda: {leaks.Run(f"run {next(numbers)}"): ""})
    monkeypatch.setattr(leaks, "is_alive", lambda run: False)
    monkeypatch.setattr(leaks, "GRACE", DEADLINE)
    assert leaks.still_left_after_grace({}) == {}
    assert next(numbers) == 2
