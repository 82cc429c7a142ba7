"""Compare the machine's cache with joblib.Memory, diskcache, redis, Ray and Dask: what a second process pays for what
a first stored.

usage:  python scripts/bench/caches.py [--engines A,B] [--repeat 5] [--bytes 256m] [--json FILE]

For each engine, taking turns, one process stores an array and small values, and a second one reads them: the array
(once, and whether it may be written to), small values that it has not read before, and one small value again and again.
Prints medians of the runs and how many times as long as ours they are. Engines that are not installed are left out;
redis needs redis-server.

Ray and Dask are no caches, but keep values for other programs on clusters of the bench's own: a detached actor, and
published data sets.
"""

from __future__ import annotations

import argparse
import json
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import sessions
from cache_engines import ENGINES, Engine, installed
from clock import timed
from sizes import byte_count

SMALL = 500  # values
AGAIN = 2000  # reads of one of them
ARRAY = "array"

Times = dict[str, float]

ROWS = {
    "store array": "ms",
    "array hit": "ms",
    "array hit again": "ms",
    "small first hit": "µs",
    "small hit again": "µs",
    "store small": "µs",
}
UNITS = {"ms": 1e3, "µs": 1e6}


def write(engine: Engine, size: int) -> Times:
    import numpy as np

    array = np.random.default_rng(1).random(size // 8)
    engine.put("warm up", 0)
    taken, _ = timed(lambda: engine.put(ARRAY, array))
    small = [timed(lambda n=n: engine.put(f"small {n}", {"number": n}))[0] for n in range(SMALL)]  # type: ignore[misc]
    return {"store array": taken, "store small": statistics.median(small)}


def read(engine: Engine, size: int) -> Times:
    import numpy as np

    engine.get("warm up")
    taken, array = timed(lambda: engine.get(ARRAY))
    assert array.nbytes == size
    assert array[7] == np.random.default_rng(1).random(8)[7]
    writable = array.flags.writeable
    if writable:
        array[7] = -1.0
    again, second = timed(lambda: engine.get(ARRAY))
    assert second[7] != -1.0, "what one reader writes another one sees"
    del array, second
    small = []
    for number in range(SMALL):
        seconds, value = timed(lambda n=number: engine.get(f"small {n}"))  # type: ignore[misc]
        assert value == {"number": number}
        small.append(seconds)
    many = []
    for _ in range(5):
        started = time.perf_counter()
        for _ in range(AGAIN):
            engine.get("small 7")
        many.append((time.perf_counter() - started) / AGAIN)
    return {
        "array hit": taken,
        "array hit again": again,
        "small first hit": statistics.median(small),
        "small hit again": statistics.median(many),
        "writable": float(writable),
    }


def in_process(role: str, engine: str, directory: Path, size: int) -> Times:
    command = [sys.executable, __file__, "--role", role, "--engines", engine, "--bytes", str(size), str(directory)]
    done = subprocess.run(
        command, env=sessions.environment(directory), check=True, stdout=subprocess.PIPE, text=True, timeout=300
    )
    times: Times = json.loads(done.stdout.splitlines()[-1])
    return times


def run(engine: str, size: int) -> Times:
    with tempfile.TemporaryDirectory() as directory:
        try:
            return in_process("write", engine, Path(directory), size) | in_process(
                "read", engine, Path(directory), size
            )
        finally:
            ENGINES[engine].clean(Path(directory))


def table(runs: dict[str, list[Times]]) -> str:
    medians = {
        name: {row: statistics.median(run[row] for run in each) for row in [*ROWS, "writable"]}
        for name, each in runs.items()
    }
    ours = medians.get("localcluster")
    lines = [f"{'':18}" + "".join(f"{name:>22}" for name in medians)]
    for row, unit in ROWS.items():
        cells = []
        for found in medians.values():
            ratio = f" ({found[row] / ours[row]:.1f})" if ours else ""
            number = found[row] * UNITS[unit]
            cells.append(f"{number:.0f} {unit}{ratio}" if number >= 100 else f"{number:.3g} {unit}{ratio}")
        lines.append(f"{row:18}" + "".join(f"{cell:>22}" for cell in cells))
    cells = ["yes" if found["writable"] else "no" for found in medians.values()]
    lines.append(f"{'array writable':18}" + "".join(f"{cell:>22}" for cell in cells))
    return "\n".join(lines)


def main() -> int:
    parser = argparse.ArgumentParser(prog="caches.py", description=__doc__.splitlines()[0])
    parser.add_argument("--engines", default=",".join(filter(installed, ENGINES)), metavar="A,B")
    parser.add_argument("--repeat", type=int, default=5, metavar="N")
    parser.add_argument("--bytes", type=byte_count, default=256 << 20, metavar="N", help="of the array")
    parser.add_argument("--json", type=Path, metavar="FILE")
    parser.add_argument("--role", choices=["write", "read"], help=argparse.SUPPRESS)
    parser.add_argument("directory", nargs="?", type=Path, help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.role:
        engine = ENGINES[args.engines](args.directory, args.bytes)
        print(json.dumps({"write": write, "read": read}[args.role](engine, args.bytes)))
        return 0
    runs: dict[str, list[Times]] = {name: [] for name in args.engines.split(",")}
    for _ in range(args.repeat):
        for name, found in runs.items():
            found.append(run(name, args.bytes))
    print(table(runs))
    if args.json:
        args.json.write_text(json.dumps(runs, indent=1))
    return 0


if __name__ == "__main__":
    sys.exit(main())
