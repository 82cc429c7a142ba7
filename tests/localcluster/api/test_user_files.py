"""Files that go with jobs: what is copied, what is refused, and that a refusal changes nothing."""

from __future__ import annotations

import errno
import os
import tarfile
import threading
import zipfile
from collections.abc import Iterator
from functools import partial
from http.server import SimpleHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest

from localcluster.api.user_files import UserFiles
from protocol.errors import InputPathError, PathError, SparkException
from storage import os_layer
from tests.support import fails


@pytest.fixture
def files(tmp_path: Path) -> UserFiles:
    (tmp_path / "run").mkdir()
    return UserFiles(str(tmp_path / "run" / "userFiles"))


@pytest.fixture
def source(tmp_path: Path) -> Path:
    """``a`` holds "one", ``tree/b/c`` holds "two"."""
    source = tmp_path / "source"
    (source / "tree" / "b").mkdir(parents=True)
    (source / "a").write_text("one")
    (source / "tree" / "b" / "c").write_text("two")
    return source


def zipped(path: Path) -> str:
    with zipfile.ZipFile(path, "w") as packed:
        packed.writestr("k/plain", "1")
        script = zipfile.ZipInfo("k/script")
        script.external_attr = 0o755 << 16
        packed.writestr(script, "2")
    return str(path)


def tarred(path: Path, mode: Any, content: Path) -> str:
    with tarfile.open(path, mode) as packed:
        packed.add(content, arcname="top")
    return str(path)


def holds(files: UserFiles) -> list[str]:
    """All files, and the check that nothing stays in the staging directories beside."""
    assert os.listdir(os.path.dirname(files.directory)) == ["userFiles"]
    found = (os.path.join(parent, name) for parent, _, names in os.walk(files.directory) for name in names)
    return sorted(os.path.relpath(path, files.directory) for path in found)


def read(files: UserFiles, name: str) -> str:
    return Path(files.directory, name).read_text()


def test_a_file_is_copied_as_it_is_when_it_is_added(files: UserFiles, source: Path) -> None:
    path = str(source / "a")
    assert files.add_file(path) == "a"
    (source / "a").write_text("changed")
    assert files.add_file(path) == "a"  # again: no effect
    assert read(files, "a") == "one"
    assert list(files.files) == [f"file:{path}"]
    assert os.access(os.path.join(files.directory, "a"), os.X_OK)  # as in Spark: it may be a script


def test_uris_lead_to_files_and_keys_are_uris(files: UserFiles, source: Path) -> None:
    (source / "x y%20z").write_text("three")
    files.add_file(f"file:{source}/a")
    files.add_file(f"file://{source}/x%20y%2520z")
    assert list(files.files) == [f"file:{source}/a", f"file:{source}/x%20y%2520z"]
    assert holds(files) == ["a", "x y%20z"]


def test_the_same_name_again_must_have_the_same_contents(files: UserFiles, source: Path) -> None:
    files.add_file(str(source / "a"))
    for directory, content in (("same", "one"), ("other", "two")):
        (source / directory).mkdir()
        (source / directory / "a").write_text(content)
    files.add_file(str(source / "same" / "a"))
    with pytest.raises(SparkException, match=r"a exists and does not match contents of file:.*other/a"):
        files.add_file(str(source / "other" / "a"))
    assert list(files.files) == [f"file:{source}/a", f"file:{source}/same/a"]
    assert read(files, "a") == "one"


def test_directories_are_copied_with_all_below_them_when_asked(files: UserFiles, source: Path) -> None:
    os.chmod(source / "tree" / "b", 0o555)
    with pytest.raises(SparkException, match=r"UNSUPPORTED_ADD_FILE\.DIRECTORY") as caught:
        files.add_file(str(source / "tree"))
    assert caught.value.getCondition() == "UNSUPPORTED_ADD_FILE.DIRECTORY"
    for path in (f"{source}/tree", f"{source}/tree/"):
        assert files.add_file(path, recursive=True) == "tree"
    assert list(files.files) == [f"file:{source}/tree/"]
    assert holds(files) == ["tree/b/c"]
    assert os.access(os.path.join(files.directory, "tree", "b"), os.W_OK)  # or it could not be removed
    os.chmod(source / "tree" / "b", 0o755)


