"""Reading configuration values."""

from __future__ import annotations

from contextlib import suppress
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.conf import settings
from protocol.errors import ConfigurationError

MIB = 1 << 20


@pytest.mark.parametrize(
    ("key", "text", "expected"),
    [
        # A bare number is in the unit that Spark's documentation gives for the key.
        ("spark.executor.memory", "512", 512 * MIB),
        ("spark.driver.memory", "512", 512 * MIB),
        ("spark.python.worker.memory", "512", 512 * MIB),
        ("spark.storage.unrollMemoryThreshold", "4096", 4096),
        ("localcluster.sharedMemory", "67108864", 64 * MIB),
        ("spark.locality.wait", "500", 0.5),
        ("spark.executor.heartbeatInterval", "10000", 10.0),
        ("spark.task.reaper.killTimeout", "250", 0.25),
        ("spark.network.timeout", "120", 120.0),
        ("spark.cleaner.ttl", "60", 60.0),
        # A unit says what it says.
        ("spark.executor.memory", "2g", 2048 * MIB),
        ("spark.executor.memory", " 64MB ", 64 * MIB),
        ("spark.driver.maxResultSize", "100b", 100),
        ("spark.driver.maxResultSize", "1.5k", 1536),
        ("spark.driver.maxResultSize", "0", 0),
        ("spark.executor.memory", "1t", MIB * MIB),
        ("spark.executor.memory", "2P", 2048 * MIB * MIB),
        ("spark.locality.wait", "3s", 3.0),
        ("spark.locality.wait", "0", 0.0),
        ("spark.locality.wait", "2min", 120.0),
        ("spark.locality.wait", "2m", 120.0),
        ("spark.locality.wait", "1h", 3600.0),
        ("spark.locality.wait", "1d", 86400.0),
        ("spark.network.timeout", "1500ms", 1.5),
        ("spark.network.timeout", "1500us", 0.0015),
        # Other kinds.
        ("spark.scheduler.mode", "fair", "FAIR"),
        ("spark.shuffle.manager", "HASH", "hash"),
        ("spark.shuffle.manager", "tungsten-sort", "sort"),
        ("spark.log.level", "warn", "WARN"),
        ("spark.ui.showConsoleProgress", "False", False),
        ("spark.storage.memoryFraction", "1", 1.0),
        ("spark.local.dir", "/a, /b,", ("/a", "/b")),
        ("spark.executor.cores", "3", 3),
    ],
)
def test_values_are_read_as_spark_reads_them(key: str, text: str, expected: Any) -> None:
    assert settings.value({key: text}, key) == expected


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("spark.executor.memory", "lots"),
        ("spark.executor.memory", "1"),  # too small for any block
        ("spark.driver.memory", "15m"),
        ("localcluster.sharedMemory", "1"),
        ("spark.python.worker.memory", "1b"),
        ("spark.executor.heartbeatInterval", "0"),
        ("spark.cleaner.ttl", "0"),
        ("spark.task.cpus", "0"),
        ("spark.executor.memory", ""),
        ("spark.executor.memory", "-1g"),
        ("spark.executor.memory", "1gg"),
        ("spark.executor.memory", "1ib"),
        ("spark.executor.memory", "10s"),
        ("spark.network.timeout", "10g"),
        ("spark.network.timeout", "soon"),
        ("spark.executor.cores", "0"),
        ("spark.executor.cores", "1.5"),
        ("spark.storage.memoryFraction", "1.1"),
        ("spark.storage.memoryFraction", "nan"),
        ("spark.scheduler.mode", "LIFO"),
        ("spark.ui.showConsoleProgress", "yes"),
    ],
)
def test_a_bad_value_is_refused_with_key_value_and_what_is_accepted(key: str, text: str) -> None:
    with pytest.raises(ConfigurationError) as caught:
        settings.check({key: text})
    message = str(caught.value)
    assert message.startswith(f"{key} must be ")
    assert repr(text) in message


