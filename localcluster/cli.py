"""The command line: ``localcluster run``, ``chaos``, ``cache``, ``dump``, ``clean``, ``docs``, ``--version``.

Covers exit codes: the job's own; 2 for usage; 130 for Ctrl-C; 128 + n when signal n ended the job. The options of
``run`` are in ``submit_options``, the program that it runs is `job_program`'s business.
"""

from __future__ import annotations

import argparse
import os
import signal
import sys
from collections.abc import Iterable, Sequence
from typing import Any

from localcluster.base import pyspark_alias
from localcluster.base.py_files import extend_import_path, search_paths
from localcluster.cli_cache import add_cache
from localcluster.conf import SparkConf, submit_options
from localcluster.conf.master_url import layout
from localcluster.conf.settings import Settings, check
from localcluster.hash_seed import fix_hash_seed
from localcluster.job_program import JobProgram, NoModule
from localcluster.launcher import interrupts
from localcluster.version import __version__
from protocol.errors import CacheError, ClusterError, ConfigurationError

USAGE_ERROR = 2


class _Parser(argparse.ArgumentParser):
    """Refuses what it does not know by its own usage, and says what was meant."""

    def parse_known_args(self, *args: Any, **kwargs: Any) -> Any:
        namespace, unknown = super().parse_known_args(*args, **kwargs)
        if unknown:
            from difflib import get_close_matches  # few command lines need it

            known = [
                name for action in self._actions if action.help != argparse.SUPPRESS for name in action.option_strings
            ]
            option = unknown[0].partition("=")[0]
            meant = "".join(f"; did you mean {name}?" for name in get_close_matches(option, known, 1))
            self.error(f"there is no option {option}{meant}" if option[:1] == "-" else f"what is {option} to mean?")
        return namespace, unknown


def parser() -> argparse.ArgumentParser:
    top = _Parser(prog="localcluster", description="Spark-style jobs on one machine, Python processes only.")
    top.add_argument("--version", action="version", version=f"localcluster {__version__}")
    commands = top.add_subparsers(dest="command", required=True, metavar="COMMAND")
    description = "Run a program on a cluster of processes. The options are spark-submit's, and some of our own."
    run = commands.add_parser("run", help="run a job", description=description, allow_abbrev=False)
    submit_options.add_options(run)
    run.add_argument("--pyspark", action="store_true", help="import pyspark is localcluster.pyspark in the job")
    run.add_argument(
        "--inject",
        action="append",
        default=[],
        metavar="FAULT",
        help="inject a fault on purpose: a rule such as 'kill executor=1 after_tasks=5', or a file of them, FILE.toml; "
        "may be repeated (see localcluster docs fault-injection)",
    )
    run.add_argument("--must-fire", action="store_true", help="a fault that never fires is an error: exit code 3")
    run.add_argument(
        "-m", dest="module", nargs=argparse.REMAINDER, help="MODULE [ARGS ...]: run a module, as python -m"
    )
    run.add_argument("job", nargs="?", metavar="JOB", help="path of the job script")
    run.add_argument("args", nargs=argparse.REMAINDER, metavar="ARGS", help="arguments of the job")
    run.usage = "localcluster run [OPTIONS] (JOB | -m MODULE) [ARGS ...]"
    run.set_defaults(parser=run)
    _add_chaos(commands.add_parser("chaos", help="run a job under random faults and compare", allow_abbrev=False))
    add_cache(commands.add_parser("cache", help="look at the machine's cache, and stop its server"))
    clean = commands.add_parser("clean", help="remove what dead runs and caches left (after a power cut, say)")
    clean.add_argument("--local-dirs", metavar="A,B", help="directories to look in, besides the temporary directory")
    dump = commands.add_parser("dump", help="show what the processes of a run are doing: their Python stacks")
    dump.add_argument("pid", nargs="?", type=int, metavar="PID", help="any process of it (default: every run of yours)")
    docs = commands.add_parser("docs", help="show the documentation")
    docs.add_argument("page", nargs="?", metavar="PAGE", help="which page of it (default: a list of them)")
    return top


