"""Channels over multiprocess Pipes and over socket pairs; peers that die, in processes of their own."""

from __future__ import annotations

import signal
import socket
import subprocess
import sys
from pathlib import Path

import multiprocess
import pytest

from protocol import inbound
from protocol.channel import Channel
from protocol.errors import BrokenChannelError
from protocol.stream import ConnectionLike
from tests.protocol.channel_conformance import CHANNEL_CHECKS
from tests.protocol.support import LONG, SHORT, MakePair, channels, tell

ROOT = str(Path(__file__).parents[2])


def pipe() -> tuple[ConnectionLike, ConnectionLike]:
    left, right = multiprocess.Pipe(duplex=True)
    return left, right


@pytest.fixture(autouse=True)
def little_patience(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(inbound, "GAP_PATIENCE", 4 * SHORT)
    monkeypatch.setattr(inbound, "RESEND_PATIENCE", 4 * SHORT)


@pytest.mark.parametrize("make_pair", [pipe, socket.socketpair], ids=["pipe", "socketpair"])
@pytest.mark.parametrize("check", CHANNEL_CHECKS, ids=lambda check: check.__name__)
def test_a_channel(check, make_pair: MakePair) -> None:
    check(make_pair)


def start_peer(code: str) -> tuple[subprocess.Popen[bytes], Channel]:
    """A fresh interpreter (a fork could inherit held locks) in which ``end`` is the other end's socket."""
    ours, theirs = socket.socketpair()
    head = f"""
import os, signal, socket, sys
sys.path.insert(0, {ROOT!r})
from protocol.channel import Channel
from protocol.wire import Frame, Kind, encode
end = socket.socket(fileno={theirs.fileno()})
"""
    peer = subprocess.Popen([sys.executable, "-c", head + code], pass_fds=[theirs.fileno()])
    theirs.close()
    return peer, Channel(ours, name="test")


def test_a_peer_killed_inside_a_frame_breaks_the_channel() -> None:
    peer, channel = start_peer("""
os.write(end.fileno(), encode((Frame(Kind.TELL, 0, b"whole"), Frame(Kind.TELL, 0, b"half")))[:-2])
signal.pause()
""")
    try:
        assert channel.receive(LONG).payload == b"whole"
        peer.kill()
        with pytest.raises(BrokenChannelError, match="truncated"):
            channel.receive(LONG)
        assert peer.wait(LONG) == -signal.SIGKILL
    finally:
        peer.kill()
        peer.wait(LONG)
        channel.abort()


def test_a_peer_killed_while_we_send_breaks_the_channel() -> None:
    peer, channel = start_peer('Channel(end).send(Frame(Kind.TELL, 0, b"ready")); signal.pause()')
    try:
        channel.receive(LONG)
        peer.kill()
        with pytest.raises(BrokenChannelError):
            channel.send(tell(b"x" * (8 << 20)), timeout=LONG)
    finally:
        peer.kill()
        peer.wait(LONG)
        channel.abort()


def test_a_forked_child_cannot_use_the_parent_s_channel_nor_disturb_it() -> None:
    peer, channel = start_peer("""
import threading
from protocol.errors import ForkedChannelError
copy = Channel(end)
held, over = threading.Event(), threading.Event()
def send():
    with copy._send_lock, copy._receive_lock, copy._close_lock:
        held.set()
        over.wait()
sender = threading.Thread(target=send)
sender.start()
held.wait()
pid = os.fork()
if pid == 0:
    signal.alarm(10)
    refused = 0
    for use in (lambda: copy.send(Frame(Kind.TELL, 0, b"")), copy.receive, copy.receive_ready, copy.flush):
        try:
            use()
        except ForkedChannelError:
            refused += 1
    copy.close()
    copy.abort()
    os._exit(refused)
over.set()
sender.join()
copy.send(Frame(Kind.TELL, 0, b"%d" % os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])))
copy.close()
""")
    try:
        assert channel.receive(LONG).payload == b"4"
        assert peer.wait(LONG) == 0
    finally:
        peer.kill()
        peer.wait(LONG)
        channel.abort()


def test_errors_name_the_channel() -> None:
    with channels(pipe) as (left, right):
        left.abort()
        with pytest.raises(BrokenChannelError, match="channel right: the peer is gone without a goodbye"):
            right.receive(LONG)
