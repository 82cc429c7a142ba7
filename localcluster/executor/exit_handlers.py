"""What libraries that tasks use do at the end of a Python process: pools end their workers, temporary files go.

An executor ends by `os._exit`, since it is a fork of the launcher, whose frames and handlers are not its own. joblib
would leave semaphores and directories in shared memory. Covers an end in good order; what is left by an executor that
was killed is for the resource trackers of these libraries (``launcher.sessions``).
"""

from __future__ import annotations

import atexit
import os
import threading

PATIENCE = 1.0  # seconds; the launcher ends executors by force some time after it told them to end


def run_exit_handlers() -> None:
    """As the interpreter does at its end, but for waiting for threads of the user's. Ends the process if a handler
    waits too long: for a child process that nobody ends, say.
    """
    deadline = threading.Timer(PATIENCE, os._exit, (0,))
    deadline.daemon = True
    deadline.start()
    for handler in reversed(getattr(threading, "_threading_atexits", ())):  # of pools; they are to be called first
        handler()
    atexit._run_exitfuncs()
    deadline.cancel()
