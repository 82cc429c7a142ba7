"""For how long a table of map outputs that an executor fetched is good."""

from __future__ import annotations

from localcluster.shuffle.kept_tables import KeptTables
from localcluster.shuffle.map_status import MapStatus

TABLE = [MapStatus("1", 0, ())]


def kept() -> KeptTables:
    tables = KeptTables()
    tables.keep(5, TABLE, tables.forgotten)
    return tables


def test_a_table_is_kept_until_an_output_was_lost() -> None:
    tables = kept()
    tables.advance(0)
    assert tables.get(5) == TABLE
    tables.advance(1)
    assert tables.get(5) is None


def test_an_older_epoch_comes_too_late_to_forget_anything() -> None:
    tables = KeptTables()
    tables.advance(3)
    tables.keep(5, TABLE, tables.forgotten)
    tables.advance(2)
    assert tables.get(5) == TABLE


def test_a_table_with_gaps_is_not_kept() -> None:
    tables = KeptTables()
    tables.keep(5, [None, *TABLE], tables.forgotten)
    assert tables.get(5) is None


def test_an_answer_that_was_overtaken_is_not_kept() -> None:
    tables = KeptTables()
    before = tables.forgotten
    tables.advance(1)
    tables.keep(5, TABLE, before)
    assert tables.get(5) is None


def test_a_shuffle_that_is_gone_is_forgotten() -> None:
    tables = kept()
    tables.forget(5)
    assert tables.get(5) is None
