"""The server of a cache: who computes, what is kept where, and for how long.

Covers the connections of programs and the answers to their messages (`protocol.cache_messages`). The decisions are
those of two state machines, `claims` and `index`; entries come in by `intake`, and are moved by `mover`. Does not cover
how the process starts and ends: `server_process`. It reads no values, and programs read entries without it, so nothing
that is cached waits for it.
"""

from __future__ import annotations

import errno
import itertools
import logging
import os
import socket
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass
from typing import Any, cast

import psutil

from localcluster.base import os_layer as processes
from localcluster.base.event_loop import EventLoop
from localcluster.base.side_thread import SideThread
from localcluster.cache import entry_file
from localcluster.cache.claims import Claims
from localcluster.cache.clearing import Clearing
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.index import CacheIndex, Entry
from localcluster.cache.intake import Answer, Intake
from localcluster.cache.mover import Mover, try_to_unlink
from protocol import cache_messages as m
from protocol.channel import Channel
from protocol.endpoint import Endpoint, Incoming, Reply
from protocol.errors import BlockIdError, ChannelError, CorruptBlockError
from protocol.message_table import MessageTable
from storage import os_layer
from storage.block_id import CacheBlockId

log = logging.getLogger(__name__)

ROUND = 0.5  # seconds between two looks at what time has brought
EXPIRED_AT_ONCE = 50  # entries that go before programs are answered again
STOPPED_FOR = 10.0  # seconds that a claimant may be stopped (SIGSTOP) before the next one computes
STOP_TIMEOUT = 5.0  # seconds for threads to end
MOVE_TIMEOUT = 60.0  # seconds in which the disk takes not a byte, at the end, before what is left stays in memory
ACCEPT_AGAIN = 0.5  # seconds after a program could not be let in, for want of descriptors say


@dataclass
class _Program:
    """One connection."""

    number: int
    pid: int
    endpoint: Endpoint
    stopped_since: float | None = None


