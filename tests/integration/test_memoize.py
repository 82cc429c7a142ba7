"""``cache.memoize`` over processes: a script that is run twice, changed and run again; scikit-learn's name for it."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from localcluster import Cache
from localcluster.cache import command

SCRIPT = """\
import sys
from localcluster import Cache

cache = Cache("results", directory=sys.argv[1])

class Point:
    def __init__(self, x):
        self.x = x

    def doubled(self):
        return {factor} * self.x

@cache.memoize
def slow(n, scale=1):
    print("computing")
    return Point(n * scale)

point = slow(n=20)
print(point.doubled(), type(point) is Point)
"""


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "cache")
    command.stop(str(tmp_path / "cache"), 30)


def run(script: Path, directory: str, seed: int) -> list[str]:
    environment = os.environ | {"PYTHONHASHSEED": str(seed)}
    done = subprocess.run(
        [sys.executable, str(script), directory], env=environment, capture_output=True, text=True, timeout=60
    )
    assert (done.returncode, done.stderr) == (0, "")
    return done.stdout.splitlines()


def test_a_second_run_finds_the_result_and_a_changed_script_does_not(tmp_path: Path, directory: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(SCRIPT.format(factor=2))
    assert run(script, directory, 1) == ["computing", "40 True"]
    assert run(script, directory, 2) == ["40 True"]
    script.write_text("# a comment\n" + SCRIPT.format(factor=3))
    assert run(script, directory, 3) == ["computing", "60 True"]


def test_a_result_can_be_looked_for_forgotten_and_computed_anew(directory: str) -> None:
    cache = Cache("results", directory=directory)
    calls = []

    @cache.memoize(ignore=["calls"])
    def square(n: int) -> int:
        calls.append(n)
        return n * n

    assert (square(3), square(n=3), square(4)) == (9, 9, 16)
    assert calls == [3, 4]
    assert square.is_cached(3)
    assert list(cache) != []
    square.forget(3)
    assert not square.is_cached(3)
    assert (square(3), square.call(3)) == (9, 9)
    assert calls == [3, 4, 3, 3]
    square.clear()
    assert len(cache) == 0


def test_scikit_learn_takes_it_for_a_memory(directory: str) -> None:
    cache = Cache("results", directory=directory)
    doubled = cache.cache(lambda n: 2 * n)
    assert (doubled(4), doubled.check_call_in_cache(4), doubled.check_call_in_cache(5)) == (8, True, False)
