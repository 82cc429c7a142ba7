"""``rdd.cacheAs(name)`` and ``sc.cached(name)``: partitions that a later context, of other executors, finds."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from datetime import timedelta
from pathlib import Path

import numpy as np
import pytest

from localcluster import Cache, SparkConf, SparkContext
from localcluster.cache import command
from localcluster.rdd.rdd import RDD
from protocol.errors import CacheError

Contexts = Callable[[int], SparkContext]


@pytest.fixture
def directory(tmp_path: Path) -> Iterator[str]:
    yield str(tmp_path / "cache")
    command.stop(str(tmp_path / "cache"), 30)


@pytest.fixture
def in_context(directory: str) -> Iterator[Contexts]:
    """A context of so many executors, in the place of the one before."""
    open_now: list[SparkContext] = []

    def start(executors: int) -> SparkContext:
        while open_now:
            open_now.pop().stop()
        conf = SparkConf().setMaster(f"local[{executors}]").set("localcluster.cache.directory", directory)
        open_now.append(SparkContext(conf=conf))
        return open_now[-1]

    yield start
    while open_now:
        open_now.pop().stop()


def squares(sc: SparkContext, log: Path, count: int = 4) -> RDD[int]:
    """Each number that is computed leaves a line in the log."""

    def square(number: int) -> int:
        with log.open("a") as file:
            file.write(f"{number}\n")
        return number * number

    return sc.parallelize(range(12), count).map(square)


def computed(log: Path) -> list[int]:
    found = sorted(map(int, log.read_text().split())) if log.exists() else []
    log.unlink(missing_ok=True)
    return found


EXPECTED = [number * number for number in range(12)]


def test_a_later_context_of_other_executors_computes_nothing(in_context: Contexts, tmp_path: Path) -> None:
    log = tmp_path / "log"
    assert squares(in_context(2), log).cacheAs("squares").collect() == EXPECTED
    assert computed(log) == list(range(12))
    rdd = squares(in_context(1), log, count=3).cacheAs("squares")
    assert (rdd.collect(), rdd.getNumPartitions()) == (EXPECTED, 4)
    assert rdd.map(lambda number: number + 1).sum() == sum(EXPECTED) + 12
    assert computed(log) == []


def test_it_is_read_without_what_made_it(in_context: Contexts, tmp_path: Path) -> None:
    squares(in_context(2), tmp_path / "log").cacheAs("squares").count()
    sc = in_context(2)
    assert sc.cached("squares").collect() == EXPECTED
    with pytest.raises(CacheError, match="no RDD is cached as 'cubes'"):
        sc.cached("cubes")


def test_what_is_behind_a_shuffle_is_not_computed_again(in_context: Contexts, tmp_path: Path) -> None:
    log = tmp_path / "log"

    def totals(sc: SparkContext) -> RDD[tuple[int, int]]:
        return squares(sc, log).map(lambda number: (number % 2, number)).reduceByKey(lambda a, b: a + b, 2)

    expected = dict(totals(in_context(2)).cacheAs("totals").collect())
    computed(log)
    assert dict(totals(in_context(2)).cacheAs("totals").collect()) == expected
    assert computed(log) == []


def test_half_of_it_is_completed(in_context: Contexts, tmp_path: Path, directory: str) -> None:
    log = tmp_path / "log"
    rdd = squares(in_context(1), log).cacheAs("squares")
    assert rdd.take(2) == [0, 1]
    assert computed(log) == [0, 1, 2]
    assert set(Cache("rdd.squares", directory=directory)) == {(4, 0)}
    assert rdd.collect() == EXPECTED
    assert computed(log) == list(range(3, 12))


def test_another_number_of_partitions_is_not_mixed_with_half_of_the_first(in_context: Contexts, tmp_path: Path) -> None:
    log = tmp_path / "log"
    squares(in_context(1), log, 4).cacheAs("squares").take(1)
    rdd = squares(in_context(1), log, 3).cacheAs("squares")
    assert (rdd.collect(), rdd.getNumPartitions()) == (EXPECTED, 3)


def test_what_went_away_is_computed_again(in_context: Contexts, tmp_path: Path, directory: str) -> None:
    log = tmp_path / "log"
    sc = in_context(1)
    squares(sc, log).cacheAs("squares").count()
    rdd = squares(sc, log).cacheAs("squares")
    doubled = rdd.map(lambda number: 2 * number)
    assert doubled.sum() == 2 * sum(EXPECTED)
    computed(log)
    del Cache("rdd.squares", directory=directory)[4, 2]
    assert doubled.sum() == 2 * sum(EXPECTED)
    assert computed(log) == [6, 7, 8]


def test_what_went_away_and_cannot_be_computed_is_an_error(
    in_context: Contexts, tmp_path: Path, directory: str
) -> None:
    sc = in_context(1)
    squares(sc, tmp_path / "log").cacheAs("squares").count()
    stored, other = sc.cached("squares"), squares(sc, tmp_path / "log", 3).cacheAs("squares")
    del Cache("rdd.squares", directory=directory)[4, 2]
    with pytest.raises(CacheError, match="nothing is known that computes them"):
        stored.count()
    with pytest.raises(CacheError, match="has 3 now: call cacheAs again"):
        other.count()


def test_a_task_may_write_into_arrays_and_changes_nothing(in_context: Contexts) -> None:
    def change(array: np.ndarray) -> float:
        array += 1
        return float(array.sum())

    rdd = in_context(2).parallelize([1.0, 2.0], 2).map(lambda number: np.full(100_000, number)).cacheAs("arrays")
    assert rdd.map(change).collect() == [200_000.0, 300_000.0]
    assert rdd.map(change).collect() == [200_000.0, 300_000.0]


def test_partitions_lie_in_the_directory_that_the_settings_name(
    in_context: Contexts, tmp_path: Path, directory: str
) -> None:
    squares(in_context(1), tmp_path / "log").cacheAs("squares", ttl=3600).count()
    entries = list(command.listed(directory))
    assert {(entry.namespace, entry.key) for entry in entries} == {("rdd.squares", (4, index)) for index in range(4)}
    assert all(entry.expires for entry in entries)


def test_a_name_has_letters_digits_and_little_else(in_context: Contexts) -> None:
    with pytest.raises(CacheError, match="letters, digits"):
        in_context(1).parallelize([1]).cacheAs("a/b")
    for no_name in ("", None, 5):
        with pytest.raises(CacheError, match="under a name of letters, digits"):
            in_context(1).parallelize([1]).cacheAs(no_name)  # type: ignore[arg-type]
        with pytest.raises(CacheError, match="under a name of letters, digits"):
            in_context(1).cached(no_name)  # type: ignore[arg-type]


def test_unpersist_leaves_what_is_for_other_runs_and_says_so(
    in_context: Contexts, tmp_path: Path, recwarn: pytest.WarningsRecorder
) -> None:
    rdd = squares(in_context(1), tmp_path / "log").cacheAs("squares")
    assert rdd.persist().collect() == EXPECTED
    assert rdd.unpersist() is rdd
    assert not recwarn.list
    with pytest.warns(UserWarning, match=r"Cache\('rdd.squares'\).clear\(\)"):
        rdd.unpersist()
    computed(tmp_path / "log")
    assert rdd.collect() == EXPECTED
    assert computed(tmp_path / "log") == []


def test_a_time_to_live_is_seconds_or_a_difference_of_times(in_context: Contexts, directory: str) -> None:
    sc = in_context(1)
    sc.parallelize([1], 1).cacheAs("hour", ttl=timedelta(hours=1)).collect()
    assert sc.cached("hour").collect() == [1]
    with pytest.raises(CacheError, match="ttl is a number of seconds"):
        sc.parallelize([1], 1).cacheAs("hour", ttl="1h")  # type: ignore[arg-type]
