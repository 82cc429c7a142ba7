"""`SparkConf`."""

from __future__ import annotations

import logging

import pytest

from localcluster import conf as conf_module
from localcluster.conf import SparkConf


@pytest.fixture(autouse=True)
def nothing_submitted_or_warned(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conf_module, "_submitted", {})
    monkeypatch.setattr(conf_module, "_warned", set())


def test_setters_chain_and_later_values_win() -> None:
    conf = SparkConf().setMaster("local[2]").setAppName("demo").set("spark.task.maxFailures", "2")
    conf.setAll([("spark.task.maxFailures", "3"), ("spark.app.name", "other")]).setSparkHome("/opt")
    assert conf.get("spark.task.maxFailures") == "3"
    assert dict(conf.getAll()) == {
        "spark.master": "local[2]",
        "spark.app.name": "other",
        "spark.task.maxFailures": "3",
        "spark.home": "/opt",
    }


def test_set_if_missing_keeps_what_is_set() -> None:
    conf = SparkConf().set("spark.app.name", "a").setIfMissing("spark.app.name", "b").setIfMissing("spark.master", "m")
    assert (conf.get("spark.app.name"), conf.get("spark.master")) == ("a", "m")


def test_get_gives_the_default_for_what_is_missing() -> None:
    conf = SparkConf().set("spark.app.name", "a")
    assert conf.get("spark.master") is None
    assert conf.get("spark.master", "local") == "local"
    assert conf.get("spark.app.name", "b") == "a"
    assert conf.contains("spark.app.name")
    assert not conf.contains("spark.master")


def test_values_become_text() -> None:
    conf = SparkConf().set("spark.task.maxFailures", 3).set("spark.ui.showConsoleProgress", False)  # type: ignore[arg-type]
    assert conf.get("spark.task.maxFailures") == "3"
    assert conf.get("spark.ui.showConsoleProgress") == "False"


def test_the_debug_string_is_sorted() -> None:
    assert SparkConf().setMaster("m").setAppName("a").toDebugString() == "spark.app.name=a\nspark.master=m"


def test_confs_start_from_the_command_line_unless_told_not_to() -> None:
    conf_module.submit({"spark.app.name": "submitted"})
    changed = SparkConf().set("spark.app.name", "changed")
    assert changed.get("spark.app.name") == "changed"
    assert SparkConf().get("spark.app.name") == "submitted"
    assert SparkConf(loadDefaults=False).getAll() == []


def test_an_unknown_spark_key_is_kept_and_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            assert SparkConf().set("spark.unheard.of", "1").get("spark.unheard.of") == "1"
    assert [record.getMessage().split()[0] for record in caplog.records] == ["spark.unheard.of"]


@pytest.mark.parametrize("key", ["my.own.key", "localcluster.externalBlockStore.port", "spark.task.maxFailures"])
def test_keys_that_mean_something_to_somebody_are_not_warned_of(key: str, caplog: pytest.LogCaptureFixture) -> None:
    SparkConf().set(key, "1")
    assert not caplog.records
