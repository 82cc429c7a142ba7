"""The simulation can fail: it finds each mistake of `mutants` within some seeds."""

from __future__ import annotations

import logging
from collections.abc import Iterator

import pytest

from tests.simulation.mutants import MUTANTS
from tests.simulation.seeds import run_seed

SEEDS = 400  # that a mistake may take to be found


@pytest.fixture(autouse=True)
def silence() -> Iterator[None]:
    logging.disable(logging.CRITICAL)
    yield
    logging.disable(logging.NOTSET)


@pytest.mark.parametrize("mistake", MUTANTS)
def test_a_mistake_is_found(mistake: str, monkeypatch: pytest.MonkeyPatch) -> None:
    owner, name, mutate = MUTANTS[mistake]
    monkeypatch.setattr(owner, name, mutate(owner.__dict__[name]))
    found = next(((seed, error) for seed in range(SEEDS) if (error := run_seed(seed)[1]) is not None), None)
    assert found is not None
    print(*found)
