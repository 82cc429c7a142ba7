"""Partitions through external commands."""

from __future__ import annotations

import errno
import itertools
from typing import Any

import pytest

from localcluster.base import os_layer
from protocol.errors import RDDError
from tests.localcluster.rdd.local_context import LocalContext
from tests.support import fails


def test_each_partition_has_a_process_of_its_own(sc: LocalContext) -> None:
    assert sc.parallelize(["b", "a", "d", "c"], 2).pipe("sort").collect() == ["a", "b", "c", "d"]
    assert sc.parallelize([3, 4, 5], 2).pipe("wc -l").collect() == ["1", "2"]


def test_records_become_lines_with_one_end(sc: LocalContext) -> None:
    assert sc.parallelize(["a\n\n", 1, None, ""], 1).pipe("cat").collect() == ["a", "1", "None", ""]


def test_more_than_a_pipe_holds_goes_both_ways(sc: LocalContext) -> None:
    lines = ["x" * 1000] * 1000
    assert sc.parallelize(lines, 1).pipe("cat").collect() == lines


def test_the_environment_is_the_one_given(sc: LocalContext) -> None:
    assert sc.parallelize([1], 1).pipe("/usr/bin/env", {"ONLY": "this"}).collect() == ["ONLY=this"]


def test_exit_codes_count_only_when_asked(sc: LocalContext) -> None:
    rdd = sc.parallelize([1, 2], 2)
    assert rdd.pipe("false").collect() == []
    with pytest.raises(RDDError, match=r"PIPE_FUNCTION_EXITED.*`false`.*1"):
        rdd.pipe("false", checkCode=True).collect()


def test_a_command_that_the_system_cannot_start_is_an_error(sc: LocalContext, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os_layer, "start_program", fails(errno.EAGAIN))
    with pytest.raises(OSError, match="temporarily unavailable"):
        sc.parallelize([1], 1).pipe("cat").collect()


def test_a_command_that_does_not_read_does_not_block(sc: LocalContext) -> None:
    assert sc.parallelize(["x" * 1000] * 1000, 1).pipe("echo done").collect() == ["done"]


def test_a_command_that_does_not_exist_is_named(sc: LocalContext) -> None:
    with pytest.raises(FileNotFoundError, match="no-such-command"):
        sc.parallelize([1]).pipe("no-such-command").collect()


def test_an_error_in_the_records_fails_the_job_and_ends_the_command(sc: LocalContext) -> None:
    with pytest.raises(ZeroDivisionError):
        sc.parallelize([1, 0], 1).map(lambda x: 1 / x).pipe("cat").collect()


def test_taking_a_few_lines_ends_the_command(sc: LocalContext) -> None:
    def slowly_forever(records: Any) -> Any:
        return itertools.count()

    assert sc.parallelize([0], 1).mapPartitions(slowly_forever).pipe("cat").take(2) == ["0", "1"]
