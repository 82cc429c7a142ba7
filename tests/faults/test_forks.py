"""Forks of a driver, and of executors with several task threads, made while other threads hold locks."""

from __future__ import annotations

import multiprocessing
import os
import sys
from pathlib import Path
from typing import Any

from localcluster import SparkConf, SparkContext
from tests.faults.runs import BUSY_JOB, Run
from tests.support import DEADLINE

FORK = multiprocessing.get_context("fork")


def test_a_fork_of_the_driver_reads_broadcasts_and_is_refused_the_rest(tmp_path: Path) -> None:
    """It is forked while another thread holds every lock there is, but for what is needed to fork."""
    ending = """
import signal, threading
from protocol import forks
from storage import fork_readers
shared._find_for_fork()
held, over = threading.Event(), threading.Event()
def hold():
    locks = [sc._cluster.lock._lock, *(lock for lock in forks._locks if lock is not fork_readers._lock)]
    for lock in locks:
        lock.acquire()
    held.set()
    over.wait()
    for lock in locks:
        lock.release()
holder = threading.Thread(target=hold)
holder.start()
held.wait()
child = os.fork()
if child == 0:
    signal.alarm(10)  # a lock that is waited for ends it by SIGALRM
    print("value", sum(shared.value))
    for what in (
        "sc.parallelize([1]).count()", "cached.unpersist()", "cached.count()", "shared.unpersist()", "shared.destroy()",
        "sc.broadcast(1)", "sc.cancelAllJobs()", "sc.statusTracker().getActiveJobsIds()", "sc.addFile(__file__)",
        "disk.toDebugString()",
    ):
        try:
            eval(what)
        except Exception as error:
            print(what, "->", type(error).__name__, str(error)[:23])
        else:
            print(what, "did something")
    del shared, cached, disk  # their finalizers must not wake the parent
    sc.stop()
    sys.exit(5)
over.set()
holder.join()
print("code", os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]))
print("sum", sc.parallelize(range(10), 2).sum(), cached.count(), sum(shared.value))
"""
    with Run(tmp_path, BUSY_JOB.format(ending=ending), library=True) as run:
        run.until_ready()
        assert run.wait() == 0, run.errors
        value, *refused, code, total = run.output.splitlines()[2:]
        assert (value, code, total) == ("value 4999950000", "code 5", "sum 45 1000 4999950000")
        assert len(refused) == 10
        assert [line for line in refused if not line.endswith("-> ContextError this process was forked")] == []
        run.assert_nothing_left()


def test_forks_of_an_executor_with_several_task_threads() -> None:
    """Tasks fork while the others start, end and report, and so hold locks now and then."""
    conf = SparkConf().set("spark.executor.instances", "1").set("spark.executor.cores", "3")

    def task(x: int) -> list[Any]:
        answers = FORK.Queue()
        child = FORK.Process(target=lambda: answers.put(variable.value + x))
        child.start()
        pid = os.fork()
        if pid == 0:
            sys.exit(x)
        return [answers.get(timeout=DEADLINE), os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1])]

    with SparkContext(conf=conf) as context:
        variable = context.broadcast(1000)
        found = context.parallelize(range(60), 60).map(task).collect()
        assert found == [[1000 + x, x] for x in range(60)]
