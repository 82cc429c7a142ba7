"""The command line: ``localcluster run``, ``localcluster clean``, ``--version``.

Covers exit codes and running the job script as ``__main__``. Exit codes: the job's own; 2 for usage; 130 for
Ctrl-C; 128 + n when signal n ended the job. The options of ``run`` are in ``submit_options``.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Sequence
from types import ModuleType

from localcluster import pyspark_alias
from localcluster.conf import SparkConf, settings, submit_options
from localcluster.conf.master_url import layout
from localcluster.hash_seed import fix_hash_seed
from localcluster.launcher import interrupts
from localcluster.py_files import extend_import_path, search_paths
from localcluster.version import __version__
from protocol.errors import ClusterError, ConfigurationError

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # where the three packages lie
USAGE_ERROR = 2
INTERRUPTED = 130


def parser() -> argparse.ArgumentParser:
    top = argparse.ArgumentParser(
        prog="localcluster", description="Spark-style jobs on one machine, Python processes only."
    )
    top.add_argument("--version", action="version", version=f"localcluster {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    description = "Run a job script on a cluster of processes. The options are spark-submit's, and some of our own."
    run = commands.add_parser("run", help="run a job script", description=description, allow_abbrev=False)
    submit_options.add_options(run)
    run.add_argument("--pyspark", action="store_true", help="import pyspark is localcluster.pyspark in the job")
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
    except ClusterError as error:
        print(f"localcluster: error: {error}", file=sys.stderr)
        return 1


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
    conf = submit_options.settings_of(arguments)
    settings.check(conf)
    layout(conf)
    job = os.path.abspath(arguments.job)
    problem = _problem_with(job)
    if problem is not None:
        print(f"localcluster: error: {problem}", file=sys.stderr)
        return USAGE_ERROR
    search_paths(settings.value(conf, "spark.submit.pyFiles") or ())  # a file that is missing is an error of usage
    fix_hash_seed()
    if arguments.verbose:
        print(SparkConf(loadDefaults=False).setAll(conf.items()).toDebugString(), file=sys.stderr)
    for warning in submit_options.warnings_for(arguments, conf):
        print(f"localcluster: warning: {warning}", file=sys.stderr)
    if arguments.pyspark:  # before the forks, which all have it then
        pyspark_alias.install()
        pyspark_alias.install_for_children()
    from localcluster.launcher.client import Ends, inherit
    from localcluster.launcher.launcher import fork_driver

    launched = fork_driver()
    if not isinstance(launched, Ends):
        return launched.serve()
    inherit(launched)
    return _drive(job, [arguments.job, *arguments.args], conf)


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
    from localcluster.conf import system_properties

    for key, text in conf.items():
        system_properties.set_property(key, text)
    system_properties.set_property("SPARK_SUBMIT", "true")  # how Spark tells programs that were submitted
    interrupts.install()
    sys.argv = argv
    sys.path[0] = os.path.dirname(job)
    extend_import_path(search_paths(settings.value(conf, "spark.submit.pyFiles") or ()))
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
        users = error.__traceback__.tb_next if error.__traceback__ is not None else None  # without our own frame
        sys.excepthook(type(error), error.with_traceback(users), users)  # which may be the program's
        return 1
    return 0
