"""The door to the operating system for processes: what it promises beyond the plain calls."""

from __future__ import annotations

import os
from pathlib import Path

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


def test_a_socket_at_a_path_is_the_user_s_and_tells_who_connects(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)  # a short path
    listening = os_layer.listen_at("socket")
    try:
        assert os.stat("socket").st_mode & 0o777 == 0o600
        with pytest.raises(OSError, match="in use"):
            os_layer.listen_at("socket")
        ours = os_layer.connect_to("socket", 5)
        theirs, _ = listening.accept()
        with ours, theirs:
            assert os_layer.peer_of(ours) == os_layer.peer_of(theirs) == (os.getpid(), os.getuid())
    finally:
        listening.close()
    with pytest.raises(ConnectionRefusedError):
        os_layer.connect_to("socket", 5)
    with pytest.raises(FileNotFoundError):
        os_layer.connect_to("none", 5)
    with pytest.raises(OSError, match="too long"):
        os_layer.listen_at("s" * 200)


def test_nobody_waits_for_ever_to_be_let_in(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    listening = os_layer.listen_at("socket")
    listening.listen(0)
    waiting = [os_layer.connect_to("socket", 5)]  # as many as a backlog of 0 takes
    with pytest.raises((TimeoutError, BlockingIOError)):
        waiting.append(os_layer.connect_to("socket", 0.05))
    for each in [*waiting, listening]:
        each.close()