def _add_chaos(chaos: argparse.ArgumentParser) -> None:
    chaos.description = (
        "Run a job under one random plan of faults after the other, and compare each result with that of an "
        "undisturbed run: standard output, exit code, and the files in a directory that the job is given as {out}. "
        "The first difference or hang is shrunk to the fewest faults that show it. Exit code 1: there was one."
    )
    chaos.add_argument("--seed", type=int, default=0, metavar="N", help="of the plans (default: 0)")
    chaos.add_argument("--rounds", type=int, default=100, metavar="M", help="how many plans (default: 100)")
    chaos.add_argument(
        "--faults", metavar="KINDS", help="actions or families of them: kill,message,block (default: all)"
    )
    chaos.add_argument(
        "--deadline", type=float, metavar="S", help="seconds for a round (default: by the undisturbed run)"
    )
    chaos.add_argument("--compare", metavar="MODULE:FUNCTION", help="called with two outcomes; True: they are the same")
    chaos.add_argument("-c", "--conf", action="append", default=[], metavar="KEY=VALUE", help="a setting of the job")
    chaos.add_argument("--pyspark", action="store_true", help="as of run")
    chaos.add_argument("job", metavar="JOB", help="path of the job script")
    chaos.add_argument("args", nargs=argparse.REMAINDER, metavar="ARGS", help="arguments of the job")
    chaos.usage = "localcluster chaos [OPTIONS] JOB [ARGS ...]"


