"""The process that cleans up after everyone else is dead, however they died.

The launcher forks it before there is anything to clean and tells it over a pipe what there is: directories before they
are made, executors before they can run a task. The end of the pipe is the end of the launcher, and of the executors,
which die with it. The janitor then ends the executors' sessions, waits for the lock of the scratch directory, which
every process of the run inherits, and removes the directories and the ``/dev/shm`` files. In a good end the launcher
has done all that, as far as it had the descriptors, and says that it was the end. The janitor is in a session of its
own, so that neither Ctrl-C nor a kill of the process group reaches it.
"""

from __future__ import annotations

import contextlib
import logging
import os
import signal
from dataclasses import dataclass, field

import psutil
from multiprocess.connection import Connection

from localcluster.base import os_layer
from localcluster.base.own_stacks import OwnStacks
from localcluster.launcher.bottom_lines import release_terminal, terminal_name
from localcluster.launcher.forking import fork, kill, run_child
from localcluster.launcher.process_title import name_process
from localcluster.launcher.sessions import end_sessions
from storage.scratch import remove_unowned, wait_until_unowned

log = logging.getLogger(__name__)

END_DEADLINE = 5.0  # seconds for a janitor to do what is left

DIRECTORY, MADE, EXECUTOR, GONE, END = "directory", "made", "executor", "gone", "end"
"""What is told: the primary directory of a scratch space that is to be made; the same when it was; an executor's pid;
the pid of one whose session has ended.
"""


class Janitor:
    """The launcher's side."""

    def __init__(self, pid: int, connection: Connection) -> None:
        self.pid = pid
        self._connection = connection

    def tell(self, what: str, value: str | int) -> None:
        try:
            self._connection.send((what, value))
        except OSError as error:
            log.debug("the janitor was killed: %s", error)

    def end(self) -> None:
        """Have it do what is left. It may be waited for then."""
        self.tell(END, 0)
        with contextlib.suppress(OSError):
            self._connection.poll(END_DEADLINE)  # for the end of the pipe
        kill(self.pid, signal.SIGKILL)
        self.close()

    def close(self) -> None:
        """Let go of the pipe: of a copy of it in a forked child, or when the janitor is dead."""
        self._connection.close()


def start_janitor(run: str) -> Janitor:
    """Fork it; ``run`` is what its title says. From here on it outlives a kill of our process group.

    Raises OSError with nothing left behind.
    """
    ours, theirs = os_layer.pipe()
    try:
        pid = fork()
        if pid == 0:
            ours.close()
            run_child(lambda: _be_janitor(theirs, run))
    except OSError:
        ours.close()
        raise
    finally:
        theirs.close()
    with contextlib.suppress(EOFError, OSError):  # it was killed at once
        ours.recv_bytes()
    return Janitor(pid, ours)


def _be_janitor(orders: Connection, run: str) -> int:
    os.setsid()
    for signum in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(signum, signal.SIG_IGN)
    name_process("janitor", run)
    terminal = terminal_name(2)
    _close_inherited(orders.fileno())
    orders.send_bytes(b"ready")
    left = listen(orders)
    clean_up(left)
    if not left.is_good_end:
        release_terminal(terminal)
    return 0


@dataclass
class Leavings:
    """What there is to clean when the launcher ends."""

    directories: list[str] = field(default_factory=list)
    executors: dict[int, psutil.Process | None] = field(default_factory=dict)  # by pid
    is_good_end: bool = False  # so said the launcher
    stacks: OwnStacks | None = None  # of the janitor itself


def listen(orders: Connection) -> Leavings:
    """Until the launcher ends."""
    left = Leavings()
    with contextlib.suppress(EOFError, OSError):
        while not left.is_good_end:
            what, value = orders.recv()
            if what == DIRECTORY:
                left.directories.append(value)
            elif what == MADE:
                left.stacks = OwnStacks(value, "janitor", is_owner=False)
            elif what == EXECUTOR:
                left.executors[value] = _process(value)
            elif what == GONE:
                left.executors.pop(value, None)
            else:
                left.is_good_end = True
    return left


def clean_up(left: Leavings) -> None:
    if left.stacks is not None:
        left.stacks.close()
    end_sessions([pid for pid, process in left.executors.items() if _may_have_a_session(pid, process)])
    for directory in left.directories:
        wait_until_unowned(directory)
        remove_unowned(directory)


def _process(pid: int) -> psutil.Process | None:
    try:
        return psutil.Process(pid)
    except psutil.NoSuchProcess:
        return None


def _may_have_a_session(pid: int, executor: psutil.Process | None) -> bool:
    """The system gives no number to a new process while a session bears it: if another process than the executor has
    the number now, the executor's session was empty, and the session of that number is somebody else's.
    """
    return (executor is not None and executor.is_running()) or not psutil.pid_exists(pid)


def _close_inherited(kept: int) -> None:
    """Keep nobody's pipe or terminal open: a shell that captures the run's output waits until the last holder is
    gone.
    """
    null = os.open(os.devnull, os.O_RDWR)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    for name in os.listdir("/dev/fd"):
        if int(name) > 2 and int(name) != kept:
            with contextlib.suppress(OSError):  # the descriptor that listed the directory is closed by now
                os.close(int(name))
