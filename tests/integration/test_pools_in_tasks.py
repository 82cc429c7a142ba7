"""``multiprocessing`` in tasks with the functions and classes of a script: what a pool of a plain script can do."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

ROOT = Path(__file__).resolve().parents[2]

SCRIPT = """
import multiprocessing, sys
from concurrent.futures import ProcessPoolExecutor
from localcluster import SparkContext

TABLE = {1: 10, 2: 20, 3: 30}
offset = 1

class Point:
    def __init__(self, x):
        self.x = x
    def __repr__(self):
        return f"Point({self.x})"

def looked_up(x):
    return of_table(x)

def of_table(x):
    return TABLE[x]

def moved(point):
    return Point(point.x + 1)

def set_offset(value):
    global offset
    offset = value

def with_offset(x):
    return x + offset

def put(queue, value):
    queue.put(value)

def task(method):
    context = multiprocessing.get_context(method)
    with context.Pool(2) as pool:
        print(method, "pool", pool.map_async(looked_up, [1, 2, 3]).get(30))
        print(method, "lambda", pool.map_async(lambda x: x + 1, [1, 2]).get(30))
        points = pool.map_async(moved, [Point(1), Point(2)]).get(30)
        print(method, "class", points, type(points[0]) is Point)
    with ProcessPoolExecutor(2, mp_context=context) as pool:
        print(method, "executor", list(pool.map(looked_up, [1, 2, 3], timeout=30)))
    queue = context.Queue()
    process = context.Process(target=put, args=(queue, Point(5)))
    process.start()
    print(method, "process", queue.get(timeout=30))
    process.join()
    if method == "fork":
        with context.Pool(2, set_offset, (100,), maxtasksperchild=1) as pool:
            print(method, "initializer", pool.map_async(with_offset, range(4), chunksize=1).get(30), offset)
    return method

with SparkContext("local[1]") as sc:
    for method in ("fork", sys.argv[1], "fork"):
        sc.parallelize([method], 1).map(task).collect()
"""


def lines(method: str) -> list[str]:
    common = [
        "pool [10, 20, 30]",
        "lambda [2, 3]",
        "class [Point(2), Point(3)] True",
        "executor [10, 20, 30]",
        "process Point(5)",
    ]
    return [f"{method} {line}" for line in common]


@pytest.mark.parametrize(("options", "method"), [(["-m", "localcluster", "run"], "spawn"), ([], "forkserver")])
def test_a_scripts_functions_and_classes_reach_the_processes_of_a_task(
    tmp_path: Path, options: list[str], method: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("PYTHONPATH", str(ROOT))
    script = tmp_path / "script.py"
    script.write_text(SCRIPT)
    done: Any = subprocess.run([sys.executable, *options, script, method], capture_output=True, text=True, timeout=90)
    assert done.returncode == 0, done.stderr
    forked = [*lines("fork"), "fork initializer [100, 101, 102, 103] 1"]
    assert done.stdout.splitlines() == [*forked, *lines(method), *forked]
    assert done.stderr == ""
