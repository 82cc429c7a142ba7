"""`DataFrame`: what reading text gives, of which only ``.rdd`` and the names of the columns exist."""

from __future__ import annotations

from typing import Any

from localcluster.base.no_data_frames import no_data_frames
from localcluster.rdd.rdd import RDD
from localcluster.sql.row import Row


class DataFrame:
    """The rows of an RDD. Any other attribute raises NoDataFramesError."""

    def __init__(self, rdd: RDD[Row], columns: list[str]) -> None:
        self._rdd = rdd
        self._columns = columns

    @property
    def rdd(self) -> RDD[Row]:
        return self._rdd

    @property
    def columns(self) -> list[str]:
        return list(self._columns)

    def __getattr__(self, name: str) -> Any:
        raise no_data_frames("DataFrame", name, "its .rdd has the rows")
