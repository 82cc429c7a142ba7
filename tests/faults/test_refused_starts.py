"""A context that the system refuses a pipe or a directory: an error that says so, and the next one starts.

What the launcher is refused is in ``tests/localcluster/launcher``.
"""

from __future__ import annotations

import errno

import pytest

from localcluster import SparkContext
from localcluster.base import os_layer as processes
from localcluster.errors import ClusterError
from storage import os_layer as files
from tests.support import fails


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
