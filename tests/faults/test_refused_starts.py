"""A context that the system refuses a pipe or a directory: an error that says so, and the next one starts.

What the launcher is refused is in ``tests/localcluster/launcher``.
"""

from __future__ import annotations

import errno
import os
import signal
from typing import Any

import pytest

from localcluster import SparkContext
from localcluster.base import os_layer as processes
from localcluster.errors import ClusterError
from storage import os_layer as files
from tests.support import fails, wait_until


def test_a_refused_start_says_what_was_refused_and_the_next_one_works(monkeypatch: pytest.MonkeyPatch) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(processes, "wakeup_pipe", fails(errno.EMFILE))
        with pytest.raises(ClusterError, match=r"cannot start the cluster: too many open files.*ulimit -n"):
            SparkContext("local[1]")
    with monkeypatch.context() as patch:  # late: executors are on their way
        patch.setattr(files, "make_temporary_directory", fails(errno.ENOSPC))
        with pytest.raises(ClusterError, match=r"cannot start the context: .*No space left on device"):
            SparkContext("local[1]")
    with monkeypatch.context() as patch:
        patch.setattr(files, "make_directory", fails(errno.EIO))  # the launcher's is another process
        with pytest.raises(ClusterError, match=r"cannot start the c.*: .*Input/output error"):
            SparkContext("local[1]")
    with SparkContext("local[1]") as sc:
        assert sc.parallelize([1, 2]).sum() == 3


def test_a_start_that_the_launcher_does_not_survive_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    """Its end takes the run's directories along, so that what fails first may be anything."""

    def lose_launcher(context: Any, *_: Any) -> None:
        os.kill(context._cluster._launcher.pid, signal.SIGKILL)
        wait_until(lambda: context._cluster.error)
        raise FileNotFoundError(errno.ENOENT, os.strerror(errno.ENOENT), "userFiles")

    with monkeypatch.context() as patch:
        patch.setattr(SparkContext, "_start_parts", lose_launcher)
        with pytest.raises(ClusterError, match="the launcher is gone"):
            SparkContext("local[1]")