class CacheServer:
    """``limits``: bytes for each tier. ``listening``: where programs connect. ``on_end()`` is called when it is to end:
    it was asked to, or there was nobody, and nothing in memory, for ``idle_timeout`` seconds.
    """

    def __init__(
        self,
        home: CacheHome,
        limits: dict[Tier, int],
        idle_timeout: float,
        listening: socket.socket,
        on_end: Callable[[], object],
    ) -> None:
        self._home = home
        self._idle_timeout = idle_timeout
        self._listening = listening
        self._on_end = on_end
        self._lock = threading.RLock()
        self._index = CacheIndex(limits)
        self._claims = Claims()
        self._mover = Mover(home, self._index, self._lock)
        self._programs: dict[int, _Program] = {}
        self._connections = 0
        self._removed = self._expired = 0
        self._started = self._busy_at = time.monotonic()
        self._marks: tuple[object, ...] = ()
        self._ending = threading.Event()
        self._stops: list[tuple[int, Answer]] = []  # programs that wait for the end
        self._all_moved = threading.Event()
        self._side = SideThread("localcluster-cache-mover")
        self._clearing = Clearing(home, self._index, self._side)
        self._intake = Intake(home, self._index, self._mover, self._side, self._lock, self._claims.ready)
        self._loop = EventLoop(self._lock, self._round, self._crashed, name="localcluster-cache")
        self._handlers: MessageTable[Callable[[int, Any, Answer], None]] = MessageTable("the cache's server")
        self._handlers.register(
            {
                m.ClaimEntry: self._claim,
                m.ReleaseClaim: self._release_claim,
                m.StoreEntry: self._intake.store,
                m.ReserveEntry: self._intake.reserve,
                m.AbandonEntry: self._intake.abandon,
                m.CommitEntry: self._intake.commit,
                m.RemoveEntries: self._remove_entries,
                m.ClearCache: self._clear,
                m.GetCacheStatus: self._status,
                m.StopCache: self._stop,
            }
        )

    # --- life ---------------------------------------------------------------------------------------------------------

    def start(self) -> None:
        """Make the books of the files that are there, then answer."""
        for tier in Tier:
            self._read_files(tier)
        self._marks = self._home.marks()
        self._side.start()
        self._loop.start()

    def accept(self) -> None:
        """Let programs in, until the listening socket is shut down or closed."""
        while not self._ending.is_set():
            try:
                connection, _ = self._listening.accept()
            except OSError as error:
                if error.errno in (errno.EINVAL, errno.EBADF):
                    return
                log.warning("no program can be let in: %s", error)
                self._ending.wait(ACCEPT_AGAIN)
                continue
            try:
                pid, uid = processes.peer_of(connection)
                if uid != os.getuid():
                    raise PermissionError(errno.EPERM, f"process {pid} is user {uid}'s")
                with self._lock:
                    if not self._ending.is_set():
                        self._let_in(connection, pid)
            except OSError as error:
                log.warning("a program was not let in: %s", error)
                connection.close()

    def stop(self, *, is_robbed: bool = False) -> int:
        """End, with all that is in memory on the disk; how many entries stay in memory all the same. Programs see their
        connections end at once: what they would put now would be lost. If it ``is_robbed`` of its place, all there is
        may be the next server's by now.
        """
        with self._lock:
            self._ending.set()
        if not is_robbed:
            os_layer.unlink(self._home.socket)  # from now on programs start the next server, which waits for our lock
        with suppress(OSError):
            self._listening.shutdown(socket.SHUT_RDWR)
        self._listening.close()
        self._loop.stop(STOP_TIMEOUT)
        stops = {number for number, _ in self._stops}
        for program in list(self._programs.values()):
            if program.number not in stops:
                program.endpoint.channel.abort()
        if not is_robbed:
            self._side.submit(self._mover.move_all_to_disk)
            self._side.submit(self._clearing.finish)
        self._side.submit(self._all_moved.set)
        self._wait_for_moves()
        self._side.stop(STOP_TIMEOUT)
        stay = self._index.count(Tier.MEMORY)
        for number, answer in self._stops:
            answer(self._mover.lost + stay)
            if number in self._programs:
                self._programs[number].endpoint.channel.close()
        return stay

    def _wait_for_moves(self) -> None:
        """As long as there is progress. What is not moved stays where it is, and the next server finds it."""
        before = self._progress()
        while not self._all_moved.wait(MOVE_TIMEOUT):
            now = self._progress()
            if now == before:
                stuck = self._mover.moving or "the mover"
                log.warning("%s is stuck: the disk took nothing in %g s; the rest stays in memory", stuck, MOVE_TIMEOUT)
                return
            before = now

    def _progress(self) -> tuple[object, ...]:
        return *self._mover.progress(), self._clearing.slices

    def _crashed(self, error: BaseException) -> None:
        self._on_end()  # programs go on without it, and start another one

    def check(self) -> None:
        """Audit the books. Raises AssertionError."""
        with self._lock:
            self._index.check(self._intake.reserved())
            self._claims.check()

    def _read_files(self, tier: Tier) -> None:
        for leftover in os_layer.scan(self._home.aside(tier)):
            if leftover.is_dir(follow_symlinks=False):
                self._clearing.remove_later(leftover.path)
            else:
                try_to_unlink(leftover.path)  # whoever writes it would not be known by us
        for namespace in os_layer.scan(self._home.entries(tier)):
            for file in os_layer.scan(namespace.path):
                try:
                    block_id = CacheBlockId(namespace.name, file.name)
                except BlockIdError:
                    log.warning("%s is no entry", file.path)
                    continue
                with suppress(FileNotFoundError):  # a program removed it
                    self._add_file(tier, block_id, file.path, file.stat())

    def _add_file(self, tier: Tier, block_id: CacheBlockId, path: str, status: os.stat_result) -> None:
        expires = 0.0
        try:
            expires = entry_file.header_at(path).expires
        except (CorruptBlockError, OSError) as error:  # it takes room until it goes, and nobody will read it
            log.warning("%s: %s", path, error)
        pinned = entry_file.is_pinned(status)
        before = self._index.put(block_id, Entry(tier, status.st_size, status.st_mtime, expires, pinned))
        if before is not None:  # it was being moved, or replaced: readers look into memory first
            try_to_unlink(path)
            self._index.put(block_id, before)

    def _let_in(self, connection: socket.socket, pid: int) -> None:
        self._connections += 1
        connection.setblocking(False)
        endpoint = Endpoint(Channel(connection, name=f"program {pid}", buffered=True))
        program = _Program(self._connections, pid, endpoint)
        self._programs[program.number] = program
        self._intake.program_began(program.number)
        self._loop.add(
            endpoint, lambda incoming: self._receive(program, incoming), lambda error: self._program_gone(program)
        )

    def _program_gone(self, program: _Program) -> None:
        self._programs.pop(program.number, None)
        program.endpoint.channel.abort()  # under the lock nobody says goodbye to who may not read
        self._claims.connection_lost(program.number)
        self._intake.program_gone(program.number)
        self._busy_at = time.monotonic()

    def _round(self, now: float) -> float:
        self._claims.out_of_patience(now)
        for program in list(self._programs.values()):
            program.endpoint.expire(now)
        expired = list(itertools.islice(self._index.take_expired(time.time()), EXPIRED_AT_ONCE))
        self._expired += sum(map(self._remove, expired))
        waited_for = self._claims.waited_for()
        for program in self._programs.values():
            if program.number in waited_for:
                self._look_at(program, now)
            else:
                program.stopped_since = None
        if self._home.marks() != self._marks and not self._ending.is_set():
            log.warning("the directories of the cache were removed: this server ends")
            self._on_end()
        if self._programs or self._index.count(Tier.MEMORY):
            self._busy_at = now
        elif now - self._busy_at >= self._idle_timeout:
            self._on_end()
        return ROUND if len(expired) < EXPIRED_AT_ONCE else 0.0

    def _look_at(self, program: _Program, now: float) -> None:
        """Others wait for what it computes. One that is stopped may be so for ever."""
        try:
            stopped = psutil.Process(program.pid).status() == psutil.STATUS_STOPPED
        except psutil.Error:
            return  # its connection will end
        if not stopped:
            program.stopped_since = None
        elif program.stopped_since is None:
            program.stopped_since = now
        elif now - program.stopped_since >= STOPPED_FOR:
            log.warning("process %s is stopped: the next one computes what it had begun", program.pid)
            self._claims.give_up_of(program.number)

    # --- messages -----------------------------------------------------------------------------------------------------

    def _receive(self, program: _Program, incoming: list[Incoming]) -> None:
        for each in incoming:
            handler = self._handlers.get(type(each.message))
            if handler is None:
                self._handlers.refuse(each)
                continue
            try:
                handler(program.number, each.message, _answer_by(each.reply))
            except Exception as error:
                log.exception("%s of process %s failed", type(each.message).__name__, program.pid)
                if each.reply is not None:
                    each.reply.error(error)

    def _claim(self, program: int, message: m.ClaimEntry, answer: Answer) -> None:
        block_id = cast(CacheBlockId, message.block_id)
        if self._is_there(block_id, message.useless):
            answer(m.Claim.READY)
            return
        until = time.monotonic() + message.patience
        self._claims.claim(block_id, (program, message.claimant), until, answer)
        self._loop.wake()

    def _is_there(self, block_id: CacheBlockId, useless: int) -> bool:
        entry = self._index.get(block_id)
        if entry is None or (entry.expires and entry.expires <= time.time()):
            return False
        try:
            status = os.stat(self._home.path(entry.tier, block_id))
        except OSError:
            return False
        return status.st_ino != useless

    def _release_claim(self, program: int, message: m.ReleaseClaim, answer: Answer) -> None:
        self._claims.release(cast(CacheBlockId, message.block_id), (program, message.claimant))

    def _remove_entries(self, program: int, message: m.RemoveEntries, answer: Answer) -> None:
        removed = sum(self._remove(cast(CacheBlockId, block_id)) for block_id in message.block_ids)
        self._removed += removed
        answer(removed)

    def _clear(self, program: int, message: m.ClearCache, answer: Answer) -> None:
        cleared = self._clearing.clear(message.namespace)
        self._removed += cleared
        answer(cleared)

    def _remove(self, block_id: CacheBlockId) -> bool:
        self._index.remove(block_id)
        found = [try_to_unlink(self._home.path(tier, block_id)) for tier in Tier]
        return any(found)

    def _status(self, program: int, message: m.GetCacheStatus, answer: Answer) -> None:
        answer(
            m.CacheStatus(
                pid=os.getpid(),
                uptime=time.monotonic() - self._started,
                memory=self._tier_status(Tier.MEMORY),
                disk=self._tier_status(Tier.DISK),
                clients=len(self._programs),
                computing=len(self._claims),
                waiting=self._claims.waiting,
                moved=self._mover.moved,
                evicted=self._mover.evicted,
                stored=self._intake.stored,
                removed=self._removed,
                expired=self._expired,
            )
        )

    def _tier_status(self, tier: Tier) -> m.TierStatus:
        index = self._index
        return m.TierStatus(self._home.root(tier), index.count(tier), index.used[tier], index.limits[tier])

    def _stop(self, program: int, message: m.StopCache, answer: Answer) -> None:
        self._stops.append((program, answer))
        self._on_end()


def _answer_by(reply: Reply | None) -> Answer:
    def answer(value: Any) -> None:
        if reply is not None:
            try:
                reply(value)
            except ChannelError as error:
                log.debug("an answer did not arrive: %s", error)

    return answer
