"""Which methods end a stage, so that a rule may name it by them: those of `ENDS_OF_STAGES`; some others do not."""

from __future__ import annotations

from collections.abc import Iterator
from operator import add
from pathlib import Path
from typing import Any

import pytest

from localcluster import RDD, SparkContext
from localcluster.events import TaskStarted
from localcluster.faults.vocabulary import ENDS_OF_STAGES

ITSELF = object()
PATH = object()

ARGUMENTS: dict[str, tuple[Any, ...]] = {
    "aggregate": (0, add, add),
    "aggregateByKey": (0, add, add),
    "coalesce": (2, True),
    "collectWithJobGroup": ("group", ""),
    "combineByKey": (int, add, add),
    "countApprox": (60_000,),
    "fold": (0, add),
    "foldByKey": (0, add),
    "foreach": (str,),
    "foreachPartition": (list,),
    "groupBy": (str,),
    "histogram": (3,),
    "lookup": (1,),
    "meanApprox": (60_000,),
    "partitionBy": (3,),
    "randomSplit": ([1, 1],),
    "reduce": (add,),
    "reduceByKey": (add,),
    "reduceByKeyLocally": (add,),
    "repartition": (3,),
    "repartitionAndSortWithinPartitions": (3,),
    "sample": (False, 0.5),
    "sampleByKey": (False, dict.fromkeys(range(3), 0.5)),
    "saveAsPickleFile": (PATH,),
    "saveAsTextFile": (PATH,),
    "sortBy": (str,),
    "sumApprox": (60_000,),
    "take": (3,),
    "takeOrdered": (2,),
    "takeSample": (False, 3),
    "top": (2,),
    "treeAggregate": (0, add, add),
    "treeReduce": (add,),
    **dict.fromkeys(("cartesian", "cogroup", "fullOuterJoin", "groupWith", "intersection", "join"), (ITSELF,)),
    **dict.fromkeys(("leftOuterJoin", "rightOuterJoin", "subtract", "subtractByKey", "union", "zip"), (ITSELF,)),
}
OF_PAIRS = {"cogroup", "collectAsMap", "fullOuterJoin", "groupWith", "join", "leftOuterJoin", "lookup", "partitionBy"}
OF_PAIRS |= {"repartitionAndSortWithinPartitions", "rightOuterJoin", "subtractByKey"}
END_NONE = ("cartesian", "glom", "randomSplit", "sample", "sampleByKey", "union", "zip", "zipWithUniqueId")


@pytest.fixture(scope="module")
def sc() -> Iterator[SparkContext]:
    with SparkContext("local[1]") as context:
        yield context


@pytest.mark.parametrize("name", [*ENDS_OF_STAGES, *END_NONE])
@pytest.mark.filterwarnings("ignore:Deprecated:FutureWarning")
def test_a_stage_has_the_name_of_the_method_that_ends_it(sc: SparkContext, name: str, tmp_path: Path) -> None:
    numbers = sc.parallelize(range(20), 4)
    rdd: RDD[Any] = numbers.map(lambda n: (n % 3, n)) if "Key" in name or name in OF_PAIRS else numbers
    stands_for = {id(ITSELF): rdd, id(PATH): str(tmp_path / "out")}
    before = len(sc.events(TaskStarted))
    if name == "runJob":
        sc.runJob(rdd, list)
    else:
        answer = getattr(rdd, name)(*(stands_for.get(id(value), value) for value in ARGUMENTS.get(name, ())))
        list(answer) if name == "toLocalIterator" else None
        for made in answer if isinstance(answer, list) else [answer]:
            if isinstance(made, RDD):
                made.collect()
    infos = map(sc.statusTracker().getStageInfo, {event.task.stage_id for event in sc.events(TaskStarted)[before:]})
    names = {info.name.split()[0] for info in infos if info is not None}
    assert (name in names) == (name in ENDS_OF_STAGES)
