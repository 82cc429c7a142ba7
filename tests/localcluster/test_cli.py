"""Usage of the command line: what ends with which exit code before any cluster starts."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
from pathlib import Path

import pytest

import localcluster
from localcluster import cli
from localcluster.version import __version__
from storage.scratch import Scratch


@pytest.fixture(autouse=True)
def nothing_starts(monkeypatch: pytest.MonkeyPatch) -> None:
    def too_far() -> None:
        raise AssertionError("the usage was accepted")

    monkeypatch.setattr(cli, "fix_hash_seed", too_far)


@pytest.fixture
def job(tmp_path: Path) -> Path:
    path = tmp_path / "job.py"
    path.write_text("raise AssertionError('the job ran')")
    return path


def error_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    assert cli.main(argv) == 2
    out, err = capsys.readouterr()
    assert out == ""
    assert err.count("\n") == 1, "one line, no traceback"
    return err


def test_the_version_is_printed(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(["--version"])
    assert end.value.code == 0
    assert capsys.readouterr().out == f"localcluster {__version__}\n"


def usage_error_of(capsys: pytest.CaptureFixture[str], *argv: str) -> str:
    with pytest.raises(SystemExit) as end:
        cli.main(argv)
    assert end.value.code == 2
    usage, error = capsys.readouterr().err.splitlines()
    assert usage.startswith(f"usage: localcluster {argv[0]} ")
    return error


@pytest.mark.parametrize(
    ("argv", "said"),
    [
        (["run", "--executor", "2", "job.py"], "there is no option --executor; did you mean --executors?"),
        (
            ["run", "--excutor-memory=1g", "job.py"],
            "there is no option --excutor-memory; did you mean --executor-memory?",
        ),
        (["run", "--frobnicate", "job.py"], "there is no option --frobnicate"),
        (["run", "-x", "job.py"], "there is no option -x"),
        (["run", "--exec", "3"], "there is no option --exec; did you mean --executors?"),
        (["clean", "--local-disks", "a"], "there is no option --local-disks; did you mean --local-dirs?"),
        (["clean", "everything"], "what is everything to mean?"),
        (["run"], "what is to run? Name a script, or a module after -m"),
        (["run", "--executors", "2"], "what is to run? Name a script, or a module after -m"),
        (["run", "-m"], "what is to run? Name a script, or a module after -m"),
    ],
)
def test_what_is_not_understood_is_said_with_the_usage_of_the_command(
    argv: list[str], said: str, capsys: pytest.CaptureFixture[str]
) -> None:
    assert usage_error_of(capsys, *argv) == f"localcluster {argv[0]}: error: {said}"


@pytest.mark.parametrize("argv", [[], ["walk"], ["run", "--executors"]])
def test_what_cannot_be_parsed_ends_with_2(argv: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as end:
        cli.main(argv)
    assert end.value.code == 2
    assert "usage:" in capsys.readouterr().err


def test_a_job_that_is_missing_is_named(capsys: pytest.CaptureFixture[str], tmp_path: Path) -> None:
    missing = str(tmp_path / "missing.py")
    assert missing in error_of(capsys, "run", missing)
    assert str(tmp_path) in error_of(capsys, "run", str(tmp_path))


@pytest.mark.parametrize("pair", ["key", "=value", ""])
def test_a_setting_is_key_equals_value(pair: str, job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert f"KEY=VALUE, not {pair!r}" in error_of(capsys, "run", "--conf", pair, str(job))


@pytest.mark.parametrize(
    ("option", "value", "key"),
    [
        ("--executors", "0", "spark.executor.instances"),
        ("--cores", "many", "spark.executor.cores"),
        ("--executor-memory", "1x", "spark.executor.memory"),
        ("--executor-memory", "1", "spark.executor.memory"),
        ("--driver-memory", "100k", "spark.driver.memory"),
        ("--shared-memory", "-1", "localcluster.sharedMemory"),
        ("--shared-memory", "1", "localcluster.sharedMemory"),
        ("--master", "yarn", "spark.master"),
        ("--log-level", "LOUD", "localcluster.log.level"),
        ("--conf", "spark.shuffle.manager=bubble", "spark.shuffle.manager"),
    ],
)
def test_a_bad_value_names_its_key(
    option: str, value: str, key: str, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    message = error_of(capsys, "run", f"{option}={value}", str(job))
    assert key in message
    assert repr(value.partition("=")[2] or value) in message


@pytest.mark.parametrize("name", ["storage.py", "protocol.py", "localcluster.py", "storage/__init__.py"])
def test_a_file_beside_the_job_that_hides_a_package_is_named_with_the_way_out(
    name: str, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    hiding = job.parent / name
    hiding.parent.mkdir(exist_ok=True)
    hiding.touch()
    message = error_of(capsys, "run", str(job))
    assert str(hiding) in message
    assert "rename it" in message


def test_a_directory_of_that_name_without_code_hides_nothing(job: Path) -> None:
    (job.parent / "storage").mkdir()
    with pytest.raises(AssertionError, match="was accepted"):
        cli.main(["run", str(job)])


def test_a_py_file_that_is_missing_is_named(job: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert "missing.zip does not exist" in error_of(capsys, "run", "--py-files", "missing.zip", str(job))


@pytest.mark.parametrize(
    ("option", "value", "said"),
    [
        ("--files", "nope", "file nope does not exist"),
        ("--files", "cli.py,file:/nope", "file cli.py does not exist"),
        ("--archives", "nope.zip#name", "archive nope.zip does not exist"),
        ("--conf", "spark.files=nope", "file nope does not exist"),
        ("--files", "hdfs://host/x", "file hdfs://host/x: No FileSystem for scheme"),
    ],
)
def test_so_is_a_file_or_an_archive(
    option: str, value: str, said: str, job: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    assert said in error_of(capsys, "run", option, value, str(job))


def test_files_that_are_there_or_on_another_machine_are_accepted(job: Path) -> None:
    with pytest.raises(AssertionError, match="was accepted"):
        cli.main(["run", "--files", f"{job},http://localhost:1/x", "--archives", f"{job}#name", str(job)])


def test_what_follows_a_module_is_the_modules_own() -> None:
    arguments = cli.parser().parse_args(["run", "--executors", "2", "-m", "package.job", "--executors", "-m", "-h"])
    assert cli._program(arguments) == ("package.job", True, ("--executors", "-m", "-h"))
    arguments = cli.parser().parse_args(["run", "-mpackage.job", "1", "-x"])
    assert cli._program(arguments) == ("package.job", True, ("1", "-x"))


def test_the_package_lists_its_names_and_nothing_else() -> None:
    assert dir(localcluster) == sorted(localcluster.__all__)
    assert [name for name in dir(localcluster) if not hasattr(localcluster, name)] == []


def test_the_documentation_is_there(capsys: pytest.CaptureFixture[str]) -> None:
    assert cli.main(["docs"]) == 0
    assert "  configuration        Configuration\n" in capsys.readouterr().out
    assert cli.main(["docs", "configuration"]) == 0
    assert "`spark.executor.memory`" in capsys.readouterr().out
    assert "no page nowhere" in error_of(capsys, "docs", "nowhere")


def test_the_documentation_may_be_read_in_part() -> None:
    """As by `head`."""
    reader, writer = os.pipe()
    os.close(reader)
    with os.fdopen(writer, "wb") as pipe:
        ended = subprocess.run([sys.executable, "-m", "localcluster", "docs"], stdout=pipe, stderr=subprocess.PIPE)
    assert (ended.returncode, ended.stderr) == (0, b"")


def test_cleaning_says_when_there_is_nothing_to_remove(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    assert cli.main(["clean", "--local-dirs", str(tmp_path)]) == 0
    assert capsys.readouterr().out == "nothing to remove\n"


@pytest.mark.parametrize("variable", ["LOCALCLUSTER_LOCAL_DIRS", "SPARK_LOCAL_DIRS"])
def test_cleaning_looks_into_the_local_directories_of_the_environment(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], variable: str
) -> None:
    (tmp_path / "temporary").mkdir()
    scratch = Scratch.create([str(tmp_path / "local")], str(tmp_path / "temporary"))
    scratch.disown()
    left = tmp_path / "local" / scratch.name
    assert left.exists()
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    monkeypatch.setenv(variable, str(tmp_path / "local"))
    assert cli.main(["clean"]) == 0
    assert capsys.readouterr().out == f"removed {left}\n"
    assert not left.exists()
