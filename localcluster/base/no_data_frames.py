"""The one error for whatever SQL and DataFrames would be needed for, also from ``RDD.toDF``."""

from __future__ import annotations

from typing import Any, NoReturn

from protocol.errors import NoDataFramesError


def no_data_frames(owner: str, name: str, hint: str = "use RDDs") -> NoDataFramesError:
    """The error for ``owner.name``."""
    return NoDataFramesError(
        f"'{owner}' has no attribute '{name}' here: SQL and DataFrames are not part of localcluster; {hint}, or run "
        f"this program on Apache Spark"
    )


class ToDataFrame:
    """A part of `RDD`."""

    def toDF(self, schema: Any = None, sampleRatio: float | None = None) -> NoReturn:
        """Raises NoDataFramesError: there are no DataFrames here."""
        raise no_data_frames("RDD", "toDF", "go on with the RDD itself, whose records may be Row objects")
