"""Which settings are warned of."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from localcluster.conf import unknown_settings
from localcluster.conf.unknown_settings import NOT_MISSED, warn_of_unknown


@pytest.fixture(autouse=True)
def nothing_warned_of_yet(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(unknown_settings, "_warned", set())


def test_a_key_that_would_be_missed_is_warned_of_once(caplog: pytest.LogCaptureFixture) -> None:
    keys = [
        "spark.speculation.efficiency.enabled",
        "localcluster.unheard.of",
        "spark.jars.packages",
        "spark.files.overwrite",
        "spark.hadoop.fs.defaultFS",
        "spark.hadoop.mapreduce.input.linerecordreader.line.maxlength",
    ]
    with caplog.at_level(logging.WARNING):
        for _ in range(2):
            warn_of_unknown(keys)
    assert [record.getMessage().split()[0] for record in caplog.records] == keys
    assert caplog.records[0].getMessage().endswith("python -m localcluster docs configuration")


@pytest.mark.parametrize(
    "key",
    [
        "my.own.key",
        "localcluster.externalBlockStore.port",
        "spark.task.maxFailures",
        "spark.executorEnv.LANG",
        # What scripts for real clusters set.
        "spark.serializer",
        "spark.kryoserializer.buffer.max",
        "spark.sql.shuffle.partitions",
        "spark.ui.enabled",
        "spark.ui.port",
        "spark.eventLog.enabled",
        "spark.eventLog.dir",
        "spark.driver.host",
        "spark.driver.bindAddress",
        "spark.driver.extraJavaOptions",
        "spark.executor.memoryOverhead",
        "spark.memory.fraction",
        "spark.memory.offHeap.enabled",
        "spark.shuffle.service.enabled",
        "spark.shuffle.compress",
        "spark.rdd.compress",
        "spark.io.compression.codec",
        "spark.dynamicAllocation.enabled",
        "spark.python.worker.reuse",
        "spark.pyspark.python",
        "spark.files.ignoreCorruptFiles",
        "spark.hadoop.mapred.output.compress",
        "spark.yarn.queue",
        "spark.submit.deployMode",
        "spark.port.maxRetries",
    ],
)
def test_a_key_that_nobody_misses_is_not(key: str, caplog: pytest.LogCaptureFixture) -> None:
    warn_of_unknown([key])
    assert not caplog.records


def test_the_documents_list_what_is_not_missed() -> None:
    text = (Path(__file__).parents[3] / "docs" / "configuration.md").read_text()
    section = text.partition("## Settings that have no meaning here")[2].partition("\n## ")[0]
    for prefix in NOT_MISSED:
        assert f"`{prefix}`" in section
