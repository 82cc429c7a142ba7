"""The options of ``localcluster run``: spark-submit's, as far as they mean something on one machine, and our own.

Covers which there are and what settings come of them; what the settings do is in ``settings``. Precedence as in Spark:
options win over ``--conf``, which wins over ``--properties-file``; the program's own `SparkConf` wins over them all.
``conf/spark-defaults.conf`` of an installed Spark is not read: it speaks of that Spark's cluster.
"""

from __future__ import annotations

import argparse
import os
from typing import Any, NoReturn

from localcluster.conf.properties_file import read_properties
from localcluster.conf.system_properties import SETTINGS
from protocol.errors import ConfigurationError

_SETTINGS = {  # option and its other names: (configuration key, metavar, help)
    ("--master",): ("spark.master", "MASTER", "local, local[N], local[N,F], local[*], local-cluster[N,C,M]"),
    ("--name",): ("spark.app.name", "NAME", "name of the application (default: the job's file name)"),
    ("--executors", "--num-executors"): (
        "spark.executor.instances", "N", "number of executor processes (default: one per core)"
    ),
    ("--cores", "--executor-cores"): ("spark.executor.cores", "N", "tasks that an executor runs at once (default: 1)"),
    ("--total-executor-cores",): ("spark.cores.max", "N", "cores of all executors together"),
    ("--executor-memory",): ("spark.executor.memory", "SIZE", "memory of an executor, such as 1g (default: 1g)"),
    ("--driver-memory",): ("spark.driver.memory", "SIZE", "memory of the driver, such as 1g (default: 1g)"),
    ("--shared-memory",): (
        "localcluster.sharedMemory", "SIZE", "shared memory for all (default: half of what is free)"
    ),
    ("--local-dirs",): ("spark.local.dir", "A,B", "directories for blocks on disk (default: the temporary directory)"),
    ("--py-files",): ("spark.submit.pyFiles", "A,B", ".py, .zip or .egg files for the import path"),
    ("--files",): ("spark.files", "A,B", "files that tasks find with SparkFiles.get"),
    ("--archives",): ("spark.archives", "A,B", "archives that are unpacked for tasks"),
    ("--log-level",): ("localcluster.log.level", "LEVEL", "TRACE, DEBUG, INFO, WARNING, ERROR; also for tasks"),
}  # fmt: skip

_NO_JVM = "there is no JVM"
_NO_EFFECT = {  # option of spark-submit that asks for nothing which would be missed: why it has no effect
    "--queue": "there is no cluster manager",
    "--driver-cores": "the driver is a process of its own",
    "--driver-java-options": _NO_JVM,
    "--driver-class-path": _NO_JVM,
    "--driver-library-path": _NO_JVM,
    "--jars": _NO_JVM,
    "--packages": _NO_JVM,
    "--exclude-packages": _NO_JVM,
    "--repositories": _NO_JVM,
    "--principal": "there is nobody to log in to",
    "--keytab": "there is nobody to log in to",
}

_REFUSED = {  # option of spark-submit: the way out
    "--class": "a job is a Python script; name it without --class",
    "--remote": "there is no Spark Connect server; leave it out",
    "--proxy-user": "a job runs as the user who starts it; leave it out, or start it as that user",
    "--supervise": "nothing restarts a driver; run it from a service manager that does",
    "--kill": "send the run a signal, such as Ctrl-C",
    "--status": "look for the process of the run",
    "--load-spark-defaults": "name the file with --properties-file",
}


def add_options(run: argparse.ArgumentParser) -> None:
    for names, (key, metavar, text) in _SETTINGS.items():
        run.add_argument(*names, dest=key, metavar=metavar, help=text)
    run.add_argument("--conf", "-c", action="append", default=[], metavar="KEY=VALUE", help="a setting; repeatable")
    run.add_argument("--properties-file", metavar="FILE", help="more settings, which all others win over")
    run.add_argument("--progress", action=argparse.BooleanOptionalAction, help="progress bars (default: on a terminal)")
    run.add_argument("--verbose", "-v", action="store_true", help="print the settings before the job starts")
    run.add_argument("--deploy-mode", type=_client_mode, metavar="client", help=argparse.SUPPRESS)
    for option in _NO_EFFECT:
        run.add_argument(option, dest=option, help=argparse.SUPPRESS)
    for option in _REFUSED:
        run.add_argument(option, nargs="?", action=_Refuse, help=argparse.SUPPRESS)


def _client_mode(mode: str) -> str:
    if mode != "client":
        raise argparse.ArgumentTypeError(
            f"{mode!r} has no meaning here: the driver runs where you start it; leave it out"
        )
    return mode


class _Refuse(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, namespace: Any, values: Any, option: Any = None) -> NoReturn:
        parser.error(f"{option} has no meaning here: {_REFUSED[option]}")


def settings_of(arguments: argparse.Namespace, job: str) -> dict[str, str]:
    """The settings that the options, ``--conf`` and the properties file make together, for the job of that name.

    Raises ConfigurationError.
    """
    conf = read_properties(arguments.properties_file) if arguments.properties_file else {}
    for pair in arguments.conf:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise ConfigurationError(f"--conf takes KEY=VALUE, not {pair!r}")
        conf[key] = value
    for key, _, _ in _SETTINGS.values():
        value = getattr(arguments, key)
        if value is not None:
            conf[key] = value
    if arguments.progress is not None:
        conf["spark.ui.showConsoleProgress"] = str(arguments.progress).lower()
    conf.setdefault("spark.app.name", os.path.basename(job))
    if arguments.pyspark:
        conf.setdefault("spark.master", "local[*]")  # spark-submit's default; it tries a task once
    return conf


def warnings_for(arguments: argparse.Namespace, conf: dict[str, str]) -> list[str]:
    """What was given and has no effect."""
    options = [f"{option} has no effect: {why}" for option, why in _NO_EFFECT.items() if getattr(arguments, option)]
    return options + [f"{key} is no setting and is ignored" for key in conf if not key.startswith(SETTINGS)]
