"""The server's process: detached from whoever starts it, one for each cache, and nothing left in memory at its end.

``python -m localcluster.cache.server_process`` with a JSON object of arguments. The program that is started forks, and
ends when its child serves, or with what went wrong on standard error; so to wait for it is to wait for the server. The
child is in a session of its own; that it has none of the starter's descriptors is the starter's care. Of two that are
started at once, one gets the lock, and the other one sees that it is not needed.
"""

from __future__ import annotations

import json
import logging
import os
import signal
import sys
import threading
import time
from typing import Any

from localcluster.base import os_layer as processes
from localcluster.cache.home import CacheHome, Tier, file_identity
from localcluster.cache.leftovers import hold, remove_if_left
from localcluster.cache.other_versions import make_way
from localcluster.cache.server import CacheServer
from protocol.errors import CacheError
from storage import os_layer

log = logging.getLogger("localcluster.cache.server_process")  # its name as a program is another one

LOCK_DEADLINE = 20.0  # seconds for an earlier server to end: it may have much to move to the disk
LOCK_POLL = 0.05  # seconds
REMOVAL_DEADLINE = 10.0  # seconds for whoever removes the directory on the disk; less than the next server waits for us
LOG = "log"  # a file of the directory on the disk: of the latest server

SHARE_OF_MEMORY = 0.25  # of all of /dev/shm, if nothing is said
SHARE_OF_DISK = 0.5  # of what is free on the disk, if nothing is said, up to
MAX_DISK = 20 << 30  # bytes
IDLE_TIMEOUT = 300.0  # seconds without programs, and with nothing in memory


def main(arguments: dict[str, Any]) -> int:
    """The exit code of the program that was started."""
    reading, writing = os_layer.pipe()
    if processes.fork() == 0:
        os.close(reading)
        _detach()
        os._exit(_serve(arguments, writing))
    os.close(writing)
    problem = bytearray()
    while piece := os_layer.read_some(reading, 4096):
        problem += piece
    if problem == b"\0":
        return 0
    sys.stderr.write(problem.decode() or "the server ended at its start")
    return 1


def _detach() -> None:
    os.setsid()
    os.chdir("/")
    os.umask(0o077)
    null = os_layer.open_existing(os.devnull, writable=True)
    for fd in (0, 1, 2):
        os.dup2(null, fd)
    signal.signal(signal.SIGINT, signal.SIG_IGN)
    signal.signal(signal.SIGHUP, signal.SIG_IGN)
    signal.pthread_sigmask(signal.SIG_SETMASK, [])


def _serve(arguments: dict[str, Any], ready: int) -> int:
    """``ready``: where to write a 0 byte when programs can connect, or what went wrong."""
    try:
        home = CacheHome(arguments["directory"])
        home.make()
        lock = _lock(home)
        if lock is None:  # there is a server
            os_layer.write_all(ready, b"\0")
            return 0
        home.make()  # an earlier server's end may have taken the directory in memory away
        owner = hold(home)  # until the end
        _log_to(os.path.join(home.directory, LOG))
        limits = _limits(home, arguments.get("max_memory"), arguments.get("max_disk"))
        ended = threading.Event()
        for signum in (signal.SIGTERM, signal.SIGQUIT):
            signal.signal(signum, lambda *_: ended.set())
        os_layer.unlink(home.socket)
        listening = processes.listen_at(home.socket)
        idle_timeout = arguments.get("idle_timeout", IDLE_TIMEOUT)
        server = CacheServer(home, limits, idle_timeout, listening, ended.set)
        server.start()
    except (CacheError, OSError) as error:
        os_layer.write_all(ready, f"{error}\n".encode())
        return 1
    threading.Thread(target=server.accept, name="localcluster-cache-accept", daemon=True).start()
    os_layer.write_all(ready, b"\0")
    os.close(ready)
    log.info("serving %s: up to %d bytes in memory, %d on the disk", home.directory, *limits.values())
    while not ended.wait(60.0):  # a wait without an end would keep the signals' handlers from running, on some systems
        pass
    _end(home, lock, owner, server)
    return 0


def _end(home: CacheHome, lock: int, owner: int, server: CacheServer) -> None:
    is_robbed = file_identity(lock) != file_identity(home.lock) or not os_layer.exists(home.aside(Tier.DISK))
    stay = server.stop(is_robbed=is_robbed)
    os_layer.let_go(owner)
    if is_robbed:
        _leave(home, lock)
    elif not stay:
        os_layer.remove_what_can_be(home.shared)
    log.info("ended")


def _leave(home: CacheHome, lock: int) -> None:
    """Whoever removes the directory may be in the midst of it. If it is gone, what is in memory goes, too."""
    deadline = time.monotonic() + REMOVAL_DEADLINE
    while os_layer.exists(home.directory) and time.monotonic() < deadline:
        if file_identity(home.lock) not in (None, file_identity(lock)):  # the next server's
            return
        time.sleep(LOCK_POLL)
    try:
        remove_if_left(home.shared)
    except OSError as error:
        log.warning("cannot examine %s: %s", home.shared, error)


def _lock(home: CacheHome) -> int | None:
    """The descriptor that holds the lock as long as it is open; None when another server answers. Raises CacheError."""
    deadline = time.monotonic() + LOCK_DEADLINE
    while True:
        fd = _open_lock(home)
        if os_layer.lock(fd, wait=False) and file_identity(fd) == file_identity(home.lock):
            return fd
        os_layer.let_go(fd)
        try:
            processes.connect_to(home.socket, LOCK_POLL).close()
            return None
        except OSError:
            make_way(home)
            if time.monotonic() > deadline:
                raise CacheError(
                    f"the cache in {home.directory} has a server that does not answer, nor end, in "
                    f"{LOCK_DEADLINE:g} s; it may be stopped, or be moving much to the disk"
                ) from None
            time.sleep(LOCK_POLL)


def _open_lock(home: CacheHome) -> int:
    try:
        return os_layer.create(home.lock)
    except FileExistsError:
        return os_layer.open_existing(home.lock, writable=True)


def _limits(home: CacheHome, max_memory: int | None, max_disk: int | None) -> dict[Tier, int]:
    if max_memory is None:
        max_memory = int(os_layer.space_at(home.shared)[0] * SHARE_OF_MEMORY)
    if max_disk is None:
        max_disk = min(MAX_DISK, int(os_layer.space_at(home.directory)[1] * SHARE_OF_DISK))
    return {Tier.MEMORY: max_memory, Tier.DISK: max_disk}


def _log_to(path: str) -> None:
    handler = logging.FileHandler(path, mode="w")
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(name)s: %(message)s"))
    for name in ("localcluster", "storage", "protocol"):
        logger = logging.getLogger(name)
        logger.addHandler(handler)
        logger.setLevel(logging.INFO)


if __name__ == "__main__":
    sys.exit(main(json.loads(sys.argv[1])))
