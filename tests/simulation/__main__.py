"""``python -m tests.simulation SEED [COUNT]``: run seeds; ``--trace`` prints all that happened in each.

Runs itself again with a fixed hash seed: sets of text have another order in each process otherwise, and a seed must
give the same run in all.
"""

from __future__ import annotations

import argparse
import os
import sys
import time

from tests.simulation.seeds import run_seeds


def main() -> int:
    if os.environ.get("PYTHONHASHSEED") != "0":
        os.execve(
            sys.executable,
            [sys.executable, "-m", "tests.simulation", *sys.argv[1:]],
            os.environ | {"PYTHONHASHSEED": "0"},
        )
    parser = argparse.ArgumentParser(prog="python -m tests.simulation")
    parser.add_argument("seed", type=int, help="the first")
    parser.add_argument("count", type=int, nargs="?", default=1, help="how many")
    parser.add_argument("--trace", action="store_true", help="print what happened")
    parser.add_argument("--keep-going", action="store_true", help="after a seed that fails")
    options = parser.parse_args()
    began = time.perf_counter()
    failed = run_seeds(range(options.seed, options.seed + options.count), options.trace, options.keep_going)
    seconds = time.perf_counter() - began
    print(f"{options.count} seeds, {len(failed)} failed, {seconds:.1f} s: {failed[:20]}")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main())
