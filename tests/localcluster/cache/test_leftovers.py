"""What `localcluster clean` removes of caches, and what it leaves alone."""

from __future__ import annotations

import os
import shutil
import signal
import uuid
from collections.abc import Callable
from pathlib import Path

import pytest

from localcluster import Cache, cli
from localcluster.cache import command, leftovers
from localcluster.cache import home as home_module
from localcluster.cache.home import CacheHome
from localcluster.cache.leftovers import hold, remove_leftovers
from protocol import cache_messages as m
from protocol.errors import CacheError
from storage import os_layer
from tests.support import wait_until


@pytest.fixture
def home(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> CacheHome:
    """Of a cache whose server is dead; in shared memory of its own."""
    (tmp_path / "shm").mkdir()
    monkeypatch.setattr(home_module, "SHARED_MEMORY", str(tmp_path / "shm"))
    home = CacheHome(str(tmp_path / "disk" / "cache"))
    home.make()
    os_layer.close(hold(home))
    Path(home.shared, "entries", "file").write_text("")
    return home


def test_a_cache_whose_directory_is_gone_goes(home: CacheHome) -> None:
    shutil.rmtree(home.directory)
    assert remove_leftovers() == [home.shared]
    assert os_layer.names_in(os.path.dirname(home.shared)) == []
    assert remove_leftovers() == []


def _is_served(home: CacheHome) -> object:
    return hold(home)


def _has_its_directory(home: CacheHome) -> None:
    os.makedirs(home.directory)


def _is_nobody_s(home: CacheHome) -> None:
    os.unlink(home.owner)
    os.utime(home.shared, (0, 0))


def _says_nothing(home: CacheHome) -> None:
    os.truncate(home.owner, 0)


def _is_of_a_directory_that_cannot_be_looked_at(home: CacheHome) -> None:
    Path(home.owner).write_text("/" + "x" * 300)


def _is_no_name_of_ours(home: CacheHome) -> None:
    os.rename(home.shared, home.shared + "-mine")


@pytest.mark.parametrize(
    "spare",
    [
        _is_served,
        _has_its_directory,
        _is_nobody_s,
        _says_nothing,
        _is_of_a_directory_that_cannot_be_looked_at,
        _is_no_name_of_ours,
    ],
)
def test_what_is_left_alone(home: CacheHome, spare: Callable[[CacheHome], object]) -> None:
    shutil.rmtree(home.directory)
    fd = spare(home)
    assert remove_leftovers() == []
    assert len(os_layer.names_in(os.path.dirname(home.shared))) == 1
    if isinstance(fd, int):
        os_layer.close(fd)


def test_an_empty_one_that_nobody_claimed_goes_once_no_server_can_be_starting_there(home: CacheHome) -> None:
    os.unlink(home.owner)
    os.unlink(Path(home.shared, "entries", "file"))
    assert remove_leftovers() == []
    os.utime(home.shared, (0, 0))
    assert remove_leftovers() == [home.shared]
    assert not os.path.exists(home.shared)


@pytest.mark.skipif(os.getuid() != 0, reason="only root can give a directory away")
def test_what_another_user_owns_is_left_alone(home: CacheHome) -> None:
    shutil.rmtree(home.directory)
    os.chown(home.shared, 54321, 54321)
    assert remove_leftovers() == []
    assert os.path.exists(home.owner)


def test_what_a_cleaner_that_was_killed_had_begun_goes(home: CacheHome) -> None:
    gone = f"{home.shared}-gone-{uuid.uuid4().hex}"
    os.mkdir(gone)
    assert remove_leftovers() == [gone]
    assert os.path.exists(home.owner)


def test_a_server_that_starts_while_its_directory_is_removed_says_so(
    home: CacheHome, monkeypatch: pytest.MonkeyPatch
) -> None:
    shutil.rmtree(home.directory)
    rename = os_layer.rename

    def start_and_rename(source: str, target: str) -> None:
        with pytest.raises(CacheError, match="is being removed"):
            hold(home)
        rename(source, target)

    monkeypatch.setattr(leftovers.os_layer, "rename", start_and_rename)
    assert remove_leftovers() == [home.shared]


def test_clean_removes_what_a_killed_server_left_and_no_living_cache(
    directory: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    living = Cache("x", directory=directory)
    living["a"] = 1
    dead = Cache("x", directory=str(tmp_path / "dead"))
    dead["a"] = 1
    pid = dead._client.ask(m.GetCacheStatus()).pid
    dead.close()
    os.kill(pid, signal.SIGKILL)
    wait_until(lambda: not command._lives(pid))
    assert cli.main(["clean"]) == 0
    shared = CacheHome(dead.directory).shared
    assert shared not in capsys.readouterr().out
    shutil.rmtree(dead.directory)
    assert cli.main(["clean"]) == 0
    assert f"removed {shared}\n" in capsys.readouterr().out
    assert not os.path.exists(shared)
    living["b"] = 2
    assert sorted(living) == ["a", "b"]
    living.close()
