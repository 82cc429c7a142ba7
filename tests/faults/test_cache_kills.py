"""Ten programs ask for the same missing key of the machine's cache at once, and one of them, or its server, is killed.

One computes; when it dies, one more. Nobody gets a wrong value, nobody hangs, and after ``stop`` nothing is left. Who
is killed and when comes from a seed; twelve rounds here, 200 with ``-m stress``.
"""

from __future__ import annotations

import json
import os
import random
import select
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path
from typing import Any, NamedTuple

import psutil
import pytest

from localcluster import Cache
from localcluster.cache import command
from localcluster.cache.client import CacheClient, ServerOptions
from localcluster.cache.home import CacheHome, Tier
from protocol import cache_messages as m
from protocol.errors import CacheError
from storage import os_layer
from tests.support import wait_until

SEED = 20_264
PROGRAMS = 10
ROUND_DEADLINE = 90.0  # seconds
WORK = 0.3  # seconds that the function takes, at most
STOPPED_FOR = 0.3  # seconds until SIGCONT

PROGRAM = """
import json, os, sys, time
import numpy as np
from localcluster import Cache

def value_of(key):
    number = int(key.partition(" ")[0])
    return {"key": key, "array": np.full(number * 997 % 20_000, number)}

def is_right(key, value):
    return value["key"] == key and value["array"].tolist() == value_of(key)["array"].tolist()

def ask(order):
    def compute():
        with open(order["log"], "a") as log:
            log.write(f"{os.getpid()}\\n")
        time.sleep(order["work"])
        return value_of(order["key"])
    cache = Cache("x", directory=order["directory"])
    value = cache.get_or_compute(order["key"], compute)
    again = cache.get(order["key"])
    cache.close()
    return is_right(order["key"], value) and (again is None or is_right(order["key"], again))

for line in sys.stdin:
    order = json.loads(line)
    pids = []
    for _ in range(order["programs"]):
        pid = os.fork()
        if pid == 0:
            try:
                code = 0 if ask(order) else 3
            except BaseException:
                import traceback
                traceback.print_exc()
                code = 4
            os._exit(code)
        pids.append(pid)
    print(json.dumps(pids), flush=True)
    print(json.dumps([os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) for pid in pids]), flush=True)
"""


class Round(NamedTuple):
    number: int
    victim: str
    signum: signal.Signals
    moment: float  # seconds after the first one computes, or after all began
    choice: int  # which of the programs

    def __str__(self) -> str:
        return f"round {self.number}: {self.signum.name} to the {self.victim} after {self.moment:.3f} s"


def rounds(count: int) -> Iterator[Round]:
    rng = random.Random(SEED)
    for number in range(count):
        victim = rng.choice(["nobody", "claimant", "claimant", "program", "server", "server"])
        how = [signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP] if victim == "server" else [signal.SIGKILL]
        yield Round(number, victim, rng.choice(how), rng.uniform(0, WORK), rng.randrange(PROGRAMS))


class Crowd:
    """A process with everything imported, which forks the programs."""

    def __init__(self, directory: str, place: Path) -> None:
        self.directory = directory
        self.log = place / "log"
        self._errors = place / "errors"
        self._pids: list[int] = []
        with self._errors.open("w") as errors:
            self._process = subprocess.Popen(
                [sys.executable, "-c", PROGRAM], stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=errors
            )

    def begin(self, key: str, programs: int = PROGRAMS, work: float = WORK) -> list[int]:
        """Their process ids."""
        self.log.write_text("")
        order = {"directory": self.directory, "key": key, "work": work, "log": str(self.log), "programs": programs}
        assert self._process.stdin is not None
        self._process.stdin.write(json.dumps(order).encode() + b"\n")
        self._process.stdin.flush()
        self._pids = self._line()
        return self._pids

    def end(self) -> list[int]:
        """Their exit codes."""
        codes: list[int] = self._line()
        self._pids = []
        return codes

    def computed(self) -> list[int]:
        """Who began to compute."""
        return [int(line) for line in self.log.read_text().splitlines()]

    def errors(self) -> str:
        return self._errors.read_text()

    def _line(self) -> Any:
        assert self._process.stdout is not None
        ready, _, _ = select.select([self._process.stdout], [], [], ROUND_DEADLINE)
        assert ready, f"no end within {ROUND_DEADLINE} s\n{self.errors()}"
        return json.loads(self._process.stdout.readline())

    def close(self) -> None:
        for pid in self._pids:
            with suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)
        self._process.kill()
        self._process.communicate()


