"""A run whose files are removed from shared memory, as systemd does when its user logs out, goes on."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.faults.runs import Run

JOB = """
import glob, os, signal, time
from localcluster import SparkContext, StorageLevel

sc = SparkContext("local[2]")
old, large = sc.broadcast(list(range(100_000))), b"y" * 100_000  # which makes a closure a block

def pairs():
    return sc.parallelize(range(1000), 2).map(lambda x: (x % 3, len(large)))

def executors():
    return sc.parallelize(range(2), 2).barrier().mapPartitions(lambda _: [os.getpid()]).collect()

def remove_files():
    for path in glob.glob(f"/dev/shm/{{sc._cluster.scratch.name}}*"):
        os.unlink(path)

closure = sc.parallelize(range(4), 2).map(lambda x: x + len(large))
shuffle = pairs().groupByKey(2).mapValues(len)
data = sc.parallelize([b"%d" % i * 1000 for i in range(100)], 2)
cached = sc.parallelize(range(1000), 2).persist(StorageLevel.OFF_HEAP)

def check(new):
    assert cached.sum() == 499_500
    assert sorted(shuffle.collect()) == [(0, 334), (1, 333), (2, 333)]
    assert closure.collect() == [100_000, 100_001, 100_002, 100_003]
    assert data.count() == 100
    assert sc.parallelize([0, 1], 2).map(lambda _: len(old.value) + len(new.value)).collect() == [200_000] * 2
    assert sorted(pairs().groupByKey(2).mapValues(len).collect()) == [(0, 334), (1, 333), (2, 333)]
    assert [len(r) for r in sc.parallelize([1, 2], 2).map(lambda i: bytes(i * 1_000_000)).collect()] == [1e6, 2e6]

check(sc.broadcast(list(range(100_000))))
for pid in executors():
    {before}
remove_files()
for pid in executors():
    {after}
check(sc.broadcast(list(range(100_000))))
check(sc.broadcast(list(range(100_000))))

blocks = sc._cluster.env.block_manager
read = blocks.load_location
def read_late(location, block_id):  # the files go between the end of a task and the look at its result
    remove_files()
    return read(location, block_id)
blocks.load_location = read_late
assert [len(r) for r in sc.parallelize([1, 2], 2).map(lambda i: bytes(i * 1_000_000)).collect()] == [1e6, 2e6]
blocks.load_location = read
sc.stop()
print("done")
"""

KILL = "os.kill(pid, signal.SIGKILL)"


@pytest.mark.parametrize(
    ("before", "after"), [("pass", "pass"), ("pass", KILL), (KILL, "pass")], ids=["alive", "replaced later", "adopted"]
)
def test_jobs_go_on_when_files_are_removed_from_shared_memory(tmp_path: Path, before: str, after: str) -> None:
    with Run(tmp_path, JOB.format(before=before, after=after), library=True) as run:
        code = run.wait()
        assert (code, run.output) == (0, "done\n"), run.errors
        assert run.errors.count("was removed while its run lives") == 1, run.errors
        assert "Traceback" not in run.errors
        run.assert_nothing_left()
