"""Files of pools: what is read, what is warned of, what is refused."""

from __future__ import annotations

import logging
from pathlib import Path

import pytest

from localcluster.scheduler.allocation_file import read_pools
from localcluster.scheduler.pools import Pool
from protocol.errors import ConfigurationError

SPARKS_EXAMPLE = """<?xml version="1.0"?>
<allocations>
  <pool name="production">
    <schedulingMode>FAIR</schedulingMode>
    <weight>1</weight>
    <minShare>2</minShare>
  </pool>
  <pool name="test">
    <schedulingMode> fifo </schedulingMode>
    <weight>2</weight>
    <minShare>3</minShare>
  </pool>
  <pool name="plain"/>
</allocations>
"""


@pytest.fixture
def written(tmp_path: Path) -> Path:
    return tmp_path / "fair scheduler.xml"


def test_pools_are_read_with_sparks_defaults(written: Path) -> None:
    written.write_text(SPARKS_EXAMPLE)
    expected = {"production": Pool("production", True, 1, 2), "test": Pool("test", False, 2, 3), "plain": Pool("plain")}
    assert read_pools(str(written)) == expected
    assert read_pools(written.as_uri()) == expected


def test_no_file_means_no_pools() -> None:
    assert read_pools(None) == {}


@pytest.mark.parametrize(
    ("element", "named"),
    [
        ("<weight>much</weight>", "weight of pool p must be a whole number from 1 on, not 'much'"),
        ("<weight>0</weight>", "weight of pool p"),
        ("<minShare>-1</minShare>", "minShare of pool p must be a whole number from 0 on, not '-1'"),
        ("<schedulingMode>NONE</schedulingMode>", "schedulingMode of pool p must be FAIR or FIFO, not 'NONE'"),
    ],
)
def test_a_value_that_means_nothing_is_warned_of_and_left_at_its_default(
    written: Path, caplog: pytest.LogCaptureFixture, element: str, named: str
) -> None:
    written.write_text(f'<allocations><pool name="p">{element}</pool></allocations>')
    with caplog.at_level(logging.WARNING, "localcluster"):
        assert read_pools(str(written)) == {"p": Pool("p")}
    assert named in caplog.text


@pytest.mark.parametrize("text", ["<allocations>", "", "<allocations><pool/></allocations>"])
def test_a_file_that_is_no_list_of_pools_is_refused(written: Path, text: str) -> None:
    written.write_text(text)
    with pytest.raises(ConfigurationError, match=r"allocation\.file must .*fair scheduler\.xml"):
        read_pools(str(written))


def test_a_file_that_is_not_there_is_refused(tmp_path: Path) -> None:
    with pytest.raises(ConfigurationError, match=r"allocation\.file must .*nowhere\.xml.*No such file"):
        read_pools(str(tmp_path / "nowhere.xml"))
