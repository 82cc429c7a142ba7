"""`SparkSession`: found or made as in PySpark 4.3, where these cases were run."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from pickle import PicklingError

import pytest

from localcluster import SparkConf, SparkContext
from localcluster.sql.session import SparkSession
from protocol.errors import NoDataFramesError, PySparkRuntimeError, PySparkTypeError, SparkException
from protocol.sql_errors import AnalysisException, SparkNoSuchElementException


@pytest.fixture(scope="module")
def spark() -> Iterator[SparkSession]:
    builder = SparkSession.builder.master("local[2]").appName("probe").config("x.y", 5).config("flag", True)
    with builder.config(map={"m": 1}).config(conf=SparkConf().set("q", "1")).getOrCreate() as session:
        yield session


def test_the_builder_finds_the_session_in_use_and_adds_settings(spark: SparkSession) -> None:
    assert SparkSession.builder.getOrCreate() is spark
    assert SparkSession.builder.config("new.key", "v").getOrCreate() is spark
    assert spark.conf.get("new.key") == "v"
    assert SparkSession.getActiveSession() is SparkSession.active() is spark
    assert SparkSession.builder is not SparkSession.builder


def test_settings_of_a_session_are_text(spark: SparkSession) -> None:
    assert [spark.conf.get(key) for key in ("x.y", "flag", "m", "q")] == ["5", "true", "1", "1"]
    assert (spark.sparkContext.appName, spark.sparkContext.master) == ("probe", "local[2]")
    assert spark.conf.get("spark.app.name") == "probe"
    spark.conf.set("a.b", 3)
    assert spark.conf.getAll["a.b"] == "3"
    spark.conf.unset("a.b")
    assert spark.conf.get("a.b", "gone") == "gone"
    assert spark.conf.get("a.b", None) is None
    with pytest.raises(SparkNoSuchElementException, match=r'\[SQL_CONF_NOT_FOUND\] The SQL config "a.b"'):
        spark.conf.get("a.b")
    with pytest.raises(AnalysisException, match=r"\[CANNOT_MODIFY_CONFIG\].*spark.executor.memory"):
        spark.conf.set("spark.executor.memory", "2g")
    with pytest.raises(PySparkTypeError):
        spark.conf.set("a.b", [1])  # type: ignore[arg-type]


def test_a_new_session_shares_the_context_and_not_the_settings(spark: SparkSession) -> None:
    spark.conf.set("only.here", "1")
    other = spark.newSession()
    assert other is not spark
    assert other.sparkContext is spark.sparkContext
    assert (other.conf.get("only.here", "none"), other.conf.get("x.y")) == ("none", "5")
    assert SparkSession.getActiveSession() is spark


def test_rows_of_text_go_through_jobs(spark: SparkSession, tmp_path: Path) -> None:
    (tmp_path / "text").write_text("b a\na\n")
    lines = spark.read.text(str(tmp_path / "text")).rdd
    assert lines.flatMap(lambda row: row[0].split(" ")).countByValue() == {"a": 2, "b": 1}
    assert sorted(lines.cache().collect()) == [("a",), ("b a",)]
    assert lines.filter(lambda row: "value" in row and row.value == "a").first()["value"] == "a"
    assert lines.repartition(3).map(lambda row: row.asDict()["value"]).collect() in (["b a", "a"], ["a", "b a"])


def test_a_session_in_a_task_is_an_error(spark: SparkSession) -> None:
    with pytest.raises(SparkException, match="CONTEXT_ONLY_VALID_ON_DRIVER"):
        spark.sparkContext.parallelize([1]).map(lambda _: SparkSession.getActiveSession()).collect()
    with pytest.raises(PicklingError, match="CONTEXT_ONLY_VALID_ON_DRIVER"):
        spark.sparkContext.parallelize([1]).map(lambda _: spark.version).collect()


def test_whatever_else_is_asked_for_says_that_dataframes_are_no_part_of_this(spark: SparkSession) -> None:
    assert not hasattr(spark, "udf")
    with pytest.raises(NoDataFramesError, match="'SparkSession' has no attribute 'createDataFrame' here: SQL and"):
        spark.createDataFrame([(1,)])
    with pytest.raises(NoDataFramesError, match="'RDD' has no attribute 'toDF' here"):
        spark.sparkContext.parallelize([(1,)]).toDF()


def test_after_a_stop_there_is_no_session_until_one_is_made() -> None:
    running = SparkSession.getActiveSession()
    if running is not None:
        running.stop()
    assert SparkContext._active_spark_context is None
    assert SparkSession.getActiveSession() is None
    with pytest.raises(PySparkRuntimeError, match=r"\[NO_ACTIVE_OR_DEFAULT_SESSION\]"):
        SparkSession.active()
    with SparkContext("local[1]", "first") as sc:
        session = SparkSession.builder.appName("second").getOrCreate()
        assert session.sparkContext is sc
        assert sc.appName == "first"
        assert session.version == sc.version == "4.3.0"
    assert SparkSession.getActiveSession() is None
