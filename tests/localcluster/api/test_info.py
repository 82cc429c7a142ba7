"""What a context is started as: which of the settings wins, and what is added to them."""

from __future__ import annotations

import pytest

from localcluster.api.info import ApplicationInfo, settings_of
from localcluster.conf import SparkConf
from protocol.errors import ConfigurationError


def conf(**values: str) -> SparkConf:
    return SparkConf(loadDefaults=False).setAll(list(values.items()))


def test_arguments_win_over_the_conf_which_stays_as_it_is() -> None:
    given = conf(**{"spark.master": "local[3]", "spark.app.name": "theirs", "spark.home": "/h"})
    merged = settings_of("local[2]", "ours", None, {"X": "1"}, given)
    assert [merged.get(key) for key in ("spark.master", "spark.app.name", "spark.home")] == ["local[2]", "ours", "/h"]
    assert merged.get("spark.executorEnv.X") == "1"
    assert given.get("spark.app.name") == "theirs"


def test_a_master_may_say_how_much_memory_an_executor_has() -> None:
    assert settings_of("local-cluster[2,1,512]", None, None, None, None).get("spark.executor.memory") == "512m"


def test_settings_must_be_right() -> None:
    with pytest.raises(ConfigurationError, match=r"spark\.executor\.memory"):
        settings_of(None, None, None, None, conf(**{"spark.executor.memory": "much"}))


def test_what_is_not_said_is_added() -> None:
    info = ApplicationInfo.of(conf(**{"spark.master": "local[2]", "spark.executorEnv.X": "1"}))
    assert (info.master, info.name, info.id) == ("local[2]", "localcluster", f"local-{info.started}")
    assert (info.layout.executors, info.layout.cores) == (2, 1)
    assert info.environment["X"] == "1"
    assert set(info.environment) == {"X", "PYTHONHASHSEED"}
    assert info.conf.get("spark.submit.deployMode") == "client"
    assert ApplicationInfo.of(conf(**{"spark.app.name": "named"})).name == "named"
