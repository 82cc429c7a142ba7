"""The command line: ``localcluster run``, ``localcluster clean``, ``--version``.

Covers arguments, exit codes and running the job script as ``__main__``. Exit codes: the job's own; 2 for usage; 130 for
Ctrl-C; 128 + n when signal n ended the job.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
import traceback
from collections.abc import Sequence
from types import ModuleType

from localcluster import interrupts, settings
from localcluster.hash_seed import fix_hash_seed
from localcluster.master_url import layout
from localcluster.py_files import make_importable, search_paths
from localcluster.version import __version__
from protocol.errors import ConfigurationError

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # where the three packages lie
USAGE_ERROR = 2
INTERRUPTED = 130

_OPTIONS = {  # option: (configuration key, metavar, help)
    "--executors": ("spark.executor.instances", "N", "number of executor processes (default: one per core)"),
    "--cores": ("spark.executor.cores", "N", "tasks that an executor runs at once (default: 1)"),
    "--executor-memory": ("spark.executor.memory", "SIZE", "memory of an executor, such as 1g (default: 1g)"),
    "--shared-memory": ("localcluster.sharedMemory", "SIZE", "shared memory for all (default: half of what is free)"),
    "--local-dirs": ("spark.local.dir", "A,B", "directories for blocks on disk (default: the temporary directory)"),
    "--py-files": ("spark.submit.pyFiles", "A,B", ".py, .zip or .egg files for the import path"),
}


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="localcluster", description="Spark-style jobs on one machine, Python processes only."
    )
    top.add_argument("--version", action="version", version=f"localcluster {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run a job script", description="Run a job script on a cluster of processes.")
    for option, (_, metavar, text) in _OPTIONS.items():
        run.add_argument(option, metavar=metavar, help=text)
    run.add_argument("--conf", action="append", default=[], metavar="KEY=VALUE", help="a setting; may be repeated")
    run.add_argument("--log-level", metavar="LEVEL", help="DEBUG, INFO, WARNING or ERROR (default: WARNING)")
    run.add_argument("--progress", action=argparse.BooleanOptionalAction, help="progress bars (default: on a terminal)")
    run.add_argument("job", metavar="JOB", help="path of the job script")
    run.add_argument("args", nargs=argparse.REMAINDER, metavar="ARGS", help="arguments of the job")
    run.usage = "localcluster run [OPTIONS] JOB [ARGS ...]"
    clean = commands.add_parser("clean", help="remove what dead runs left (after a power cut, say)")
    clean.add_argument("--local-dirs", metavar="A,B", help="directories to look in, besides the temporary directory")
    return top


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code; exits by itself on usage errors, as argparse does."""
    arguments = parser().parse_args(argv)
    try:
        if arguments.command == "clean":
            return _clean(arguments)
        return _run(arguments)
    except ConfigurationError as error:
        print(f"localcluster: error: {error}", file=sys.stderr)
        return USAGE_ERROR


def _clean(arguments: argparse.Namespace) -> int:
    from storage.scratch import remove_stale, remove_stale_segments

    extra = arguments.local_dirs.split(",") if arguments.local_dirs else []
    removed = [path for parent in [None, *extra] for path in remove_stale(parent)] + remove_stale_segments()
    for path in removed:
        print(f"removed {path}")
    if not removed:
        print("nothing to remove")
    return 0


# --- run -----------------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    conf = _settings(arguments)
    settings.check(conf)
    layout(conf)
    job = os.path.abspath(arguments.job)
    problem = _problem_with(job)
    if problem is not None:
        print(f"localcluster: error: {problem}", file=sys.stderr)
        return USAGE_ERROR
    search_paths(settings.value(conf, "spark.submit.pyFiles") or ())  # a file that is missing is an error of usage
    fix_hash_seed()
    from localcluster.launcher.client import DriverEnds, inherit
    from localcluster.launcher.launcher import fork_driver

    launched = fork_driver()
    if not isinstance(launched, DriverEnds):
        return launched.serve()
    inherit(launched)
    return _drive(job, [arguments.job, *arguments.args], conf)


def _settings(arguments: argparse.Namespace) -> dict[str, str]:
    conf = {}
    for pair in arguments.conf:
        key, separator, value = pair.partition("=")
        if not separator or not key:
            raise ConfigurationError(f"--conf takes KEY=VALUE, not {pair!r}")
        conf[key] = value
    for option, (key, _, _) in _OPTIONS.items():
        value = getattr(arguments, option.lstrip("-").replace("-", "_"))
        if value is not None:
            conf[key] = value
    if arguments.log_level is not None:
        conf["localcluster.log.level"] = arguments.log_level
    if arguments.progress is not None:
        conf["spark.ui.showConsoleProgress"] = str(arguments.progress).lower()
    return conf


def _problem_with(job: str) -> str | None:
    if not os.path.isfile(job):
        return f"there is no job script {job}"
    directory = os.path.dirname(job)
    if os.path.samefile(directory, _ROOT):
        return None
    for package in ("localcluster", "protocol", "storage"):
        for name in (f"{package}.py", os.path.join(package, "__init__.py")):
            if os.path.exists(os.path.join(directory, name)):
                return (
                    f"{os.path.join(directory, name)} has the name of a package that localcluster itself needs; rename "
                    f"it, or move the job to another directory"
                )
    return None


def _drive(job: str, argv: list[str], conf: dict[str, str]) -> int:
    """In the driver: run the script as ``__main__``."""
    from localcluster import system_properties
    from localcluster.logs import set_up_logging

    set_up_logging(conf, "driver")
    for key, text in conf.items():
        system_properties.set_property(key, text)
    interrupts.install()
    sys.argv = argv
    sys.path[0] = os.path.dirname(job)
    make_importable(settings.value(conf, "spark.submit.pyFiles") or ())
    if _ROOT not in sys.path:
        sys.path.append(_ROOT)  # it was found by the current directory, which Python does not search for a script
    main_module = ModuleType("__main__")
    main_module.__file__ = job
    main_module.__builtins__ = __builtins__  # type: ignore[attr-defined]
    sys.modules["__main__"] = main_module
    try:
        with open(job, "rb") as file:
            code = compile(file.read(), job, "exec")
        exec(code, main_module.__dict__)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the context stops now, which takes no long time
        print("interrupted", file=sys.stderr)
        return INTERRUPTED
    except ConfigurationError as error:
        print(f"localcluster: error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except Exception as error:
        own_frames_left_out = error.__traceback__.tb_next if error.__traceback__ is not None else None
        traceback.print_exception(type(error), error, own_frames_left_out)
        return 1
    return 0
