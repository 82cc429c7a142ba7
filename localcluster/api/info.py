"""`ApplicationInfo`: what a context was started as: its settings, and what follows from them."""

from __future__ import annotations

import time
from collections.abc import Mapping
from typing import Any, NamedTuple

from localcluster.conf import SparkConf
from localcluster.conf.master_url import Layout, layout, memory_from_master
from localcluster.conf.settings import EXECUTOR_ENVIRONMENT, Settings, check
from localcluster.shuffle.hashing import seed_of_executors


class ApplicationInfo(NamedTuple):
    """What a context is: names, settings, layout.

    ``conf`` has all settings, with what Spark adds to them; ``started`` is in milliseconds since the epoch.
    """

    conf: SparkConf
    layout: Layout
    started: int
    environment: dict[str, str]
    """What executors have in theirs that the program's process may not."""

    @classmethod
    def of(cls, conf: SparkConf) -> ApplicationInfo:
        """Adds to ``conf``, which must be right (`settings.check`)."""
        values = dict(conf.getAll())
        shape, started = layout(values), int(time.time() * 1000)
        master = shape.master(Settings(values).executor_memory)
        conf.setIfMissing("spark.master", master).setIfMissing("spark.app.name", "localcluster")
        conf.set("spark.app.id", f"local-{started}").set("spark.app.startTime", str(started))
        conf.set("spark.executor.id", "driver").setIfMissing("spark.submit.deployMode", "client")
        prefix = EXECUTOR_ENVIRONMENT
        environment = {key.removeprefix(prefix): text for key, text in conf.getAll() if key.startswith(prefix)}
        return cls(conf, shape, started, {**environment, "PYTHONHASHSEED": seed_of_executors()})

    @property
    def id(self) -> str:
        return self.conf.get("spark.app.id", "")

    @property
    def name(self) -> str:
        return self.conf.get("spark.app.name", "")

    @property
    def master(self) -> str:
        return self.conf.get("spark.master", "")


def settings_of(
    master: str | None,
    app_name: str | None,
    spark_home: str | None,
    environment: Mapping[str, Any] | None,
    conf: SparkConf | None,
) -> SparkConf:
    """A context's own copy of the settings that its constructor was given. Raises ConfigurationError."""
    merged = SparkConf()
    if conf is not None:
        merged.setAll(conf.getAll())
    if master:
        merged.setMaster(master)
    if app_name:
        merged.setAppName(app_name)
    if spark_home:
        merged.setSparkHome(spark_home)
    merged.setExecutorEnv(pairs=(environment or {}).items())
    memory = memory_from_master(merged.get("spark.master"))
    if memory is not None:
        merged.setIfMissing("spark.executor.memory", memory)
    check(dict(merged.getAll()))
    return merged
