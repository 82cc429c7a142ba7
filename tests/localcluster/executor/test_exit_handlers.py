"""The end of an executor's process, by a program that ends as it does."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).resolve().parents[3]

PROGRAM = f"""
import atexit, os, sys, threading, time
sys.path.insert(0, {str(ROOT)!r})
from localcluster.executor import exit_handlers
exit_handlers.PATIENCE = float(sys.argv[1])
def end():
    exit_handlers.run_exit_handlers()
    print("done", flush=True)
    os._exit(3)
"""


def run(program: str, patience: float) -> tuple[int, list[str]]:
    command = [sys.executable, "-c", PROGRAM + program, str(patience)]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, timeout=60)
    return done.returncode, done.stdout.splitlines()


def test_handlers_run_as_at_the_end_of_an_interpreter() -> None:
    """Those that pools register with ``threading`` come first; a thread of the user's is not waited for."""
    assert run(
        """
from concurrent.futures import ThreadPoolExecutor
atexit.register(print, "first registered", flush=True)
atexit.register(print, "last registered", flush=True)
pool = ThreadPoolExecutor(1)
# Work that is under way when the process ends.
pool.submit(lambda: (time.sleep(0.1), print("the pool's work", flush=True)))
threading.Thread(target=time.sleep, args=(600,)).start()
end()
""",
        patience=60.0,
    ) == (3, ["the pool's work", "last registered", "first registered", "done"])


def test_an_error_of_a_handler_does_not_stop_the_others() -> None:
    assert run('atexit.register(print, "ran", flush=True); atexit.register(lambda: 1 / 0); end()', 60.0) == (
        3,
        ["ran", "done"],
    )


def test_a_handler_that_waits_for_ever_does_not_keep_the_process() -> None:
    """Such as that of ``multiprocessing``, for a child that is no daemon."""
    assert run(
        """
import multiprocessing
# The child outlives the patience with its parent by far.
multiprocessing.get_context("fork").Process(target=lambda: (os.close(1), time.sleep(5))).start()
end()
""",
        patience=0.1,
    ) == (0, [])