def test_what_is_no_url_is_named(files: UserFiles) -> None:
    for add in (files.add_file, files.add_archive):
        with pytest.raises(PathError, match=r"http://\[bad is no URL"):
            add("http://[bad")
    assert holds(files) == []


def test_the_runs_own_directory_is_not_copied_into_itself(files: UserFiles, tmp_path: Path) -> None:
    with pytest.raises(PathError, match="this run's own files are below it"):
        files.add_file(str(tmp_path), recursive=True)
    assert holds(files) == []


def test_a_directory_that_contains_itself_is_refused(files: UserFiles, source: Path) -> None:
    (source / "tree" / "b" / "loop").symlink_to(source / "tree")
    with pytest.raises(PathError, match="a link to a directory that it is in"):
        files.add_file(str(source / "tree"), recursive=True)
    assert (files.files, holds(files)) == ({}, [])


def test_what_cannot_be_read_is_an_error_and_changes_nothing(files: UserFiles, source: Path) -> None:
    os.mkfifo(source / "tree" / "b" / "pipe")
    with pytest.raises(SparkException, match=r"tree/ cannot be copied: .*neither a file nor a directory"):
        files.add_file(str(source / "tree"), recursive=True)
    for path in (str(source / "tree" / "b" / "pipe"), "/dev/zero"):
        with pytest.raises(SparkException, match=rf"{path} cannot be copied: .*neither a file nor a directory"):
            files.add_file(path)
    assert (files.files, holds(files)) == ({}, [])


