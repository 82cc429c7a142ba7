"""The hash that places keys: PySpark's, and the same in every process of a run."""

from __future__ import annotations

import os
import pickle
import random
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date, datetime, timezone
from decimal import Decimal
from enum import Enum
from fractions import Fraction
from typing import Any, NamedTuple
from uuid import UUID

import pytest
from hypothesis import given

from localcluster.rdd import hashing
from localcluster.shuffle.hashing import expect_seed, hashes_like_executors, portable_hash
from tests.localcluster.rdd.models import jobs, keys

SEEDS = ("0", "5", "4294967295")


@pytest.fixture
def _seed_restored() -> Iterator[None]:
    before = str(hashing._seed)
    yield
    expect_seed(before)


class Pair(NamedTuple):
    left: Any
    right: Any


class Text(str):
    """Equal to the text, and so hashed alike."""


@dataclass(frozen=True)
class Point:
    x: Any
    y: Any = None


class Colour(Enum):
    RED = "red"


# --- values --------------------------------------------------------------------------------------------------------


@jobs
@given(keys)
def test_equal_keys_hash_alike(key: Any) -> None:
    assert portable_hash(key) == portable_hash(pickle.loads(pickle.dumps(key)))


@pytest.mark.parametrize(
    "alike",
    [
        (1, 1.0, True, 1 + 0j, Decimal(1), Fraction(1)),
        (2.5, Decimal("2.5"), Fraction(5, 2)),
        ("a", Text("a")),
        ((None, "a"), Pair(None, "a"), (None, Text("a"))),
        (frozenset([1, None]), frozenset([None, 1.0])),
        (range(0), range(5, 5)),
    ],
)
def test_keys_of_different_types_hash_alike_when_they_are_equal(alike: tuple[Any, ...]) -> None:
    assert {key == alike[0] for key in alike} == {True}
    assert len({portable_hash(key) for key in alike}) == 1


@pytest.mark.usefixtures("_seed_restored")
def test_pysparks_hashes() -> None:
    """As PySpark 4.3 has them with PYTHONHASHSEED=0 (Python 3.11, and what has no text in it everywhere)."""
    expect_seed("0")
    assert portable_hash(None) == 0
    assert portable_hash(()) == 3430008
    assert portable_hash((None, 1)) == 3430028580079870073
    assert portable_hash(1.5) == 1152921504606846977
    assert portable_hash(-1) == -2
    assert portable_hash(2**70) == 512
    assert portable_hash(frozenset({1, 2})) == -1826646154956904602
    assert portable_hash(frozenset({frozenset()})) == -6993584179861130285
    assert portable_hash(range(3)) == -8338477496398685190
    if sys.hash_info.algorithm == "siphash13":
        assert portable_hash("a") == 4644417185603328019
        assert portable_hash("ä") == -7700651119284381928
        assert portable_hash("日本") == 6243316497235261705
        assert portable_hash("😀") == -3536540696076613844
        assert portable_hash(b"x") == -3368204716105132637
        assert portable_hash(("a", None)) == 102774922575124033
        assert portable_hash((1, (2, "x"))) == 374357614912649256
        assert portable_hash(frozenset({"a"})) == -7857795138424989601
        assert portable_hash(frozenset({(1, "b")})) == -165745506109769063


@pytest.mark.parametrize("key", [[1], {}, ([],), frozenset])
def test_only_hashable_keys_have_a_hash(key: Any) -> None:
    if key is frozenset:
        assert portable_hash(key) == hash(key)
    else:
        with pytest.raises(TypeError, match="unhashable"):
            portable_hash(key)


# --- the same everywhere -------------------------------------------------------------------------------------------


def some_keys(count: int) -> list[Any]:
    rng = random.Random(7)

    def key(depth: int) -> Any:
        kind = rng.randrange(8 if depth else 5)
        if kind == 0:
            top = rng.choice([0x7F, 0xFF, 0xFFFF, 0x10FFFF])  # lone surrogates, too
            return "".join(chr(rng.randint(0, top)) for _ in range(rng.randrange(20)))
        if kind == 1:
            return rng.randbytes(rng.randrange(30))
        if kind == 2:
            return rng.choice([rng.randrange(-(2**70), 2**70), rng.random() * 1e20, -1, -2, True])
        if kind == 3:
            return range(rng.randrange(3), rng.randrange(6), rng.randint(1, 3))
        if kind == 4:
            return rng.choice([None, "", b"", 2**61 - 1, Decimal("0.1"), Fraction(1, 3)])
        parts = [key(depth - 1) for _ in range(rng.randrange(4))]
        return rng.choice([tuple, frozenset])(parts)

    return [key(3) for _ in range(count)]