@pytest.fixture
def crowd(tmp_path: Path) -> Iterator[Crowd]:
    crowd = Crowd(str(tmp_path / "cache"), tmp_path)
    yield crowd
    crowd.close()
    command.stop(crowd.directory, 60)
    os_layer.remove_what_can_be(CacheHome(crowd.directory).shared)


def server_pid(directory: str) -> int | None:
    try:
        client = CacheClient(CacheHome(directory), ServerOptions(), warns=False)
        return int(client.ask(m.GetCacheStatus(), start=False).pid)
    except CacheError:
        return None


def play(crowd: Crowd, each: Round) -> list[str]:
    """What is wrong."""
    key = f"{each.number} of a crowd"
    pids = crowd.begin(key)
    victim: int | None = None
    if each.victim == "claimant":
        wait_until(crowd.computed)
        victim = crowd.computed()[0]
    elif each.victim == "program":
        victim = pids[each.choice]
    elif each.victim == "server":
        wait_until(lambda: crowd.computed() or server_pid(crowd.directory))
        victim = server_pid(crowd.directory)
    if victim is not None:
        with suppress(psutil.NoSuchProcess):
            strike(victim, each)
    codes = crowd.end()
    computed = crowd.computed()
    killed = {pid for pid, code in zip(pids, codes, strict=True) if code == -signal.SIGKILL}
    bad = {pid: code for pid, code in zip(pids, codes, strict=True) if code and pid not in killed}
    problems = [f"{pid} ended with {code}" for pid, code in bad.items()]
    if len(killed) > (each.victim in ("claimant", "program")):
        problems.append(f"{killed} were killed")
    if each.victim != "server" and len(computed) > 1 + len(killed & set(computed[:1])):
        problems.append(f"{computed} computed")
    return problems


def strike(victim: int, each: Round) -> None:
    process = psutil.Process(victim)
    with suppress(psutil.TimeoutExpired):
        process.wait(each.moment)
    process.send_signal(each.signum)
    if each.signum == signal.SIGSTOP:
        with suppress(psutil.TimeoutExpired):
            process.wait(STOPPED_FOR)
        process.send_signal(signal.SIGCONT)


def assert_all_well(crowd: Crowd, count: int) -> None:
    bad = []
    for each in rounds(count):
        problems = play(crowd, each)
        bad += ["\n".join([str(each), *problems])] if problems else []
    assert not bad, "\n\n".join([*bad, crowd.errors()])
    assert "Traceback" not in crowd.errors()
    home = CacheHome(crowd.directory)
    command.stop(crowd.directory, 60)
    assert not os.path.exists(home.shared)
    assert servers_of(crowd.directory) == []
    assert os_layer.names_in(home.aside(Tier.DISK)) == []
    cache = Cache("x", directory=crowd.directory)
    assert {value["key"] for value in cache.values()} == set(cache)


def servers_of(directory: str) -> list[int]:
    found = []
    for process in psutil.process_iter():
        with suppress(psutil.Error):
            line = " ".join(process.cmdline())
            if "localcluster.cache.server_process" in line and f'"{directory}"' in line:
                found.append(process.pid)
    return found


def test_ten_programs_ask_at_once_and_one_computes(crowd: Crowd) -> None:
    crowd.begin("1")
    assert crowd.end() == [0] * PROGRAMS
    assert len(crowd.computed()) == 1


def test_the_one_that_computes_is_killed_and_one_more_computes(crowd: Crowd) -> None:
    crowd.begin("1", work=60)
    wait_until(crowd.computed)
    os.kill(crowd.computed()[0], signal.SIGKILL)
    wait_until(lambda: len(crowd.computed()) == 2)
    os.kill(crowd.computed()[1], signal.SIGKILL)
    wait_until(lambda: len(crowd.computed()) == 3)


@pytest.mark.timeout(600)
def test_some_rounds_with_random_kills(crowd: Crowd) -> None:
    assert_all_well(crowd, 12)


@pytest.mark.stress
@pytest.mark.timeout(2 * 3600)
def test_200_rounds_with_random_kills(crowd: Crowd) -> None:
    assert_all_well(crowd, 200)
