"""What the launcher passes on to a driver that it forked, and what the driver's end says."""

from __future__ import annotations

import signal
import subprocess
from collections.abc import Iterator

import pytest

from localcluster.launcher import forked_driver
from localcluster.launcher.forked_driver import ForkedDriver
from tests.support import DEADLINE


@pytest.fixture
def process() -> Iterator[subprocess.Popen[bytes]]:
    with subprocess.Popen(["sleep", "600"]) as process:
        yield process
        process.kill()


def ended(driver: ForkedDriver, process: subprocess.Popen[bytes]) -> None:
    """As the launcher tells it."""
    code = process.wait(DEADLINE)
    driver.ended(-code if code < 0 else code << 8)


@pytest.mark.parametrize(("passed_on", "code"), [(True, 130), (False, 128 + signal.SIGUSR2)])
def test_one_that_ends_by_the_signal_that_stands_for_sigint_was_interrupted(
    process: subprocess.Popen[bytes], passed_on: bool, code: int
) -> None:
    """As when it comes near the driver's end, after Python has put back the signals' default actions."""
    driver = ForkedDriver(process.pid)
    if passed_on:
        driver.pass_on(signal.SIGINT)
    else:
        process.send_signal(signal.SIGUSR2)
    ended(driver, process)
    assert driver.exit_code == code


@pytest.mark.parametrize(
    ("sent_by", "told"),
    [("us", ""), ("others", "localcluster: the driver was killed by signal 15\n")],
)
def test_who_reads_the_output_is_told_of_others_signals_only(
    process: subprocess.Popen[bytes], capsys: pytest.CaptureFixture[str], sent_by: str, told: str
) -> None:
    driver = ForkedDriver(process.pid)
    if sent_by == "us":
        driver.pass_on(signal.SIGTERM)
    else:
        process.terminate()
    ended(driver, process)
    driver.tell_of_signal()
    assert capsys.readouterr().err == told
    assert driver.exit_code == 128 + signal.SIGTERM


def test_one_that_does_not_end_when_told_to_is_killed_after_a_while(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(forked_driver, "TERM_GRACE", -1.0)
    ignores_it = ["sh", "-c", "trap '' TERM; echo ready; read nothing"]
    with subprocess.Popen(ignores_it, stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        process.stdout.readline()
        driver = ForkedDriver(process.pid)
        driver.expire()
        assert process.poll() is None
        driver.pass_on(signal.SIGTERM)
        driver.expire()
        assert process.wait(DEADLINE) == -signal.SIGKILL


def test_nothing_is_sent_to_the_number_of_one_that_has_ended(process: subprocess.Popen[bytes]) -> None:
    driver = ForkedDriver(process.pid)
    driver.ended(0)
    driver.pass_on(signal.SIGTERM)
    driver.end()
    assert process.poll() is None
    assert driver.exit_code == 0
