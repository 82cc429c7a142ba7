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
from localcluster.cache.home import CacheHome, Tier
from localcluster.cache.keys import digest_of
from storage.block_id import CacheBlockId

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


LAZY = """\
import sys
from localcluster import Cache

cache = Cache("results", directory=sys.argv[1])

class Machine:
    @cache.memoize
    def run(self, x):
        from package import module
        print("computing")
        return module.scaled(x)

print(Machine().run(1))
"""


def test_an_edit_of_a_module_that_the_function_imports_is_seen(tmp_path: Path, directory: str) -> None:
    script = tmp_path / "script.py"
    script.write_text(LAZY)
    package = tmp_path / "package"
    package.mkdir()
    (package / "__init__.py").touch()
    for factor in (2, 30):  # of another length: the time of the file may be the same
        (package / "module.py").write_text(f"def scaled(x): return x * {factor}")
        assert run(script, directory, 1) == ["computing", str(factor)]
        assert run(script, directory, 1) == [str(factor)]


def test_a_file_of_another_key_is_computed_anew(directory: str) -> None:
    cache = Cache("results", directory=directory)
    cache["one"], cache["two"] = 1, 2
    for tier in Tier:
        for key in ("one", "two"):
            path = Path(CacheHome(directory).path(tier, CacheBlockId("results", digest_of(key))))
            if path.exists() and key == "two":
                path.unlink()
                os.link(path.with_name(digest_of("one")), path)
    assert "two" not in cache
    assert cache.get_or_compute("two", lambda: 3) == 3
    assert (cache["one"], cache["two"]) == (1, 3)
    cache.close()