def main(argv: Sequence[str] | None = None) -> int:
    """Returns the exit code; exits by itself on usage errors, as argparse does."""
    arguments = parser().parse_args(argv)
    try:
        return _COMMANDS[arguments.command](arguments)
    except ConfigurationError as error:
        print(f"localcluster: error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except (ClusterError, CacheError) as error:
        print(f"localcluster: error: {error}", file=sys.stderr)
        return 1


def _cache(arguments: argparse.Namespace) -> int:
    try:
        return int(arguments.do(arguments))
    except BrokenPipeError:
        _end_output()
        return 0


def _clean(arguments: argparse.Namespace) -> int:
    from localcluster.cache.leftovers import remove_leftovers
    from storage.disk_block_manager import configured_local_dirs
    from storage.stale_runs import remove_stale, remove_stale_segments

    extra = arguments.local_dirs.split(",") if arguments.local_dirs else []
    parents = [None, *extra, *configured_local_dirs(())]
    removed = [path for parent in parents for path in remove_stale(parent)]
    removed += remove_stale_segments() + remove_leftovers()
    for path in removed:
        print(f"removed {path}")
    if not removed:
        print("nothing to remove")
    return 0


def _chaos(arguments: argparse.Namespace) -> int:
    from localcluster.trials.chaos import Chaos, named_comparison
    from localcluster.trials.random_plans import DRAWS, kinds_named
    from localcluster.trials.rounds import Job

    if not os.path.isfile(arguments.job):
        raise ConfigurationError(f"there is no job script {os.path.abspath(arguments.job)}")
    conf = [word for setting in arguments.conf for word in ("--conf", setting)]
    job = Job((*conf, *["--pyspark"][: arguments.pyspark]), (arguments.job, *arguments.args))
    kinds = list(DRAWS) if arguments.faults is None else kinds_named(arguments.faults.split(","))
    compare = named_comparison(arguments.compare)
    for signum in (signal.SIGTERM, signal.SIGHUP):  # a round has processes and files, which are removed on the way out
        if signal.getsignal(signum) is signal.SIG_DFL:
            signal.signal(signum, lambda number, _: sys.exit(128 + number))
    chaos = Chaos(job, arguments.seed, kinds, compare, lambda line: print(line, flush=True), arguments.deadline)
    try:
        return 0 if chaos.run(arguments.rounds) else 1
    except KeyboardInterrupt:
        return interrupts.INTERRUPTED


def _dump(arguments: argparse.Namespace) -> int:
    from localcluster.launcher.dump import stacks_of_runs

    _print(stacks_of_runs(arguments.pid))
    return 0


def _docs(arguments: argparse.Namespace) -> int:
    from localcluster.base import documentation

    _print([documentation.page(arguments.page) if arguments.page else documentation.contents()])
    return 0


def _print(texts: Iterable[str]) -> None:
    try:
        for text in texts:
            print(text, flush=True)
    except BrokenPipeError:
        _end_output()


def _end_output() -> None:
    """Who reads, `head` say, has seen enough."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())  # for the flush at the end of the process


# --- run -----------------------------------------------------------------------------------------------------------


def _run(arguments: argparse.Namespace) -> int:
    job = _program(arguments)
    conf = submit_options.settings_of(arguments, job.name)
    _inject(arguments, conf)
    check(conf)
    layout(conf)
    if job.problem is not None:
        raise ConfigurationError(job.problem)
    _require_files(conf)
    fix_hash_seed()
    if arguments.verbose:
        print(SparkConf(loadDefaults=False).setAll(conf.items()).toDebugString(), file=sys.stderr)
    for warning in submit_options.warnings_for(arguments, conf):
        print(f"localcluster: warning: {warning}", file=sys.stderr)
    if arguments.pyspark:  # before the forks, which all have it then
        pyspark_alias.install()
        pyspark_alias.install_for_children()
    interrupts.end_at_once()
    from localcluster.launcher.client import Ends, inherit
    from localcluster.launcher.launcher import fork_driver

    launched = fork_driver()
    if not isinstance(launched, Ends):
        return launched.serve()
    inherit(launched)
    return _drive(job, conf)


def _inject(arguments: argparse.Namespace, conf: dict[str, str]) -> None:
    """Put the faults of the options into the settings, and look at all that there are. Raises FaultPlanError."""
    if arguments.must_fire:
        conf["localcluster.faults.strict"] = "true"
    if not arguments.inject and not conf.get("localcluster.faults"):
        if arguments.must_fire:
            raise ConfigurationError("--must-fire: there are no faults; name some by --inject")
        return
    from localcluster.api import fault_plans
    from localcluster.faults.grammar import text

    if arguments.inject:
        plan = fault_plans.plan_of_options(arguments.inject)
        conf["localcluster.faults"] = text(plan.rules)
        conf.setdefault("localcluster.faults.seed", str(plan.seed))
    fault_plans.check_settings(conf, finds_exceptions=False)  # they may be in modules beside the job


def _program(arguments: argparse.Namespace) -> JobProgram:
    # After -mNAME the parser takes the module's arguments for a job and its arguments.
    job = [arguments.job] if arguments.job is not None else []
    words = [*(arguments.module or []), *job, *arguments.args]
    if not words:
        arguments.parser.error("what is to run? Name a script, or a module after -m")
    return JobProgram(words[0], arguments.module is not None, tuple(words[1:]))


def _require_files(conf: dict[str, str]) -> None:
    """Raises ConfigurationError for a file that is missing: an error of usage, before anything starts."""
    named = Settings(conf)
    search_paths(named.submit_py_files or ())
    if named.files or named.archives:
        from localcluster.api.user_files import require

        require("file", named.files or ())
        require("archive", [path.partition("#")[0] for path in named.archives or ()])


def _drive(job: JobProgram, conf: dict[str, str]) -> int:
    """In the driver: run the program as ``__main__``."""
    from localcluster.conf import system_properties
    from localcluster.launcher.process_title import name_process

    name_process("driver", f"{conf['spark.app.name']} [{os.getpid()}]")
    for key, text in conf.items():
        system_properties.set_property(key, text)
    system_properties.set_property("SPARK_SUBMIT", "true")  # how Spark tells programs that were submitted
    extend_import_path(search_paths(Settings(conf).submit_py_files or ()))
    try:
        interrupts.install()
        code, variables = job.load()
        exec(code, variables)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_IGN)  # the context stops now, which takes no long time
        sys.last_type = KeyboardInterrupt  # as the interpreter notes it, for who would wait at the end otherwise
        print("interrupted", file=sys.stderr)
        return interrupts.INTERRUPTED
    except ConfigurationError as error:
        print(f"localcluster: error: {error}", file=sys.stderr)
        return USAGE_ERROR
    except NoModule as error:
        print(f"localcluster: error: {error}", file=sys.stderr)
        return 1  # as python -m
    except Exception as error:
        from localcluster.compat.simple_tracebacks import try_simplify_traceback

        users = try_simplify_traceback(error.__traceback__)
        sys.excepthook(type(error), error.with_traceback(users), users)  # which may be the program's
        return 1
    return 0


_COMMANDS = {"run": _run, "chaos": _chaos, "cache": _cache, "dump": _dump, "clean": _clean, "docs": _docs}
