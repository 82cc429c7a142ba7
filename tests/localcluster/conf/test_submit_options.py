"""The options of ``run`` and the settings that come of them."""

from __future__ import annotations

from pathlib import Path

import pytest

from localcluster import cli
from localcluster.conf.master_url import Layout, layout
from localcluster.conf.submit_options import settings_of, warnings_for


def settings_from(line: str) -> dict[str, str]:
    return settings_of(cli.parser().parse_args(["run", *line.split()]), "here/job.py")


@pytest.mark.parametrize(
    ("options", "key", "value"),
    [
        ("--master local[3]", "spark.master", "local[3]"),
        ("--name demo", "spark.app.name", "demo"),
        ("--num-executors 3", "spark.executor.instances", "3"),
        ("--executors 3", "spark.executor.instances", "3"),
        ("--executor-cores 2", "spark.executor.cores", "2"),
        ("--cores 2", "spark.executor.cores", "2"),
        ("--total-executor-cores 6", "spark.cores.max", "6"),
        ("--executor-memory 2G", "spark.executor.memory", "2G"),
        ("--driver-memory 3g", "spark.driver.memory", "3g"),
        ("--shared-memory 64m", "localcluster.sharedMemory", "64m"),
        ("--local-dirs /a,/b", "spark.local.dir", "/a,/b"),
        ("--py-files a.py,b.zip", "spark.submit.pyFiles", "a.py,b.zip"),
        ("--files a.txt", "spark.files", "a.txt"),
        ("--archives a.zip#b", "spark.archives", "a.zip#b"),
        ("--conf spark.x=a=b", "spark.x", "a=b"),
        ("-c spark.x=", "spark.x", ""),
        ("--conf=spark.x=1", "spark.x", "1"),
        ("--no-progress", "spark.ui.showConsoleProgress", "false"),
        ("--log-level TRACE", "localcluster.log.level", "TRACE"),
    ],
)
def test_an_option_sets_its_key(options: str, key: str, value: str) -> None:
    assert settings_from(f"{options} job.py")[key] == value


def test_the_application_is_called_by_the_file_of_the_job_unless_it_has_a_name() -> None:
    assert settings_from("/some/where/job.py") == {"spark.app.name": "job.py"}
    assert settings_from("-c spark.app.name=mine job.py")["spark.app.name"] == "mine"


def test_options_win_over_conf_and_conf_over_the_properties_file(tmp_path: Path) -> None:
    file = tmp_path / "spark.conf"
    file.write_text("spark.master local[1]\nspark.app.name file\nspark.only file\n")
    conf = settings_from(
        f"--properties-file {file} --conf spark.app.name=conf -c spark.master=local[2] --name x job.py"
    )
    assert conf == {"spark.master": "local[2]", "spark.app.name": "x", "spark.only": "file"}


def test_what_follows_the_job_is_the_jobs_own() -> None:
    arguments = cli.parser().parse_args(["run", "--executors", "2", "job.py", "--executors", "9", "--conf", "x", "-h"])
    assert settings_of(arguments, "job.py")["spark.executor.instances"] == "2"
    assert arguments.args == ["--executors", "9", "--conf", "x", "-h"]


def test_options_are_not_abbreviated(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit):
        settings_from("--exec 3 job.py")
    assert "--exec" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("option", "way_out"),
    [
        ("--class org.example.Job", "without --class"),
        ("--remote sc://host", "leave it out"),
        ("--proxy-user eve", "start it as that user"),
        ("--supervise", "service manager"),
        ("--kill 7", "Ctrl-C"),
        ("--status 7", "process"),
        ("--load-spark-defaults", "--properties-file"),
        ("--deploy-mode cluster", "has no meaning here: the driver runs where you start it"),
    ],
)
def test_an_option_that_cannot_be_followed_ends_with_the_way_out(
    option: str, way_out: str, capsys: pytest.CaptureFixture[str]
) -> None:
    with pytest.raises(SystemExit) as end:
        settings_from(f"{option} job.py")
    assert end.value.code == 2
    error = capsys.readouterr().err
    assert option.split()[0] in error
    assert way_out in error


def test_options_and_keys_without_effect_are_warned_of() -> None:
    line = "run --deploy-mode client --queue q --jars a.jar --conf my.key=1 --conf spark.x=1 job.py"
    arguments = cli.parser().parse_args(line.split())
    warnings = warnings_for(arguments, settings_of(arguments, "job.py"))
    assert [warning.split()[0] for warning in warnings] == ["--queue", "--jars", "my.key"]


def test_numbers_of_executors_and_cores_together_make_the_cluster() -> None:
    assert layout(settings_from("--num-executors 3 --executor-cores 2 job.py")) == Layout(3, 2, 4)
    assert layout(settings_from("--master local[8] --total-executor-cores 4 job.py")) == Layout(4, 1, 1)
    assert layout(settings_from("--master local-cluster[8,2,99] --total-executor-cores 5 job.py")) == Layout(2, 2, 4)


def test_only_a_pyspark_script_has_spark_submits_default_master() -> None:
    assert settings_from("--pyspark job.py")["spark.master"] == "local[*]"
    assert settings_from("--pyspark --master local[3] job.py")["spark.master"] == "local[3]"
    assert "spark.master" not in settings_from("job.py")
