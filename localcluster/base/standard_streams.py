"""The standard streams of processes that fork, end, or are daemons."""

from __future__ import annotations

import io
import logging
import os
import sys

log = logging.getLogger(__name__)


def fill_standard_descriptors() -> None:
    """Let no pipe of ours take the number of a standard stream that is closed: children would print into it."""
    for fd in (0, 1, 2):
        try:
            os.fstat(fd)
        except OSError:
            os.set_inheritable(os.open(os.devnull, os.O_RDWR), True)  # takes the lowest free number, which is this one


def read_nothing() -> None:
    """Standard input is at its end, for child processes too."""
    null = os.open(os.devnull, os.O_RDONLY)
    os.dup2(null, 0)
    os.close(null)


def print_to_standard_error() -> None:
    """What is printed goes to standard error, what child processes print, too."""
    os.dup2(2, 1)


def print_whole_lines() -> None:
    """Write a line at once, since other processes write to the same place."""
    for stream in (sys.stdout, sys.stderr):  # standard error, too, writes word by word with PYTHONUNBUFFERED
        if isinstance(stream, io.TextIOWrapper) and not stream.closed:
            stream.reconfigure(line_buffering=True, write_through=False)


def flush_standard_streams() -> None:
    """A stream that is closed, absent or cannot be written (a daemon's, a full disk, a reader that left) is no reason
    to fail: whoever wrote to it has lost that output already.
    """
    for stream in (sys.stdout, sys.stderr):
        try:
            if stream is not None:
                stream.flush()
        except (OSError, ValueError) as error:
            log.debug("standard output cannot be flushed: %s", error)
