"""Compare localcluster with PySpark local[2] and multiprocessing.Pool, on the same jobs, in one run.

usage:  python scripts/bench [--engines A,B] [--jobs A,B] [--repeat 3] [--quick] [--json FILE]

Every engine runs in a process of its own, engines taking turns, so that a slow minute of the machine falls on all of
them. Prints medians and ratios. The exit code is 1 when a job failed or engines found different results.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import signal
import subprocess
import sys
import tempfile
from pathlib import Path
from typing import Any

from engines import ENGINES, missing
from inputs import write_text
from rdd_jobs import JOBS
from report import BASE, Runs, medians, problems, table
from sizes import FULL, QUICK

HERE = Path(__file__).resolve().parent
TIME_LIMIT = 900  # seconds for all jobs of one engine


def run_engine(engine: str, jobs: list[str], size: str, text: Path) -> dict[str, Any]:
    """What `measure` finds, in a process of its own. One that fails or takes too long is an error in the result."""
    paths = [str(HERE), str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]
    environment = os.environ | {
        "PYTHONPATH": os.pathsep.join(filter(None, paths)),
        "PYTHONHASHSEED": "0",
        "PYSPARK_PYTHON": sys.executable,
    }
    out, errors = text.with_name("result.json"), text.with_name("errors.txt")
    out.unlink(missing_ok=True)
    command = [sys.executable, str(HERE / "measure.py"), engine, ",".join(jobs), size, str(text), str(out)]
    with open(errors, "w") as stderr:
        # In a session of its own, so that what the engine started can be ended with it.
        process = subprocess.Popen(
            command, env=environment, stdin=subprocess.DEVNULL, stderr=stderr, start_new_session=True
        )
        try:
            code = process.wait(TIME_LIMIT)
            ended = f"exit code {code}"
        except subprocess.TimeoutExpired:
            ended = f"still running after {TIME_LIMIT} s"
        finally:
            if process.poll() is None:
                os.killpg(process.pid, signal.SIGKILL)
                process.wait()
    if process.returncode or not out.exists():
        return {"times": {}, "checks": {}, "errors": {"engine": f"{ended}\n{errors.read_text()}"}}
    result: dict[str, Any] = json.loads(out.read_text())
    return result


def names_of(known: dict[str, Any]) -> Any:
    def parse(text: str) -> list[str]:
        names = text.split(",")
        for name in names:
            if name not in known:
                raise argparse.ArgumentTypeError(f"{name!r} is not one of {', '.join(known)}")
        return names

    return parse


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="bench", description=__doc__.splitlines()[0])
    engines = f"of {', '.join(ENGINES)} (default: those that are installed)"
    parser.add_argument("--engines", type=names_of(ENGINES), metavar="A,B", help=engines)
    jobs = f"of {', '.join(JOBS)} (default: all); the start is always measured"
    parser.add_argument("--jobs", type=names_of(JOBS), default=list(JOBS), metavar="A,B", help=jobs)
    parser.add_argument("--repeat", type=int, default=3, metavar="N", help="processes per engine (default 3)")
    parser.add_argument("--quick", action="store_true", help="small sizes, once: shows that it runs, not how fast")
    parser.add_argument("--json", type=Path, metavar="FILE", help="write all results to a file")
    args = parser.parse_args()
    for engine in args.engines or []:
        reason = missing(engine)
        if reason:
            parser.error(reason)
    args.engines = args.engines or [engine for engine in ENGINES if not missing(engine)]
    return args


def main() -> int:
    args = arguments()
    size, sizes = ("quick", QUICK) if args.quick else ("full", FULL)
    repeat = 1 if args.quick else args.repeat
    runs: Runs = {engine: [] for engine in args.engines}
    with tempfile.TemporaryDirectory(prefix="bench-") as directory:
        text = Path(directory, "text.txt")
        write_text(text, sizes.text_bytes)
        for turn in range(repeat):
            for engine in args.engines:
                print(f"{engine}, {turn + 1} of {repeat}", file=sys.stderr)
                runs[engine].append(run_engine(engine, args.jobs, size, text))

    print(f"Python {platform.python_version()}, {os.cpu_count()} cores, {size} sizes, median of {repeat}\n")
    print(table(runs))
    if args.json:
        machine = {"python": platform.python_version(), "cores": os.cpu_count(), "sizes": size, "base": BASE}
        args.json.write_text(json.dumps({"machine": machine, "medians": medians(runs), "runs": runs}, indent=1))
    wrong = problems(runs)
    for problem in wrong:
        print(problem, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
