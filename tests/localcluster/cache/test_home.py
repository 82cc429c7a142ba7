"""Where a cache lies, and whose that must be."""

from __future__ import annotations

import os
import pickle
import stat
from pathlib import Path

import pytest

from localcluster.base import os_layer as processes
from localcluster.cache.home import DIRECTORY_VARIABLE, CacheHome, Tier, file_identity, require_own, usual_directory
from protocol.errors import CacheError
from storage import os_layer
from storage.block_id import CacheBlockId


@pytest.fixture
def home(tmp_path: Path) -> CacheHome:
    home = CacheHome(str(tmp_path / "above" / "cache"))
    yield home  # type: ignore[misc]
    os_layer.remove_what_can_be(home.shared)


def test_all_directories_are_made_and_are_the_user_s_alone(home: CacheHome) -> None:
    home.make()
    home.make()
    home.require_own()
    for tier in Tier:
        for path in (home.root(tier), home.entries(tier), home.aside(tier)):
            status = os.stat(path)
            assert stat.S_IMODE(status.st_mode) == 0o700
            assert status.st_uid == os.getuid()


def test_nothing_is_made_by_looking(home: CacheHome) -> None:
    home.require_own()
    assert not os.path.exists(home.shared)
    assert not os.path.exists(os.path.dirname(home.directory))


def test_paths_lead_to_their_tiers(home: CacheHome) -> None:
    block_id = CacheBlockId("features", "0" * 32)
    for tier in Tier:
        assert home.tier_of(home.path(tier, block_id)) is tier
        assert home.path(tier, block_id) == os.path.join(home.entries(tier), "features", "0" * 32)
        assert home.tier_of(home.aside(tier)) is tier


@pytest.mark.parametrize("mode", [0o701, 0o750, 0o770, 0o777])
@pytest.mark.parametrize("tier", Tier)
def test_a_directory_that_others_may_use_is_refused(home: CacheHome, tier: Tier, mode: int) -> None:
    home.make()
    os.chmod(home.root(tier), mode)
    for call in (home.require_own, home.make):
        with pytest.raises(CacheError, match=f"mode {mode:o}"):
            call()


@pytest.mark.parametrize("tier", Tier)
@pytest.mark.parametrize("kind", ["file", "symlink", "dangling"])
def test_what_is_no_directory_of_ours_is_refused(home: CacheHome, tmp_path: Path, tier: Tier, kind: str) -> None:
    (tmp_path / "elsewhere").mkdir(mode=0o700)
    os.makedirs(os.path.dirname(home.directory))
    if kind == "file":
        Path(home.root(tier)).write_text("")
    else:
        os.symlink(tmp_path / ("elsewhere" if kind == "symlink" else "nowhere"), home.root(tier))
    try:
        for call in (home.require_own, home.make):
            with pytest.raises(CacheError, match="is to be a directory"):
                call()
    finally:
        os.unlink(home.root(tier))


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
@pytest.mark.parametrize("tier", Tier)
def test_another_user_s_directory_is_refused(home: CacheHome, tier: Tier) -> None:
    home.make()
    os.chown(home.root(tier), 54321, 54321)
    for call in (home.require_own, home.make):
        with pytest.raises(CacheError, match="belongs to user 54321"):
            call()


def test_a_directory_that_cannot_be_made_names_the_way_out(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("")
    home = CacheHome(str(tmp_path / "file" / "cache"))
    with pytest.raises(CacheError, match=DIRECTORY_VARIABLE):
        home.make()
    assert not os.path.exists(home.shared)


def test_a_namespace_s_directory_is_made_again_when_somebody_removed_it(home: CacheHome) -> None:
    home.make()
    path = os.path.join(home.entries(Tier.DISK), "features")
    for _ in range(2):
        home.make_namespace(Tier.DISK, "features")
        home.make_namespace(Tier.DISK, "features")
        os.rmdir(path)


def test_the_same_directory_by_another_name_is_the_same_cache(tmp_path: Path) -> None:
    (tmp_path / "real").mkdir()
    (tmp_path / "link").symlink_to(tmp_path / "real")
    a, b = CacheHome(str(tmp_path / "real" / "c")), CacheHome(str(tmp_path / "link" / ".." / "real" / "c"))
    assert a == b == CacheHome(str(tmp_path / "link" / "c"))
    assert a.shared == b.shared
    assert hash(a) == hash(b)
    assert a != CacheHome(str(tmp_path / "real"))
    assert pickle.loads(pickle.dumps(a)) == a


def test_the_usual_directory(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv(DIRECTORY_VARIABLE, raising=False)
    monkeypatch.delenv("XDG_CACHE_HOME", raising=False)
    monkeypatch.setenv("HOME", "/home/somebody")
    assert usual_directory() == "/home/somebody/.cache/localcluster/cache"
    monkeypatch.setenv("XDG_CACHE_HOME", "/elsewhere")
    assert usual_directory() == "/elsewhere/localcluster/cache"
    monkeypatch.setenv(DIRECTORY_VARIABLE, "/named")
    assert CacheHome().directory == "/named"
    monkeypatch.setenv(DIRECTORY_VARIABLE, "")
    assert usual_directory() == "/elsewhere/localcluster/cache"


def test_a_socket_can_be_reached_however_long_the_directory_s_path_is(tmp_path: Path) -> None:
    directory = tmp_path.joinpath(*["d" * 50] * 8)
    home = CacheHome(str(directory))
    home.make()
    try:
        listening = processes.listen_at(home.socket)
        processes.connect_to(home.socket, 5).close()
        listening.close()
    finally:
        os_layer.remove_what_can_be(home.shared)


def test_marks_change_with_whatever_is_taken_away(home: CacheHome) -> None:
    home.make()
    os_layer.close(os_layer.create(home.lock))
    os_layer.close(os_layer.create(home.socket))
    marks = home.marks()
    assert home.marks() == marks
    for path in (home.lock, home.socket):
        os.unlink(path)
        os_layer.close(os_layer.create(path + "2"))  # so that a file system cannot give the number again
        os_layer.close(os_layer.create(path))
        assert home.marks() != marks
        marks = home.marks()
    os_layer.remove_tree(home.aside(Tier.DISK))
    assert home.marks() != marks


def test_a_file_s_identity(tmp_path: Path) -> None:
    path = tmp_path / "file"
    assert file_identity(str(path)) is None
    path.write_text("")
    with path.open() as file:
        assert file_identity(str(path)) == file_identity(file.fileno()) is not None


def test_require_own_of_what_is_not_there_is_the_system_s_error(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        require_own(str(tmp_path / "none"))
