"""How many threads libraries are told to start in executors."""

from __future__ import annotations

import os

import pytest

from localcluster.executor.library_threads import limit_library_threads


@pytest.mark.parametrize(
    ("set_before", "expected"),
    [
        ({}, {"OMP_NUM_THREADS": "2", "VECLIB_MAXIMUM_THREADS": "2"}),
        ({"OMP_NUM_THREADS": "8,2"}, {"OMP_NUM_THREADS": "8,2", "VECLIB_MAXIMUM_THREADS": "8"}),
        ({"VECLIB_MAXIMUM_THREADS": "3"}, {"OMP_NUM_THREADS": "2", "VECLIB_MAXIMUM_THREADS": "3"}),
        (
            {"OPENBLAS_NUM_THREADS": "4"},
            {"OMP_NUM_THREADS": "2", "VECLIB_MAXIMUM_THREADS": "2", "OPENBLAS_NUM_THREADS": "4"},
        ),
    ],
)
def test_the_users_own_settings_win(
    monkeypatch: pytest.MonkeyPatch, set_before: dict[str, str], expected: dict[str, str]
) -> None:
    monkeypatch.setattr(os, "environ", dict(set_before))
    limit_library_threads(2)
    assert os.environ == expected
