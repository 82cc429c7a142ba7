"""The two pictures in `docs/architecture.md`, of a job's way and a block's, are what the driver sees of messages."""

from __future__ import annotations

import os
import re
import signal
from collections.abc import Callable, Iterable, Iterator
from functools import partial
from pathlib import Path
from typing import Any, NamedTuple

import pytest

from localcluster import RDD, SparkConf, SparkContext, StorageLevel
from protocol.endpoint import Endpoint
from protocol.hook import Passing, Way
from protocol.wire import Kind
from tests.support import wait_until

TEXT = (Path(__file__).parents[2] / "docs" / "architecture.md").read_text()
ROW = re.compile(r"(.{16}) (driver|executor|launcher) +(\w+) +(->|=>) (driver|executor|launcher) ")


class Seen(NamedTuple):
    sender: str
    message: str
    arrow: str
    receiver: str


def picture(title: str) -> dict[str, list[Seen]]:
    """{what sets it off: the messages that follow}"""
    lines = TEXT.partition(f"## {title}")[2].partition("\n## ")[0].splitlines()
    steps: dict[str, list[Seen]] = {}
    when = ""
    for match in filter(None, map(ROW.match, lines)):
        when = match[1].strip() or when
        steps.setdefault(when, []).append(Seen(*match.groups()[1:]))
    return steps


@pytest.fixture
def log(monkeypatch: pytest.MonkeyPatch) -> list[Seen]:
    seen: list[Seen] = []

    def note(passing: Passing) -> None:
        if passing.kind in (Kind.TELL, Kind.ASK):
            other = "launcher" if passing.channel == "launcher" else "executor"
            ends = ("driver", other) if passing.way is Way.OUT else (other, "driver")
            arrow = "->" if passing.kind is Kind.TELL else "=>"
            seen.append(Seen(ends[0], type(passing.message).__name__, arrow, ends[1]))

    make = Endpoint.__init__

    def make_with_hook(endpoint: Endpoint, *args: Any, **kwargs: Any) -> None:
        make(endpoint, *args, **kwargs)
        endpoint.hook = note

    monkeypatch.setattr(Endpoint, "__init__", make_with_hook)
    return seen


def follow(title: str, log: list[Seen], actions: dict[str, Callable[[], object]]) -> None:
    """Do each action, and wait until its messages have come in the order of the picture, whatever else came."""
    steps = picture(title)
    assert actions.keys() <= steps.keys()
    begun = 0
    for when, rows in steps.items():
        if when in actions:
            begun = len(log)
            actions[when]()
        wait_until(partial(have_come, rows, log, begun), f"{when}: {rows}", log)


def have_come(rows: list[Seen], log: list[Seen], begun: int) -> bool:
    rest = iter(log[begun:])
    return all(row in rest for row in rows)


def test_a_jobs_way(log: list[Seen]) -> None:
    contexts: list[SparkContext] = []

    def collect() -> None:
        pairs = contexts[0].parallelize([(i % 2, bytes(100_000)) for i in range(4)], 2)
        assert len(pairs.reduceByKey(lambda a, b: a + b, 2).collect()) == 2

    follow(
        "A job's way",
        log,
        {
            "SparkContext()": lambda: contexts.append(SparkContext("local[2]")),
            "collect()": collect,
            "stop()": lambda: contexts[0].stop(),
        },
    )


def test_a_blocks_way(log: list[Seen], tmp_path: Path) -> None:
    conf = SparkConf().setMaster("local[2]").set("spark.locality.wait", "0")
    with SparkContext(conf=conf) as sc:

        def cached(level: StorageLevel) -> RDD[bytes]:
            def make(records: Iterable[int]) -> Iterator[bytes]:
                (tmp_path / str(level)).write_text(str(os.getpid()))
                return (bytes(50_000) for _ in records)

            return sc.parallelize(range(4), 1).mapPartitions(make).persist(level)

        def read_in_both(rdd: RDD[bytes], name: str) -> None:
            def read(records: Iterator[bytes]) -> Iterator[int]:
                (tmp_path / f"{name} {os.getpid()}").touch()
                wait_until(lambda: len(list(tmp_path.glob(f"{name} *"))) == 2, "the other executor has taken no task")
                return iter([sum(1 for _ in records)])

            assert rdd.union(rdd).mapPartitions(read).collect() == [4, 4]

        shared, heap = cached(StorageLevel.OFF_HEAP), cached(StorageLevel.MEMORY_ONLY)
        twice = cached(StorageLevel.MEMORY_ONLY_2)

        def kill_the_holder() -> None:
            heap.unpersist(True)
            twice.unpersist(True)  # so that nothing is left in the holder's segment, which the other has mapped
            os.kill(int((tmp_path / str(StorageLevel.OFF_HEAP)).read_text()), signal.SIGKILL)

        follow(
            "A block's way",
            log,
            {
                "getOrCompute": shared.count,
                "read elsewhere": lambda: read_in_both(shared, "shared"),
                "read of a heap": lambda: heap.count() and read_in_both(heap, "heap"),
                "second replica": twice.count,
                "unpersist()": lambda: shared.unpersist(True),
                "executor dies": kill_the_holder,
            },
        )
