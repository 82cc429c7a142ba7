"""One partition through an external command: feeds its standard input, yields the lines of its standard output."""

from __future__ import annotations

import shlex
import subprocess
import threading
from collections.abc import Iterable, Iterator
from typing import IO, Any

from localcluster.base import os_layer
from protocol.errors import RDDError
from protocol.forks import lost_in_forks


def pipe_through(command: str, env: dict[str, str], check_code: bool, records: Iterable[Any]) -> Iterator[str]:
    """Lines that ``command`` prints when it reads ``records``, one line each.

    The input is written by a thread of its own, since a command may print before it has read everything.

    Raises RDDError when ``check_code`` and the command's exit code is not 0, and whatever the records' iterator raises:
    the command is then ended.
    """
    process = os_layer.start_program(shlex.split(command), env=env, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
    assert process.stdin is not None
    assert process.stdout is not None
    failures: list[BaseException] = []
    feeder = threading.Thread(target=_feed, args=(records, process.stdin, failures), name=f"pipe to {command}")
    feeder.start()
    try:
        with lost_in_forks(process.stdout):
            for line in process.stdout:
                yield line.rstrip(b"\n").decode("utf-8")
        code = process.wait()
        feeder.join()
        if failures:
            raise failures[0]
        if check_code and code:
            raise RDDError(
                errorClass="PIPE_FUNCTION_EXITED",
                messageParameters={"func_name": command, "error_code": str(code)},
            )
    finally:
        # Also reached when the reader of these lines stops early: then nobody reads, and the command may never end by
        # itself.
        process.kill()
        process.wait()
        feeder.join()
        process.stdout.close()


def _feed(records: Iterable[Any], stdin: IO[bytes], failures: list[BaseException]) -> None:
    try:
        with stdin, lost_in_forks(stdin):
            for record in records:
                stdin.write((str(record).rstrip("\n") + "\n").encode("utf-8"))
    except BrokenPipeError:
        pass  # the command has read all it wants
    except BaseException as error:
        failures.append(error)
