"""Which files count as left behind. What is said of tests that leave some: ``tests/integration/test_pytest_plugin``."""

from __future__ import annotations

import os
import tempfile
from pathlib import Path

import pytest

from localcluster.trials import leaks


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
