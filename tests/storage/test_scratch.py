"""Scratch directories: who owns them, what a dead run leaves, and what cleaners may and may not touch."""

from __future__ import annotations

import contextlib
import errno
import os
import stat
import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import pytest

from protocol.errors import ConfigurationError, StorageError
from storage import os_layer, scratch
from storage.scratch import Scratch, remove_unowned, wait_until_unowned
from storage.stale_runs import remove_stale, remove_stale_segments
from tests.support import DEADLINE, fails

CREATE_AND_REPORT = """
import sys
from storage.scratch import Scratch
made = Scratch.create(sys.argv[2:], sys.argv[1])
open(f"/dev/shm/{made.name}-0", "wb").close()
print(made.primary, flush=True)
"""


@pytest.fixture
def parent(tmp_path: Path) -> str:
    path = tmp_path / "tmp"
    path.mkdir()
    return str(path)


@pytest.fixture
def local_dirs(tmp_path: Path) -> list[str]:
    directories = [tmp_path / "disk1", tmp_path / "disk2"]
    for directory in directories:
        directory.mkdir()
    return list(map(str, directories))


def shared_files(name: str) -> list[str]:
    return [entry for entry in os.listdir("/dev/shm") if entry.startswith(name)]


def start_run(parent: str, local_dirs: list[str], then: str) -> tuple[subprocess.Popen[str], str]:
    """A process that owns a scratch space and does `then`; the process and its primary directory."""
    command = [sys.executable, "-c", CREATE_AND_REPORT + then, parent, *local_dirs]
    process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    return process, process.stdout.readline().strip()


def finish(process: subprocess.Popen[str]) -> int:
    process.communicate(timeout=DEADLINE)
    return process.returncode


WAIT_FOR_EOF = "sys.stdin.read()"


# --- creating ------------------------------------------------------------------------------------------------------


def test_without_local_dirs_blocks_lie_in_the_primary_directory(parent: str) -> None:
    made = Scratch.create(parent=parent)
    assert made.primary == os.path.join(parent, made.name)
    assert made.name.startswith(f"localcluster-{os.getuid()}-")
    assert made.directories == [os.path.join(made.primary, "blocks")]
    assert os.path.isdir(made.directories[0])
    made.remove()
    assert os.listdir(parent) == []


def test_each_local_dir_gets_a_private_directory_of_the_same_name(parent: str, local_dirs: list[str]) -> None:
    made = Scratch.create(local_dirs, parent)
    assert made.directories == [os.path.join(root, made.name, "blocks") for root in local_dirs]
    for directory in [made.primary, *(os.path.dirname(blocks) for blocks in made.directories)]:
        assert stat.S_IMODE(os.stat(directory).st_mode) == 0o700
    made.remove()
    assert [os.listdir(root) for root in [parent, *local_dirs]] == [[], [], []]


def test_what_had_to_be_made_for_local_dirs_goes_with_the_run(parent: str, tmp_path: Path) -> None:
    (tmp_path / "there").mkdir()
    local_dirs = [str(tmp_path / "there"), str(tmp_path / "not" / "there" / "yet"), str(tmp_path / "not" / "either")]
    made = Scratch.create(local_dirs, parent)
    assert all(map(os.path.isdir, made.directories))
    made.remove()
    assert sorted(os.listdir(tmp_path)) == ["there", "tmp"]

    process, primary = start_run(parent, local_dirs, "import os; os._exit(1)")
    assert finish(process) == 1
    assert set(remove_stale(parent)) >= {primary, str(tmp_path / "not")}
    assert sorted(os.listdir(tmp_path)) == ["there", "tmp"]


def test_what_another_run_uses_of_it_stays(parent: str, tmp_path: Path) -> None:
    shared = str(tmp_path / "shared" / "disk")
    first, second = Scratch.create([shared], parent), Scratch.create([shared], parent)
    first.remove()
    assert os.path.isdir(second.directories[0])
    second.remove()
    assert os.listdir(shared) == []


