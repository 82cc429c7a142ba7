"""The standard streams of executors."""

from __future__ import annotations

import socket
import subprocess
import sys


def test_tasks_print_whole_lines_to_standard_error() -> None:
    program = (
        "from localcluster.launcher.standard_streams import print_to_standard_error, print_whole_lines\n"
        "print_whole_lines()\n"
        "print_to_standard_error()\n"
        "print('one', 1)\n"
        "print('two', 2)\n"
    )
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a packet is what one write wrote
    with reader, writer:
        done = subprocess.run([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, stderr=writer, timeout=60)
        writer.close()
        assert (done.returncode, done.stdout) == (0, b"")
        assert [reader.recv(100) for _ in range(3)] == [b"one 1\n", b"two 2\n", b""]
