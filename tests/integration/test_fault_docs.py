"""The examples of docs/fault-injection.md, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

from tests.integration.test_pytest_plugin import ROOT, run_tests

PAGE = (ROOT / "docs" / "fault-injection.md").read_text()


def programs(name: str) -> list[str]:
    """The blocks of code on the page that begin with this file name, in order."""
    return [code for code in re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL) if code.startswith(f"# {name}\n")]


def test_the_loss_of_any_executor_in_any_stage(tmp_path: Path) -> None:
    (program,), (tests,) = programs("totals.py"), programs("test_totals.py")
    assert len([line for line in tests.splitlines() if line.strip()]) < 20
    (tmp_path / "totals.py").write_text(program)
    report = run_tests(tmp_path, tests)
    assert report.counts == {"passed": 8}, report.text


def test_the_flaky_job_fails_and_the_mended_one_passes(tmp_path: Path) -> None:
    (flaky, mended), (tests,) = programs("orders.py"), programs("test_orders.py")
    for number, (program, count) in enumerate([(flaky, "failed"), (mended, "passed")]):
        directory = tmp_path / str(number)
        directory.mkdir()
        (directory / "orders.py").write_text(program)
        report = run_tests(directory, tests)
        assert report.counts == {count: 3}, report.text


def test_the_examples_of_a_task_that_kills_its_executor_and_of_what_is_told_of_it(tmp_path: Path) -> None:
    blocks = re.findall(r"```python\n(.*?)```", PAGE, re.DOTALL)
    killing = next(code for code in blocks if "def die_once" in code)
    asking = next(code for code in blocks if "map(die_once)" in code and "sc.events" in code)
    program = tmp_path / "program.py"
    program.write_text(killing + asking)
    told = subprocess.run([sys.executable, program], capture_output=True, text=True, timeout=60, check=True).stdout
    assert re.search(r"^executor \d+ \(pid \d+\) was killed by signal 9, often the system's", told), told
