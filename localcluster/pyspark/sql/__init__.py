"""PySpark's package of this name, with what RDD programs need of it."""

from localcluster.base.absent import absent_names
from localcluster.compat.util import is_remote
from localcluster.sql.data_frame import DataFrame
from localcluster.sql.reader import DataFrameReader
from localcluster.sql.row import Row
from localcluster.sql.session import SparkSession

__all__ = ["DataFrame", "DataFrameReader", "Row", "SparkSession", "is_remote"]

__getattr__ = absent_names(
    "pyspark.sql",
    {
        "Catalog",
        "Column",
        "DataFrameNaFunctions",
        "DataFrameStatFunctions",
        "DataFrameWriter",
        "DataFrameWriterV2",
        "Geography",
        "Geometry",
        "GroupedData",
        "HiveContext",
        "MergeIntoWriter",
        "Observation",
        "PandasCogroupedOps",
        "SQLContext",
        "UDFRegistration",
        "UDTFRegistration",
        "VariantVal",
        "Window",
        "WindowSpec",
    },
)
