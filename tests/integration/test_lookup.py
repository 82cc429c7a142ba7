"""Keys are placed alike by the driver and by executors, and `lookup` finds them, whatever the driver's hash seed is."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import date
from typing import Any

import pytest

from localcluster import SparkContext
from localcluster.shuffle.hashing import portable_hash
from tests.faults.runs import ROOT


@dataclass(frozen=True)
class Point:
    """Before Python 3.12 its hash is another one in each program that is started."""

    x: Any
    y: Any = None


KNOWN = [None, 1, 2.5, "a", "日本", b"x", (None, "a"), frozenset(["a", None]), frozenset([("a", None)]), range(0)]
KEYS = [*KNOWN, Point("x"), (Point("y"),), date(2020, 1, 2), int, ...]


def text_hash(key: Any) -> int:
    return hash(str(key))


def not_found(sc: SparkContext) -> Iterator[Any]:
    pairs = sc.parallelize([(key, index) for index, key in enumerate(KEYS)], 3)
    for placed in (pairs.partitionBy(7), pairs.partitionBy(7, hash), pairs.partitionBy(7, text_hash)):
        yield from (key for index, key in enumerate(KEYS) if placed.lookup(key) != [index])


def test_the_driver_hashes_as_executors_do(sc: SparkContext) -> None:
    assert sc.parallelize(KNOWN, 3).map(portable_hash).collect() == list(map(portable_hash, KNOWN))


@pytest.mark.parametrize("seed", ["0", "5"])
def test_a_driver_finds_its_keys(seed: str) -> None:
    program = (
        "from localcluster import SparkContext\n"
        "from tests.integration.test_lookup import not_found\n"
        "with SparkContext('local[2]') as sc: print(list(not_found(sc)))"
    )
    environment = os.environ | {"PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)}
    command = [sys.executable, "-c", program]
    done = subprocess.run(command, env=environment, cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert done.stdout == "[]\n", done.stderr


def test_a_driver_whose_seed_is_random_finds_its_keys(sc: SparkContext) -> None:
    assert list(not_found(sc)) == []
