from __future__ import annotations

import sys
from collections import OrderedDict
from typing import Any

import numpy as np
import pytest

from localcluster.driver.imports_ahead import ImportsAhead
from protocol.cluster_messages import ImportLibrary


def test_the_library_of_a_value_is_told_once() -> None:
    told: list[Any] = []
    imports = ImportsAhead(told.append)
    for value in (np.zeros(1), np.float64(1), [np.zeros(1)], 1, OrderedDict(), np.ones(2)):
        imports.of(value)
    assert told == [ImportLibrary("numpy", np.__file__)]


def test_one_that_the_driver_has_from_nowhere_is_not_told(monkeypatch: pytest.MonkeyPatch) -> None:
    told: list[Any] = []
    monkeypatch.setitem(sys.modules, "numpy", None)  # type: ignore[arg-type]
    ImportsAhead(told.append).of(np.zeros(1))
    assert told == []
