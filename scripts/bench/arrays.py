"""Compare localcluster with PySpark, Ray and Dask on large numpy arrays: passes over cached ones, and a broadcast.

usage:  python scripts/bench/arrays.py [--engines A,B] [--repeat 3] [--bytes 512m] [--json FILE]

Two jobs, each on a cluster of its own of two processes with one core each, engines taking turns:

- ten passes over cached arrays, eight partitions with one each: ``x.T @ (x @ w)``, summed in the driver, which makes
  the next ``w`` of it. How long it takes to make and cache the arrays is told apart;
- a broadcast of an array half as large, used by 64 tasks, in a cluster that is idle and has not seen numpy yet: from
  the call in the driver, which has the array, to the result.

Prints medians and how many times as long as ours they are. Engines that are not installed are left out. The exit code
is 1 when a job failed or engines found different results.
"""

from __future__ import annotations

import argparse
import json
import os
import subprocess
import sys
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import sessions
from array_engines import COLUMNS, ENGINES, PARTITIONS, Engine, installed
from clock import timed
from report import Runs, problems, table
from sizes import byte_count

HERE = Path(__file__).resolve().parent
TIME_LIMIT = 300  # seconds for one job of one engine
PASSES = 10


def passes(engine: Engine, size: int) -> dict[str, Any]:
    import numpy as np

    def all_passes() -> float:
        w = np.ones(COLUMNS)
        for _ in range(PASSES):
            total = sum(engine.products(w))
            length = float(np.linalg.norm(total))
            w = total / length
        return length

    filling, _ = timed(lambda: engine.fill(size // PARTITIONS // COLUMNS // 8))
    taken, length = timed(all_passes)
    return {"times": {"make and cache": filling, "ten passes": taken}, "checks": {"ten passes": f"{length:.9g}"}}


def broadcast(engine: Engine, size: int) -> dict[str, Any]:
    import numpy as np

    array = np.random.default_rng(1).random(size // 16)
    taken, total = timed(lambda: sum(engine.sums(array)))
    return {"times": {"broadcast": taken}, "checks": {"broadcast": f"{total:.9g}"}}


JOBS: dict[str, Callable[[Engine, int], dict[str, Any]]] = {"passes": passes, "broadcast": broadcast}


def run_here(job: str, name: str, size: int, directory: Path) -> None:
    engine = ENGINES[name](directory, size)
    try:
        found = JOBS[job](engine, size)
    finally:
        engine.stop()
    (directory / "result.json").write_text(json.dumps(found))


def run(job: str, engine: str, size: int) -> dict[str, Any]:
    """What one job finds on one engine, in a process of its own. One that fails is an error in the result."""
    paths = [str(HERE), str(HERE.parent.parent), os.environ.get("PYTHONPATH", "")]
    with tempfile.TemporaryDirectory(prefix="bench-") as name:
        directory = Path(name)
        environment = sessions.environment(directory) | {
            "PYTHONPATH": os.pathsep.join(filter(None, paths)),
            "PYSPARK_PYTHON": sys.executable,
        }
        command = [sys.executable, __file__, "--role", job, "--engines", engine, "--bytes", str(size), name]
        process = sessions.start(command, directory / "log.txt", environment)
        try:
            process.wait(TIME_LIMIT)
        except subprocess.TimeoutExpired:
            pass
        finally:
            sessions.end(process.pid)
        try:
            found: dict[str, Any] = json.loads((directory / "result.json").read_text())
        except FileNotFoundError:
            return {"times": {}, "checks": {}, "errors": {job: (directory / "log.txt").read_text()}}
        return found | {"errors": {}}


def main() -> int:
    parser = argparse.ArgumentParser(prog="arrays.py", description=__doc__.splitlines()[0])
    parser.add_argument("--engines", default=",".join(filter(installed, ENGINES)), metavar="A,B")
    parser.add_argument("--repeat", type=int, default=3, metavar="N")
    parser.add_argument("--bytes", type=byte_count, default=512 << 20, metavar="N", help="of all cached arrays")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--role", choices=JOBS, help=argparse.SUPPRESS)
    parser.add_argument("directory", nargs="?", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        run_here(args.role, args.engines, args.bytes, args.directory)
        return 0
    runs: Runs = {name: [] for name in args.engines.split(",")}
    for _ in range(args.repeat):
        for job in JOBS:
            for name, found in runs.items():
                found.append(run(job, name, args.bytes))
    print(table(runs))
    if args.json:
        args.json.write_text(json.dumps(runs, indent=1))
    wrong = problems(runs)
    for problem in wrong:
        print(problem, file=sys.stderr)
    return 1 if wrong else 0


if __name__ == "__main__":
    sys.exit(main())
