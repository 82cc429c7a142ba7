"""The standard streams of executors."""

from __future__ import annotations

import socket
import subprocess
import sys


def test_tasks_write_whole_lines_and_print_to_standard_error() -> None:
    program = (
        "import sys\n"
        "from localcluster.base.standard_streams import print_to_standard_error, print_whole_lines\n"
        "print_whole_lines()\n"
        "print_to_standard_error()\n"
        "print('one', 1)\n"
        "print('two', 2)\n"
        "print('three', 3, file=sys.stderr)\n"
    )
    reader, writer = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)  # a packet is what one write wrote
    with reader, writer:
        done = subprocess.run([sys.executable, "-u", "-c", program], stdout=subprocess.PIPE, stderr=writer, timeout=60)
        writer.close()
        assert (done.returncode, done.stdout) == (0, b"")
        assert [reader.recv(100) for _ in range(4)] == [b"one 1\n", b"two 2\n", b"three 3\n", b""]
