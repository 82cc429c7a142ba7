"""`SparkConf` and the system properties that it starts from."""

from __future__ import annotations

import os
import pwd
from typing import Any

import pytest

from localcluster import SparkContext
from localcluster.conf import SparkConf, system_properties
from protocol.errors import PySparkAttributeError, PySparkNotImplementedError, PySparkRuntimeError


@pytest.fixture(autouse=True)
def no_properties_set(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(system_properties, "_set", {})


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
    assert conf.get("spark.master", None) is None
    assert conf.get("spark.master", defaultValue="local") == "local"
    assert conf.get("spark.app.name", "b") == "a"
    assert conf.contains("spark.app.name")
    assert not conf.contains("spark.master")


@pytest.mark.parametrize(("value", "text"), [(3, "3"), (False, "False"), (None, "None"), (1.5, "1.5")])
def test_values_become_text(value: Any, text: str) -> None:
    assert SparkConf().set("spark.x", value).get("spark.x") == text


def test_any_key_can_be_set_and_read() -> None:
    assert SparkConf().set("my.own", "1").set("spark.unheard.of", "2").getAll() == [
        ("my.own", "1"),
        ("spark.unheard.of", "2"),
    ]


def test_variables_of_executors_are_set_by_name_or_in_pairs() -> None:
    conf = SparkConf().setExecutorEnv("A", "1").setExecutorEnv(pairs=[("B", "2"), ("C", "3")])
    assert conf.getAll() == [(f"spark.executorEnv.{name}", value) for name, value in ("A1", "B2", "C3")]


@pytest.mark.parametrize("arguments", [{}, {"key": "A", "value": "1", "pairs": [("B", "2")]}, {"value": "1"}])
def test_variables_of_executors_are_one_or_pairs_not_both(arguments: dict[str, Any]) -> None:
    with pytest.raises(PySparkRuntimeError) as caught:
        SparkConf().setExecutorEnv(**arguments)
    assert caught.value.getCondition() == "KEY_VALUE_PAIR_REQUIRED"


def test_the_debug_string_is_sorted_and_keeps_secrets() -> None:
    conf = SparkConf().setMaster("m").setAppName("a").set("spark.hadoop.fs.s3a.access.key", "x").set("my.PassWord", "y")
    assert conf.toDebugString().splitlines() == [
        "my.PassWord=*********(redacted)",
        "spark.app.name=a",
        "spark.hadoop.fs.s3a.access.key=*********(redacted)",
        "spark.master=m",
    ]


def test_there_is_no_jvm_behind_a_conf() -> None:
    assert not hasattr(SparkConf(), "_jconf")
    with pytest.raises(PySparkAttributeError, match=r"JVM_ATTRIBUTE_NOT_SUPPORTED.*`_jconf`"):
        SparkConf()._jconf  # noqa: B018
    with pytest.raises(PySparkNotImplementedError):
        SparkConf(_jvm=object())


def test_confs_start_from_the_settings_among_the_system_properties_unless_told_not_to() -> None:
    SparkContext.setSystemProperty("spark.app.name", "set")
    SparkContext.setSystemProperty("my.own", "1")
    changed = SparkConf().set("spark.app.name", "changed")
    assert changed.get("spark.app.name") == "changed"
    assert SparkConf().getAll() == [("spark.app.name", "set")]
    assert SparkConf(loadDefaults=False).getAll() == []
    assert SparkContext.getSystemProperty("my.own") == "1"


def test_properties_of_the_system_can_be_read_and_changed() -> None:
    assert SparkContext.getSystemProperty("user.name") == pwd.getpwuid(os.geteuid()).pw_name
    assert SparkContext.getSystemProperty("user.dir") == os.getcwd()
    assert SparkContext.getSystemProperty("unheard.of") is None
    SparkContext.setSystemProperty("user.name", "other")
    assert SparkContext.getSystemProperty("user.name") == "other"


def test_a_user_without_a_name_has_a_number(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "geteuid", lambda: 4_000_000_000)
    assert system_properties.user_name() == "4000000000"