def test_every_default_is_accepted() -> None:
    settings.check({})
    for entry in settings.ENTRIES.values():
        assert entry.default is None or settings.value({entry.key: entry.default}, entry.key) is not None


def test_what_is_unset_without_a_default_is_none() -> None:
    assert settings.value({}, "spark.cleaner.ttl") is None


def test_each_value_is_read_once_from_its_text_and_cannot_be_changed() -> None:
    texts = {"spark.task.cpus": "2", "spark.cleaner.ttl": "soon"}
    values = settings.Settings(texts)
    assert values.task_cpus == 2
    texts["spark.task.cpus"] = "3"
    assert values.task_cpus == 2
    assert values.cleaner_reference_tracking is True
    with pytest.raises(ConfigurationError, match=r"spark\.cleaner\.ttl must be a time"):
        _ = values.cleaner_ttl
    with pytest.raises(AttributeError):
        values.task_cpus = 4
    assert values.task_cpus == 2


def test_an_old_key_counts_where_the_key_is_not_set() -> None:
    key, old = "spark.hadoop.mapreduce.input.fileinputformat.split.minsize", "spark.hadoop.mapred.min.split.size"
    assert settings.Settings({old: "5"}).split_min_size == 5
    assert settings.Settings({old: "5", key: "7"}).split_min_size == 7
    with pytest.raises(ConfigurationError, match=f"{old} must be"):
        _ = settings.Settings({old: "few"}).split_min_size


@given(st.text())
def test_any_text_is_a_value_or_a_configuration_error(text: str) -> None:
    for key in settings.ENTRIES:
        with suppress(ConfigurationError):
            settings.value({key: text}, key)


@given(st.integers(0, 10**6), st.sampled_from(["b", "k", "m", "g", "t"]))
def test_sizes_grow_by_1024(number: int, unit: str) -> None:
    assert settings.parse_bytes(f"{number}{unit}") == number * 1024 ** "bkmgt".index(unit)
    assert settings.parse_bytes(f"{number}", unit=unit) == number * 1024 ** "bkmgt".index(unit)


@pytest.mark.parametrize(("name", "value"), [("", "x"), ("A=B", "x"), ("A", "\0"), ("A\0", "x")])
def test_what_no_environment_can_hold_is_refused_before_executors_start(name: str, value: str) -> None:
    with pytest.raises(ConfigurationError, match="no environment variable"):
        settings.check({f"spark.executorEnv.{name}": value})


def test_executors_may_not_be_declared_silent_between_two_heartbeats() -> None:
    settings.check({"spark.network.timeout": "11s"})
    with pytest.raises(ConfigurationError, match=r"spark\.network\.timeout=5s must be greater .*=10s"):
        settings.check({"spark.network.timeout": "5s"})


@pytest.mark.parametrize(
    ("size", "text"),
    [
        (0, "0.0 B"),
        (2047, "2047.0 B"),
        (2048, "2.0 KiB"),
        (MIB, "1024.0 KiB"),
        (2 * MIB, "2.0 MiB"),
        (5 << 40, "5.0 TiB"),
    ],
)
def test_sizes_are_written_as_spark_writes_them(size: int, text: str) -> None:
    assert settings.bytes_text(size) == text


def test_storage_gets_its_share_of_the_memory() -> None:
    conf = settings.storage_conf({"localcluster.sharedMemory": "77m"}, 100 * MIB)
    assert conf.max_memory == int(100 * MIB * 0.6 * 0.9)
    assert conf.shared_memory == 77 * MIB


def test_options_of_an_external_store_lose_their_prefix() -> None:
    prefix = "localcluster.externalBlockStore."
    conf = settings.storage_conf({prefix + "class": "a.B", prefix + "port": "1234", "spark.x": "y"}, MIB)
    assert conf.external_store == "a.B"
    assert conf.external_store_options == {"port": "1234"}