HASH_THEM = """
import pickle, sys
from localcluster.shuffle.hashing import portable_hash
keys = pickle.load(sys.stdin.buffer)
hashes = [(portable_hash(key), hash(key)) for key in keys]
sys.stdout.buffer.write(pickle.dumps(hashes))
"""


def in_a_process(seed: str, keys: list[Any]) -> list[tuple[int, int]]:
    """``portable_hash`` and ``hash`` of each key."""
    environment = {**os.environ, "PYTHONHASHSEED": seed}
    command = [sys.executable, "-c", HASH_THEM]
    done = subprocess.run(command, env=environment, input=pickle.dumps(keys), capture_output=True, check=True)
    hashes: list[tuple[int, int]] = pickle.loads(done.stdout)
    return hashes


@pytest.mark.usefixtures("_seed_restored")
@pytest.mark.parametrize("seed", SEEDS)
def test_a_driver_of_any_seed_hashes_as_executors_do(seed: str) -> None:
    keys = some_keys(500)
    assert all(map(hashes_like_executors, keys))
    there = in_a_process(seed, keys)
    expect_seed(seed)
    assert [portable_hash(key) for key in keys] == [portable for portable, _ in there]
    if sys.version_info >= (3, 12):  # PySpark's hashes are Python's own then, but for tuples
        of_others = [pair for key, pair in zip(keys, there, strict=True) if not isinstance(key, tuple | None)]
        assert all(portable == own for portable, own in of_others)


def test_processes_whose_seed_is_random_agree() -> None:
    keys = some_keys(100)
    one, other = (in_a_process("random", keys) for _ in range(2))
    assert [portable for portable, _ in one] == [portable for portable, _ in other]


# --- what is known -------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "key",
    [
        *(None, True, 5, 2.5, 1j, "a", b"a", Text("a"), range(3), Decimal("0.1"), Fraction(1, 3)),
        *((), (None, ("a", frozenset())), Pair(1, None)),
        pytest.param(frozenset(["a", None, (None,)]), id="a frozenset"),
    ],
    ids=repr,
)
def test_what_is_made_of_builtin_values_hashes_like_in_executors(key: Any) -> None:
    assert hashes_like_executors(key)


@pytest.mark.parametrize(
    "key",
    [
        *(Point(1), (1, Point("x")), frozenset([Point(1)]), Colour.RED, int, ..., UUID(int=5), print),
        *(float("nan"), (1, float("nan")), frozenset([float("nan")]), Decimal("nan"), complex(0, float("nan"))),
    ],
    ids=repr,
)
def test_what_hashes_by_code_of_its_own_or_by_its_address_may_not(key: Any) -> None:
    assert not hashes_like_executors(key)


@pytest.mark.usefixtures("_seed_restored")
@pytest.mark.parametrize("key", [date(2020, 1, 2), datetime(2020, 1, 2, tzinfo=timezone.utc), (1, date(2020, 1, 2))])
def test_dates_hash_like_in_executors_where_bytes_do(monkeypatch: pytest.MonkeyPatch, key: Any) -> None:
    for differs in (True, False):
        monkeypatch.setattr(hashing, "_seed_differs", differs)
        assert hashes_like_executors(key) is not differs


def test_numpys_numbers_hash_like_in_executors_and_its_texts_may_not() -> None:
    np = pytest.importorskip("numpy")
    assert all(map(hashes_like_executors, (np.int64(3), np.float64(0.1), np.float32(0.5), (np.int8(1),))))
    assert not any(map(hashes_like_executors, (np.datetime64("2020-01-02"), np.float64("nan"))))
    assert portable_hash(np.int64(3)) == portable_hash(3)


# --- the seed ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(("text", "seed"), [(None, "0"), ("random", "0"), ("", "0"), ("7", "7"), ("x", "0")])
def test_executors_have_the_drivers_seed_if_it_was_fixed(
    monkeypatch: pytest.MonkeyPatch, text: str | None, seed: str
) -> None:
    if text is None:
        monkeypatch.delenv("PYTHONHASHSEED", raising=False)
    else:
        monkeypatch.setenv("PYTHONHASHSEED", text)
    assert hashing.seed_of_executors() == seed
