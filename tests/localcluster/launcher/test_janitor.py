"""A launcher that is killed, with its whole process group, in the middle of making its first directory."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.faults.runs import ROOT
from tests.support import wait_until

STARTS_AND_IS_KILLED = """
import os, signal, socket, sys
from localcluster.launcher.cluster_processes import ClusterProcesses
from storage import os_layer

real, launcher = getattr(os_layer, sys.argv[1]), os.getpid()

def killed_after(*arguments, **options):
    result = real(*arguments, **options)
    if os.getpid() == launcher:
        os.killpg(0, signal.SIGKILL)
    return result

setattr(os_layer, sys.argv[1], killed_after)
ClusterProcesses([sys.argv[2]], socket.socketpair()[0], lambda: None, os.getppid(), "app")
"""


@pytest.mark.parametrize("call", ["make_directory", "create", "lock", "rename"])
def test_no_directory_is_left(tmp_path: Path, call: str) -> None:
    temporary, local = tmp_path / "tmp", tmp_path / "local"
    temporary.mkdir()
    local.mkdir()
    environment = os.environ | {"TMPDIR": str(temporary), "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", STARTS_AND_IS_KILLED, call, str(local)]
    assert subprocess.run(command, env=environment, start_new_session=True).returncode == -signal.SIGKILL
    wait_until(lambda: not [*temporary.iterdir(), *local.iterdir()], "directories left")
