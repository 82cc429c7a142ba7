"""Digests made in another process, with another hash seed."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
from pathlib import Path
from typing import Any

ROOT = Path(__file__).parents[3]


def in_another_process(values: list[Any]) -> list[str]:
    """The digests of these values there, where they are made anew from a pickle."""
    environment = {**os.environ, "PYTHONHASHSEED": "4711", "PYTHONPATH": str(ROOT)}
    program = [sys.executable, "-W", "error", "-m", "tests.localcluster.digests.digests_elsewhere"]
    ran = subprocess.run(program, input=pickle.dumps(values, 5), capture_output=True, cwd=ROOT, env=environment)
    assert ran.returncode == 0, ran.stderr.decode()
    return ran.stdout.decode().split()


if __name__ == "__main__":
    from localcluster.digests.content import content_digest

    for value in pickle.load(sys.stdin.buffer):
        sys.stdout.write(content_digest(value).hex() + "\n")
