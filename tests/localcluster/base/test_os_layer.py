"""The door to the operating system for processes: what it promises beyond the plain calls."""

from __future__ import annotations

import os

import pytest

from localcluster.base import os_layer


def test_a_wakeup_pipe_blocks_neither_its_reader_nor_its_writer() -> None:
    reading, writing = os_layer.wakeup_pipe()
    try:
        with pytest.raises(BlockingIOError):
            os.read(reading, 1)
        assert 0 < os.write(writing, bytes(1 << 22)) < 1 << 22  # as much as it holds
        with pytest.raises(BlockingIOError):
            os.write(writing, b"one more")
        assert os.read(reading, 1) == b"\0"
    finally:
        os.close(reading)
        os.close(writing)


def test_a_program_that_there_is_not_is_an_oserror() -> None:
    with pytest.raises(FileNotFoundError):
        os_layer.start_program(["/none/such"])
