"""The examples in the docstrings are true."""

from __future__ import annotations

import doctest
import importlib
import pkgutil

import pytest

import localcluster.rdd
from tests.localcluster.rdd.local_context import LocalContext

MODULES = [f"localcluster.rdd.{module.name}" for module in pkgutil.iter_modules(localcluster.rdd.__path__)]


@pytest.mark.parametrize("name", MODULES)
def test_examples(name: str) -> None:
    module = importlib.import_module(name)
    results = doctest.testmod(module, extraglobs={"sc": LocalContext()}, report=True)
    assert results.failed == 0
