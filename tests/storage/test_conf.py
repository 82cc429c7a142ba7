"""Storage settings: what is accepted, and that a refusal names the setting."""

from __future__ import annotations

import math
from dataclasses import FrozenInstanceError
from typing import Any

import pytest

from protocol.errors import ConfigurationError
from storage.conf import StorageConf


def test_defaults_are_sparks() -> None:
    conf = StorageConf(max_memory=1000, shared_memory=2000)
    assert (conf.unroll_threshold, conf.unroll_growth, conf.unroll_fraction) == (1 << 20, 1.5, 0.2)
    assert (conf.sub_directories, conf.cleaner_ttl, conf.external_store) == (64, None, None)
    assert dict(conf.external_store_options) == {}


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_memory", -1),
        ("max_memory", 1.5),
        ("max_memory", True),
        ("shared_memory", -1),
        ("unroll_threshold", 0),
        ("unroll_growth", 1.0),
        ("unroll_growth", math.nan),
        ("unroll_growth", math.inf),
        ("unroll_fraction", -0.1),
        ("unroll_fraction", 1.1),
        ("unroll_fraction", math.nan),
        ("sub_directories", 0),
        ("cleaner_ttl", 0),
        ("cleaner_ttl", math.inf),
        ("external_store", ""),
        ("external_store", "JustAClass"),
        ("external_store", "a..B"),
    ],
)
def test_a_refused_setting_can_be_found_with_its_value(setting: str, value: Any) -> None:
    settings: dict[str, Any] = {"max_memory": 1, "shared_memory": 1, setting: value}
    with pytest.raises(ConfigurationError, match=setting) as raised:
        StorageConf(**settings)
    assert repr(value) in str(raised.value)


@pytest.mark.parametrize(
    ("setting", "value"),
    [
        ("max_memory", 0),
        ("unroll_fraction", 0),
        ("unroll_fraction", 1),
        ("sub_directories", 1),
        ("cleaner_ttl", 0.5),
        ("external_store", "package.module.Class"),
    ],
)
def test_limits_are_accepted(setting: str, value: Any) -> None:
    settings: dict[str, Any] = {"max_memory": 1, "shared_memory": 1, setting: value}
    assert getattr(StorageConf(**settings), setting) == value


def test_settings_cannot_be_changed() -> None:
    with pytest.raises(FrozenInstanceError):
        StorageConf(max_memory=1, shared_memory=1).max_memory = 2  # type: ignore[misc]
