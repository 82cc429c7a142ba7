"""Modules of PySpark that this project lacks: a table of them, and the finder by which importing one says what to use.

`localcluster.pyspark` installs it. What is neither in the table nor a file there is unknown, as any other module.
"""

from __future__ import annotations

import sys
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType
from typing import NoReturn

from localcluster.base.absent import USE_RDDS, absent

_ON_PARTITIONS = "use scikit-learn and the like in mapPartitions, or run this program on Apache Spark"
ABSENT = {  # {module: what to use in its place}
    "pyspark.find_spark_home": "there is no Spark installation to find",
    "pyspark.install": "there is no Spark to install",
    "pyspark.java_gateway": "there is no JVM behind localcluster, only Python processes",
    "pyspark.ml": _ON_PARTITIONS,
    "pyspark.mllib": _ON_PARTITIONS,
    "pyspark.pandas": "use pandas itself, in mapPartitions perhaps, or run this program on Apache Spark",
    "pyspark.pipelines": USE_RDDS,
    "pyspark.shell": "make a SparkContext in an ordinary Python shell",
    "pyspark.sql.avro": USE_RDDS,
    "pyspark.sql.catalog": USE_RDDS,
    "pyspark.sql.column": USE_RDDS,
    "pyspark.sql.connect": USE_RDDS,
    "pyspark.sql.functions": USE_RDDS,
    "pyspark.sql.group": USE_RDDS,
    "pyspark.sql.observation": USE_RDDS,
    "pyspark.sql.pandas": USE_RDDS,
    "pyspark.sql.protobuf": USE_RDDS,
    "pyspark.sql.streaming": USE_RDDS,
    "pyspark.sql.udf": USE_RDDS,
    "pyspark.sql.window": USE_RDDS,
    "pyspark.streaming": USE_RDDS,
    "pyspark.testing.connectutils": USE_RDDS,
    "pyspark.testing.pandasutils": USE_RDDS,
    "pyspark.testing.sqlutils": USE_RDDS,
}


_FACADE = "localcluster."  # what is before PySpark's name in the name of a module of the facade


class AbsentFinder(MetaPathFinder, Loader):
    """Finds the modules of the table, and raises when one is loaded."""

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        known = fullname.startswith(_FACADE) and fullname.removeprefix(_FACADE) in ABSENT
        return ModuleSpec(fullname, self) if known else None

    def exec_module(self, module: ModuleType) -> NoReturn:
        self.get_code(module.__name__)

    def get_code(self, fullname: str) -> NoReturn:
        """What ``python -m`` asks for."""
        name = fullname.removeprefix(_FACADE)
        raise absent(name, ABSENT[name])


_FINDER = AbsentFinder()


def install() -> None:
    """Behind Python's own finders, which find none of these: other imports pay nothing for it. Idempotent."""
    if _FINDER not in sys.meta_path:
        sys.meta_path.append(_FINDER)
