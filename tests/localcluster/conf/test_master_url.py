"""Master strings and the layout of a cluster."""

from __future__ import annotations

import pytest

from localcluster.conf.master_url import Layout, available_cores, layout, memory_from_master
from protocol.errors import ConfigurationError

CORES = available_cores()


@pytest.mark.parametrize(
    ("master", "expected"),
    [
        ("local", Layout(1, 1, 1)),
        ("local[3]", Layout(3, 1, 1)),
        ("local[*]", Layout(CORES, 1, 1)),
        ("local[ 3 , 2 ]", Layout(3, 1, 2)),
        ("local[*, 5]", Layout(CORES, 1, 5)),
        (" local[2] ", Layout(2, 1, 1)),
        ("local-cluster[2,3,1024]", Layout(2, 3, 4)),
        ("local-cluster[ 2 , 1 , 512 ]", Layout(2, 1, 4)),
    ],
)
def test_masters_mean_what_they_mean_in_spark(master: str, expected: Layout) -> None:
    assert layout({"spark.master": master}) == expected


def test_without_a_master_there_is_an_executor_per_core_and_spark_s_retries() -> None:
    assert layout({}) == Layout(CORES, 1, 4)


@pytest.mark.parametrize(
    "master",
    ["", "locals", "local[]", "local[0]", "local[-1]", "local[2,0]", "local[2,*]", "local-cluster[0,1,1024]",
     "local-cluster[1,0,1024]", "local-cluster[2,1]", "spark://host:7077", "yarn", "LOCAL", "local[2]x"],
)  # fmt: skip
def test_other_masters_are_refused_by_name(master: str) -> None:
    with pytest.raises(ConfigurationError, match=r"spark\.master must be .*, not"):
        layout({"spark.master": master})


def test_explicit_settings_win_over_the_master() -> None:
    conf = {"spark.executor.instances": "5", "spark.executor.cores": "2", "spark.task.maxFailures": "7"}
    assert layout({"spark.master": "local[3, 2]", **conf}) == Layout(5, 2, 7)


def test_a_bad_explicit_setting_is_named() -> None:
    with pytest.raises(ConfigurationError, match=r"spark\.executor\.cores must be a whole number above 0, not 'two'"):
        layout({"spark.executor.cores": "two"})


def test_memory_comes_from_a_local_cluster_only() -> None:
    assert memory_from_master("local-cluster[2,1,512]") == "512m"
    assert memory_from_master("local[2]") is None
    assert memory_from_master(None) is None


def test_a_task_may_take_several_cores() -> None:
    cpus = {"spark.task.cpus": "2"}
    assert layout({"spark.master": "local[4]", **cpus}) == Layout(2, 2, 1, 2)
    assert layout({"spark.master": "local[5]", **cpus}) == Layout(2, 2, 1, 2)
    local_cluster = layout({"spark.master": "local-cluster[3,5,512]", **cpus})
    assert local_cluster == Layout(3, 5, 4, 2)
    assert local_cluster.slots == 2
    assert layout({"spark.master": "local[4]", "spark.executor.cores": "4", **cpus}).slots == 2


@pytest.mark.parametrize(
    "conf", [{"spark.master": "local"}, {"spark.master": "local-cluster[2,1,512]"}, {"spark.executor.cores": "1"}]
)
def test_a_task_that_takes_more_cores_than_an_executor_has_is_refused(conf: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match=r"cores per executor \(=1\) has to be >= .* cpus per task = 2"):
        layout({**conf, "spark.task.cpus": "2"})


def test_the_number_of_all_cores_limits_the_executors() -> None:
    most = {"spark.cores.max": "5"}
    assert layout({"spark.master": "local[8]", **most}).executors == 5
    assert layout({"spark.master": "local[3]", **most}).executors == 3
    assert layout({"spark.master": "local-cluster[8,2,512]", **most}).executors == 2
    assert layout({"spark.master": "local-cluster[8,9,512]", **most}).executors == 1
    assert layout({"spark.executor.instances": "7", **most}).executors == 7


def test_a_cluster_has_a_master_string_where_the_program_gave_none() -> None:
    assert Layout(CORES, 1, 4).master(1 << 30) == "local[*]"
    assert Layout(CORES + 1, 1, 4).master(1 << 30) == f"local[{CORES + 1}]"
    assert Layout(3, 2, 4).master(1 << 30) == "local-cluster[3,2,1024]"


def test_the_settings_of_a_context_without_a_master_make_another_one_like_it() -> None:
    given = {"spark.executor.instances": "3", "spark.executor.cores": "2"}
    shown = layout(given).master(512 << 20)
    assert layout({**given, "spark.master": shown}) == layout({"spark.master": shown}) == layout(given)


@pytest.mark.parametrize(
    "conf",
    [
        {"spark.master": "local[4097]"},
        {"spark.master": f"local[{10**20}]"},
        {"spark.master": "local[2]", "spark.executor.cores": "2049"},
        {"spark.executor.instances": "4097", "spark.executor.cores": "1"},
    ],
)
def test_more_cores_than_any_machine_has_are_refused(conf: dict[str, str]) -> None:
    with pytest.raises(ConfigurationError, match="4096 cores in all are the limit"):
        layout(conf)