@pytest.mark.parametrize(
    ("add", "name", "call"),
    [
        (UserFiles.add_file, "a", "temporary_directory"),
        (UserFiles.add_file, "a", "copy_file"),
        (UserFiles.add_file, "a", "rename"),
        (partial(UserFiles.add_file, recursive=True), "tree", "copy_tree"),
        (partial(UserFiles.add_file, recursive=True), "tree", "copy_file"),
        (UserFiles.add_archive, "k.zip", "make_directory"),
        (UserFiles.add_archive, "k.zip", "rename"),
    ],
)
def test_what_the_system_refuses_is_an_error_and_changes_nothing(
    add: Any, name: str, call: str, files: UserFiles, source: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    zipped(source / "k.zip")
    with monkeypatch.context() as patch:
        patch.setattr(os_layer, call, fails(errno.ENOSPC))
        with pytest.raises((OSError, SparkException), match="No space left on device"):
            add(files, str(source / name))
    assert (files.files, files.archives, holds(files)) == ({}, {}, [])
    assert add(files, str(source / name)) == name


@pytest.mark.parametrize("add", [UserFiles.add_file, UserFiles.add_archive])
def test_what_is_not_there_is_an_error_and_changes_nothing(add: Any, files: UserFiles, source: Path) -> None:
    with pytest.raises(InputPathError, match=f"File file:{source}/gone.zip does not exist"):
        add(files, f"{source}/gone.zip")
    with pytest.raises(PathError, match='No FileSystem for scheme "foo"'):
        add(files, "foo://x/y")
    assert (files.files, files.archives, holds(files)) == ({}, {}, [])


def test_a_tar_file_is_also_unpacked_beside_its_copy(files: UserFiles, source: Path) -> None:
    files.add_file(tarred(source / "t.tgz", "w:gz", source / "tree"))
    assert holds(files) == ["t.tgz", "top/b/c"]


@pytest.mark.parametrize("name", ["z.zip", "z.jar"])
def test_zip_archives_become_directories_of_their_name(name: str, files: UserFiles, source: Path) -> None:
    assert files.add_archive(zipped(source / name)) == name
    assert holds(files) == [f"{name}/k/plain", f"{name}/k/script"]
    assert os.access(os.path.join(files.directory, name, "k", "script"), os.X_OK)


@pytest.mark.parametrize(("name", "mode"), [("t.tar", "w"), ("t.tgz", "w:gz"), ("t.tar.gz", "w:gz")])
def test_tar_archives_become_directories_of_their_name(name: str, mode: str, files: UserFiles, source: Path) -> None:
    files.add_archive(tarred(source / name, mode, source / "tree"))
    assert holds(files) == [f"{name}/top/b/c"]


def test_archives_may_have_other_names(files: UserFiles, source: Path) -> None:
    path = zipped(source / "z.zip")
    for alias in ("#one", "#two", ""):
        files.add_archive(path + alias)
    files.add_archive(f"file:{path}#one")  # again: no effect
    assert files.archives == {f"file:{path}#one": "one", f"file:{path}#two": "two", f"file:{path}": "z.zip"}
    assert sorted(os.listdir(files.directory)) == ["one", "two", "z.zip"]


@pytest.mark.parametrize("alias", [".", "..", "../lock", "/tmp", "a/b", "a\0b"])
def test_names_of_archives_lead_to_nothing_else_that_would_be_removed(
    alias: str, files: UserFiles, source: Path
) -> None:
    files.add_file(str(source / "a"))
    with pytest.raises(PathError, match="no name for an archive"):
        files.add_archive(f"{zipped(source / 'z.zip')}#{alias}")
    assert (files.archives, holds(files)) == ({}, ["a"])


def test_another_archive_of_a_name_takes_its_place(files: UserFiles, source: Path) -> None:
    files.add_archive(zipped(source / "z.zip") + "#it")
    files.add_archive(tarred(source / "t.tar", "w", source / "tree") + "#it")
    assert holds(files) == ["it/top/b/c"]


def test_what_is_no_archive_is_copied(files: UserFiles, source: Path) -> None:
    files.add_archive(str(source / "a"))
    files.add_archive(f"{source}/tree#here")
    assert holds(files) == ["a", "here/b/c"]


@pytest.mark.parametrize("name", ["bad.zip", "bad.tgz", "bad.tar", "bad.jar"])
def test_damaged_archives_are_an_error_and_change_nothing(name: str, files: UserFiles, source: Path) -> None:
    (source / name).write_bytes(b"no archive")
    with pytest.raises(SparkException, match=f"{name} cannot be unpacked"):
        files.add_archive(str(source / name))
    assert (files.archives, holds(files)) == ({}, [])


@pytest.mark.parametrize(("offset", "value"), [(8, 1), (10, 77)], ids=["encrypted", "unknown method"])
def test_archives_that_ask_for_more_than_can_be_done_are_an_error(
    offset: int, value: int, files: UserFiles, source: Path
) -> None:
    path = Path(zipped(source / "z.zip"))
    damaged = bytearray(path.read_bytes())
    damaged[damaged.index(b"PK\1\2") + offset] = value  # in the directory of members
    damaged[offset - 2] = value  # in the first member's own header
    path.write_bytes(damaged)
    with pytest.raises(SparkException, match=r"z\.zip cannot be unpacked"):
        files.add_archive(str(path))
    assert (files.archives, holds(files)) == ({}, [])


def test_members_cannot_lead_out_of_the_directory(files: UserFiles, source: Path) -> None:
    with tarfile.open(source / "t.tar", "w") as packed:
        packed.add(source / "a", arcname="../../escaped")
    with pytest.raises(SparkException, match=r"t\.tar cannot be unpacked"):
        files.add_archive(str(source / "t.tar"))
    assert holds(files) == []


@pytest.fixture
def server(source: Path) -> Iterator[str]:
    handler = partial(SilentHandler, directory=str(source))
    with ThreadingHTTPServer(("127.0.0.1", 0), handler) as http:
        thread = threading.Thread(target=http.serve_forever)
        thread.start()
        yield f"http://127.0.0.1:{http.server_port}"
        http.shutdown()
        thread.join()


class SilentHandler(SimpleHTTPRequestHandler):
    def log_message(self, format: str, *args: Any) -> None:
        pass


def test_urls_are_fetched(files: UserFiles, server: str) -> None:
    assert files.add_file(f"{server}/a") == "a"
    assert read(files, "a") == "one"
    assert list(files.files) == [f"{server}/a"]
    with pytest.raises(SparkException, match="gone cannot be fetched: HTTP Error 404"):
        files.add_file(f"{server}/gone")
