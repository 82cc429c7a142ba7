"""Errors that say that the system is short of something, and those that do not."""

from __future__ import annotations

import errno
import os

import pytest

from localcluster.base.shortage import shortage


@pytest.mark.parametrize(
    ("number", "named"),
    [
        (errno.EAGAIN, "ulimit -u"),
        (errno.ENOMEM, "memory"),
        (errno.ENOBUFS, "memory"),
        (errno.EMFILE, "ulimit -n"),
        (errno.ETOOMANYREFS, "ulimit -n"),
        (errno.ENFILE, "fs.file-max"),
    ],
)
def test_the_limit_is_named(number: int, named: str) -> None:
    assert named in (shortage(OSError(number, os.strerror(number))) or "")


def test_threads_are_named_as_processes_and_memory_as_memory() -> None:
    assert "ulimit -u" in (shortage(RuntimeError("can't start new thread")) or "")
    assert "memory" in (shortage(MemoryError()) or "")


@pytest.mark.parametrize("error", [OSError(errno.EPERM, "no"), OSError("text"), RuntimeError("other"), ValueError()])
def test_other_errors_are_none(error: Exception) -> None:
    assert shortage(error) is None
