"""Which file a block lives in."""

from __future__ import annotations

import errno
import os
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from storage import os_layer
from storage.block_id import BlockId, RDDBlockId, ShuffleDataBlockId, TempLocalBlockId, TempShuffleBlockId
from storage.disk_block_manager import SUB_DIRECTORIES, DiskBlockManager, configured_local_dirs


@pytest.fixture
def roots(tmp_path: Path) -> list[str]:
    paths = [tmp_path / "disk0", tmp_path / "disk1"]
    for path in paths:
        path.mkdir()
    return [str(path) for path in paths]


@pytest.fixture
def manager(roots: list[str]) -> DiskBlockManager:
    return DiskBlockManager(roots, "3")


def write(path: str) -> None:
    Path(path).write_bytes(b"0123456789")


def test_a_block_s_file_bears_its_name(manager: DiskBlockManager) -> None:
    block_ids = {RDDBlockId(1, split) for split in range(100)} | {ShuffleDataBlockId(0, 1, 0)}
    paths = {manager.get_file(block_id) for block_id in block_ids}
    assert {os.path.basename(path) for path in paths} == {block_id.name for block_id in block_ids}
    assert all(os.path.isdir(os.path.dirname(path)) for path in paths)


def test_temporary_blocks_have_names_of_their_own(manager: DiskBlockManager) -> None:
    made = [manager.create_temp_local_block() for _ in range(3)] + [manager.create_temp_shuffle_block()]
    assert [type(block_id) for block_id, _ in made] == [TempLocalBlockId] * 3 + [TempShuffleBlockId]
    assert len({path for _, path in made}) == 4
    assert all(path == manager.get_file(block_id) for block_id, path in made)


def test_blocks_spread_over_all_roots_and_sub_directories(manager: DiskBlockManager, roots: list[str]) -> None:
    for split in range(4000):
        manager.get_file(RDDBlockId(0, split))
    assert [len(os.listdir(os.path.join(root, "3"))) for root in roots] == [SUB_DIRECTORIES] * 2


def test_every_process_finds_the_same_file_whatever_its_hash_seed(manager: DiskBlockManager, roots: list[str]) -> None:
    script = (
        "import sys; from storage.block_id import BlockId; from storage.disk_block_manager import DiskBlockManager;"
        "m = DiskBlockManager(sys.argv[1:], '3'); print(m.get_file(BlockId.parse('broadcast_7_piece0')))"
    )
    paths = {
        subprocess.run(
            [sys.executable, "-c", script, *roots],
            env={**os.environ, "PYTHONHASHSEED": seed},
            capture_output=True,
            text=True,
            check=True,
            timeout=30,
        ).stdout.strip()
        for seed in ("1", "2")
    }
    assert paths == {manager.get_file(BlockId.parse("broadcast_7_piece0"))}


@given(st.integers(0, 2**63 - 1), st.integers(0, 2**63 - 1))
def test_two_processes_never_share_a_file(tmp_path_factory: pytest.TempPathFactory, rdd: int, split: int) -> None:
    root = str(tmp_path_factory.getbasetemp())
    block_id = RDDBlockId(rdd, split)
    assert DiskBlockManager([root], "1").get_file(block_id) != DiskBlockManager([root], "2").get_file(block_id)


def test_two_managers_may_make_the_same_directory(roots: list[str]) -> None:
    block_id = RDDBlockId(1, 2)
    assert DiskBlockManager(roots, "3").get_file(block_id) == DiskBlockManager(roots, "3").get_file(block_id)


def test_a_directory_that_cannot_be_made_is_tried_again(
    manager: DiskBlockManager, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(path: str) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(os_layer, "make_directory", full)
    with pytest.raises(OSError, match="No space"):
        manager.get_file(RDDBlockId(1, 2))
    monkeypatch.undo()
    write(manager.get_file(RDDBlockId(1, 2)))


@pytest.mark.parametrize(
    ("ours", "sparks", "used"),
    [
        (None, None, ["/configured"]),
        ("", " , ", ["/configured"]),
        ("/a, /b", None, ["/a", "/b"]),
        (None, "/a, /b", ["/a", "/b"]),
        ("/a, /b", "/c", ["/a", "/b"]),
        (",", "/c", ["/c"]),
        ("/configured", None, ["/configured"]),
    ],
)
def test_the_environment_wins_over_the_configuration(
    monkeypatch: pytest.MonkeyPatch,
    caplog: pytest.LogCaptureFixture,
    ours: str | None,
    sparks: str | None,
    used: list[str],
) -> None:
    for variable, text in (("LOCALCLUSTER_LOCAL_DIRS", ours), ("SPARK_LOCAL_DIRS", sparks)):
        monkeypatch.delenv(variable, raising=False)
        if text is not None:
            monkeypatch.setenv(variable, text)
    assert configured_local_dirs(("/configured",)) == used
    assert ("wins over spark.local.dir" in caplog.text) is (used != ["/configured"])
    caplog.clear()
    configured_local_dirs(())
    assert not caplog.records
