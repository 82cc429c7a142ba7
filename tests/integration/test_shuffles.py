"""Both kinds of shuffle on a real cluster, in memory and spilling to disk."""

from __future__ import annotations

import random
from collections import Counter
from operator import add
from pathlib import Path
from typing import Any

import pytest

from localcluster import SparkConf, SparkContext


@pytest.mark.parametrize("memory", ["512m", "50k"])
@pytest.mark.parametrize("manager", ["sort", "hash"])
def test_word_count_is_exactly_what_a_counter_counts(tmp_path: Path, manager: str, memory: str) -> None:
    rng = random.Random(7)
    words = [rng.choice("abcdefgh") * rng.randint(1, 3) + str(rng.randint(0, 500)) for _ in range(20_000)]
    file = tmp_path / "words.txt"
    file.write_text("\n".join(" ".join(words[i : i + 9]) for i in range(0, len(words), 9)))
    conf = SparkConf().setMaster("local[2]").set("spark.shuffle.manager", manager)
    conf.set("spark.python.worker.memory", memory)
    with SparkContext(conf=conf) as context:
        counts = context.textFile(str(file), 5).flatMap(str.split).map(lambda word: (word, 1)).reduceByKey(add, 3)
        assert counts.getNumPartitions() == 3
        assert dict(counts.collect()) == Counter(words)
        groups = context.parallelize(words, 4).map(lambda word: (word[0], word)).groupByKey(2).mapValues(Counter)
        assert sum((counter for _, counter in groups.collect()), Counter()) == Counter(words)


def test_a_join_is_one_shuffle_of_the_sides_that_are_not_in_place(sc: SparkContext) -> None:
    def stages(group: str, joined: Any) -> int:
        sc.setJobGroup(group, "")
        lists = joined.mapValues(lambda sides: [list(side) for side in sides])
        assert lists.collectAsMap() == {key: [[-key], [key]] for key in range(10)}
        info = sc.statusTracker().getJobInfo(sc.statusTracker().getJobIdsForGroup(group)[0])
        assert info is not None
        return len(info.stageIds)

    pairs = sc.parallelize(range(10), 3).map(lambda x: (x, x))
    placed = pairs.partitionBy(4).mapValues(lambda x: -x)
    assert stages("in place", placed.cogroup(pairs.partitionBy(4))) == 3
    assert stages("none in place", pairs.mapValues(lambda x: -x).cogroup(pairs)) == 2
    assert stages("one in place", placed.cogroup(pairs, 4)) == 3
    assert stages("both elsewhere", placed.cogroup(pairs, 5)) == 3