def test_a_local_dir_that_goes_with_another_run_at_that_moment_is_made_again(
    parent: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    local_dir = str(tmp_path / "disk")
    other, real = Scratch.create([local_dir], parent), os_layer.make_directories

    def other_ends_then(path: str) -> None:
        real(path)
        monkeypatch.undo()
        other.remove()

    monkeypatch.setattr(os_layer, "make_directories", other_ends_then)
    made = Scratch.create([local_dir], parent)
    assert os.path.isdir(made.directories[0])
    made.remove()
    assert os.listdir(parent) == []


def test_a_local_dir_given_twice_or_equal_to_the_parent_is_used_once(parent: str, tmp_path: Path) -> None:
    link = tmp_path / "link"
    link.symlink_to(parent)
    made = Scratch.create([parent, str(link), parent], parent)
    assert made.directories == [os.path.join(made.primary, "blocks")]
    made.remove()
    assert os.listdir(parent) == []


def test_an_unwritable_local_dir_is_warned_about_and_skipped(
    parent: str, local_dirs: list[str], tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    (tmp_path / "disk1").rmdir()
    (tmp_path / "disk1").write_text("a file where a directory should be")
    made = Scratch.create(local_dirs, parent)
    assert made.directories == [os.path.join(local_dirs[1], made.name, "blocks")]
    assert "disk1" in caplog.text
    assert Scratch.attach(made.primary).directories == made.directories
    made.remove()


def test_no_writable_local_dir_is_an_error_that_names_them_all(
    parent: str, local_dirs: list[str], tmp_path: Path
) -> None:
    for name in ("disk1", "disk2"):
        (tmp_path / name).rmdir()
        (tmp_path / name).write_text("a file where a directory should be")
    with pytest.raises(ConfigurationError, match=r"disk1.*disk2"):
        Scratch.create(local_dirs, parent)
    assert os.listdir(parent) == []


def test_an_unwritable_parent_is_an_error_that_names_it(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match="nowhere"):
        Scratch.create(parent=str(tmp_path / "nowhere"))


@pytest.mark.parametrize("call", ["create", "lock", "make_directory", "write", "rename"])
@pytest.mark.parametrize("nth", [1, 2, 3, 4])
def test_a_creation_that_fails_anywhere_leaves_nothing(
    parent: str, local_dirs: list[str], monkeypatch: pytest.MonkeyPatch, call: str, nth: int
) -> None:
    def refuse(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    fail_from(monkeypatch, call, nth, refuse)
    absent = os.path.join(os.path.dirname(parent), "absent")
    with contextlib.suppress(ConfigurationError):
        Scratch.create([*local_dirs, os.path.join(absent, "disk")], parent).remove()
    monkeypatch.undo()
    assert [os.listdir(root) for root in [parent, *local_dirs]] == [[], [], []]
    assert not os.path.exists(absent)


def fail_from(monkeypatch: pytest.MonkeyPatch, call: str, nth: int, action: Callable[..., None]) -> None:
    """Run `action` instead of the nth and every later call of an os_layer function."""
    real = getattr(os_layer, call)
    calls = [0]

    def counted(*args: object, **kwargs: object) -> object:
        calls[0] += 1
        return action(*args) if calls[0] >= nth else real(*args, **kwargs)

    monkeypatch.setattr(os_layer, call, counted)


# --- owning --------------------------------------------------------------------------------------------------------


def test_attached_processes_see_the_same_directories_and_do_not_own_them(parent: str, local_dirs: list[str]) -> None:
    made = Scratch.create(local_dirs, parent)
    attached = Scratch.attach(made.primary)
    assert (attached.name, attached.directories) == (made.name, made.directories)
    made.disown()
    assert remove_unowned(made.primary) != []
    with pytest.raises(StorageError, match="no scratch directory"):
        Scratch.attach(made.primary)


def test_removing_twice_is_as_good_as_once_and_takes_the_shared_memory_files(parent: str) -> None:
    made = Scratch.create(parent=parent)
    Path(f"/dev/shm/{made.name}-segment").write_bytes(b"bytes")
    made.remove()
    made.remove()
    assert shared_files(made.name) == []


def test_what_cannot_be_removed_is_logged_and_found_by_a_later_cleaning(
    parent: str, local_dirs: list[str], monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = Scratch.create(local_dirs, parent)
    real = os_layer.remove_tree

    def refuse(path: str) -> None:
        if path == made.directories[1]:
            raise OSError(errno.EIO, "Input/output error")
        real(path)

    monkeypatch.setattr(os_layer, "remove_tree", refuse)
    made.remove()
    assert "Input/output error" in caplog.text
    monkeypatch.undo()
    assert made.primary in remove_stale(parent)
    assert [os.listdir(root) for root in [parent, *local_dirs]] == [[], [], []]


def test_a_removal_that_cannot_look_leaves_all_to_a_later_one(
    parent: str, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    made = Scratch.create(parent=parent)
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "names_in", fails(errno.EIO))
        made.remove()
    assert f"cannot remove all of {made.primary}: [Errno 5]" in caplog.text
    assert remove_unowned(made.primary) == [made.primary], "it is owned by nobody"


def test_what_a_directory_was_refused_is_told_and_not_what_its_removal_was(
    parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, "rename", fails(errno.ENOSPC))
        patch.setattr(os_layer, "names_in", fails(errno.EIO))
        with pytest.raises(ConfigurationError, match="No space left on device"):
            Scratch.create(parent=parent)
    assert len(remove_stale(parent)) == 1


def test_the_owner_removes_it_at_exit(parent: str) -> None:
    process, primary = start_run(parent, [], "")
    assert finish(process) == 0
    assert os.listdir(parent) == []
    assert shared_files(os.path.basename(primary)) == []


def test_a_forked_child_that_exits_leaves_it_to_the_owner(parent: str) -> None:
    then = """
import os
if os.fork() == 0:
    sys.exit()
os.wait()
print(os.path.isdir(made.primary), flush=True)
"""
    process, _ = start_run(parent, [], then)
    assert process.communicate(timeout=DEADLINE)[0] == "True\n"
    assert os.listdir(parent) == []


def test_a_killed_run_is_cleaned_with_local_dirs_and_shared_memory(parent: str, local_dirs: list[str]) -> None:
    process, primary = start_run(parent, local_dirs, WAIT_FOR_EOF)
    assert remove_stale(parent) == []  # it lives
    assert os.path.isdir(primary)
    process.kill()
    finish(process)
    removed = remove_stale(parent)
    assert {primary, f"/dev/shm/{os.path.basename(primary)}-0"} < set(removed)
    assert [os.listdir(root) for root in [parent, *local_dirs]] == [[], [], []]
    assert shared_files(os.path.basename(primary)) == []


def test_a_forked_child_keeps_the_run_owned_after_its_creator_was_killed(parent: str) -> None:
    then = """
import os, signal
if os.fork() == 0:
    print("child", flush=True)
    sys.stdin.read()
    os._exit(0)
os.kill(os.getpid(), signal.SIGKILL)
"""
    process, primary = start_run(parent, [], then)
    assert process.stdout is not None
    assert process.stdout.readline() == "child\n"
    process.wait(DEADLINE)
    assert remove_unowned(primary) == []
    process.communicate(timeout=DEADLINE)  # EOF ends the child
    wait_until_unowned(primary)
    assert remove_unowned(primary)[-1] == primary


def test_waiting_ends_when_the_last_owner_dies(parent: str) -> None:
    process, primary = start_run(parent, [], WAIT_FOR_EOF)
    waiter = threading.Thread(target=wait_until_unowned, args=(primary,))
    waiter.start()
    assert waiter.is_alive()
    process.kill()
    waiter.join(DEADLINE)
    assert not waiter.is_alive()
    finish(process)
    remove_unowned(primary)
    wait_until_unowned(primary)  # gone: returns at once


# --- cleaning ------------------------------------------------------------------------------------------------------


def test_a_local_dir_can_be_cleaned_when_the_primary_directory_is_lost(parent: str, local_dirs: list[str]) -> None:
    made = Scratch.create(local_dirs[:1], parent)
    os_layer.remove_tree(made.primary)
    assert remove_stale(local_dirs[0]) == []  # the run lives
    made.disown()
    assert remove_stale(local_dirs[0]) == [os.path.join(local_dirs[0], made.name)]


def test_cleaning_touches_neither_other_names_nor_symlinks_nor_what_they_point_to(parent: str, tmp_path: Path) -> None:
    treasure = tmp_path / "treasure"
    treasure.mkdir()
    (treasure / "lock").write_text("")
    (treasure / "gold").write_text("mine")
    uid = os.getuid()
    for name in (f"localcluster-{uid}-notes", f"localcluster-{uid + 1}-0123456789ab", "other"):
        (Path(parent) / name).mkdir()
        (Path(parent) / name / "lock").write_text("")
    (Path(parent) / f"localcluster-{uid}-0123456789ab").symlink_to(treasure)
    made = Scratch.create(parent=parent)
    (Path(made.directories[0]) / "link").symlink_to(treasure)
    made.disown()
    before = set(os.listdir(parent))
    assert remove_stale(parent) == [made.primary]
    assert before - set(os.listdir(parent)) == {made.name}
    assert (treasure / "gold").read_text() == "mine"


def test_cleaning_leaves_what_another_user_owns(parent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Scratch.create(parent=parent)
    made.disown()
    monkeypatch.setattr(os_layer, "own_status", lambda path: None)
    assert remove_stale(parent) == []
    monkeypatch.undo()
    assert remove_stale(parent) == [made.primary]


@pytest.mark.parametrize("moment", ["create", "lock"])
def test_a_cleaner_that_comes_during_a_creation_hurts_nobody(
    parent: str, local_dirs: list[str], monkeypatch: pytest.MonkeyPatch, moment: str
) -> None:
    """The cleaner runs after mkdir and before the lock file, or between that and the lock, of each directory once."""
    real = getattr(os_layer, moment)
    cleaned: list[str] = []
    busy = [False]

    def cleaner_first(*args: object, **kwargs: object) -> object:
        if not busy[0] and len(cleaned) < 2:
            busy[0] = True
            for root in [parent, *local_dirs]:
                cleaned.extend(remove_stale(root))
            busy[0] = False
        return real(*args, **kwargs)

    monkeypatch.setattr(os_layer, moment, cleaner_first)
    made = Scratch.create(local_dirs, parent)
    monkeypatch.undo()
    assert cleaned
    assert remove_stale(parent) == []
    assert all(map(os.path.isdir, made.directories))
    made.remove()
    assert [os.listdir(root) for root in [parent, *local_dirs]] == [[], [], []]


def test_a_cleaner_that_has_the_lock_costs_a_creation_only_its_name(
    parent: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    real = os_layer.create
    cleaners: list[int] = []

    def lock_at_once(path: str) -> int:
        fd = real(path)
        if path.endswith("lock") and not cleaners:
            cleaners.append(os_layer.open_existing(path))
            assert os_layer.lock(cleaners[0], wait=False)
        return fd

    monkeypatch.setattr(os_layer, "create", lock_at_once)
    made = Scratch.create(parent=parent)
    os.close(cleaners[0])
    assert [path for path in remove_stale(parent) if path != made.primary]  # the lost name; the cleaner would go on
    assert os.listdir(parent) == [made.name]
    made.remove()


def test_two_cleaners_at_once_clean_once(parent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    made = Scratch.create(parent=parent)
    made.disown()
    real = os_layer.lock
    second: list[list[str]] = []

    def other_cleaner_first(fd: int, *, wait: bool) -> bool:
        monkeypatch.setattr(os_layer, "lock", real)
        second.append(remove_stale(parent))  # between our open of the lock file and our lock
        return real(fd, wait=wait)

    monkeypatch.setattr(os_layer, "lock", other_cleaner_first)
    assert remove_stale(parent) == []
    assert second == [[made.primary]]


def test_cleaners_in_many_threads_and_creations_agree(parent: str) -> None:
    stop = threading.Event()
    failures: list[BaseException] = []

    def clean() -> None:
        try:
            while not stop.is_set():
                remove_stale(parent)
        except BaseException as error:
            failures.append(error)

    cleaners = [threading.Thread(target=clean) for _ in range(3)]
    for thread in cleaners:
        thread.start()
    for _ in range(30):
        made = Scratch.create(parent=parent)
        assert os.path.isdir(made.directories[0])
        made.disown()
    stop.set()
    for thread in cleaners:
        thread.join(DEADLINE)
    remove_stale(parent)
    assert failures == []
    assert os.listdir(parent) == []


def test_too_many_lost_names_end_in_an_error_not_in_a_loop(parent: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(scratch, "_claim", lambda directory: None)
    with pytest.raises(StorageError, match="removed"):
        Scratch.create(parent=parent)


def test_segments_of_a_dead_run_whose_directory_is_gone_are_found_by_name(tmp_path: Path) -> None:
    """As after an emptied temporary directory. A run that lives is known by its lock file, which its owner has open."""
    alive = Scratch.create(parent=str(tmp_path))
    dead = Path(scratch.SHARED_MEMORY, f"localcluster-{os.getuid()}-0123456789ab-segment")
    living = Path(scratch.SHARED_MEMORY, f"{alive.name}-segment")
    try:
        dead.write_bytes(b"x")
        living.write_bytes(b"y")
        removed = remove_stale_segments()
        assert str(dead) in removed
        assert str(living) not in removed
        assert living.exists()
    finally:
        dead.unlink(missing_ok=True)
        alive.remove()
    assert not living.exists()
