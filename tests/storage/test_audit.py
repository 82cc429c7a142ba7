"""A look at whether a block's bytes are there."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from protocol.locations import FileLocation, ShmLocation
from storage import os_layer
from storage.audit import is_whole
from tests.support import fails


def test_a_file_that_is_there_and_long_enough_is_whole_and_one_that_was_cut_or_removed_is_not(tmp_path: Path) -> None:
    file = tmp_path / "segment"
    file.write_bytes(bytes(100))
    for location in (FileLocation(str(file), 40, 60), ShmLocation(str(file), 40, 60)):
        assert is_whole(location)
    assert not is_whole(FileLocation(str(file), 41, 60))
    file.unlink()
    assert not is_whole(ShmLocation(str(file), 0, 1))


def test_a_file_that_cannot_be_looked_at_is_not_whole(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    file = tmp_path / "segment"
    file.write_bytes(bytes(100))
    monkeypatch.setattr(os_layer, "own_status", fails(errno.EIO))
    assert not is_whole(FileLocation(str(file), 0, 100))
