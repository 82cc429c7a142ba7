"""PySpark's module of this name."""

from localcluster.base.absent import absent_names
from localcluster.compat.testing import (
    ByteArrayOutput,
    PySparkBaseTestCase,
    PySparkErrorTestUtils,
    PySparkTestCase,
    QuietTest,
    ReusedPySparkTestCase,
    connect_requirement_message,
    eventually,
    have_numpy,
    have_package,
    have_pandas,
    have_scipy,
    numpy_requirement_message,
    pandas_requirement_message,
    scipy_requirement_message,
    should_test_connect,
    timeout,
)
from localcluster.serializers.framing import read_int, write_int

__getattr__ = absent_names("pyspark.testing.utils", {"assertDataFrameEqual", "assertSchemaEqual"})
