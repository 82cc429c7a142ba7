"""PySpark's module of this name."""

from localcluster.absent import absent_names
from localcluster.serializers.framing import read_int, write_int
from localcluster.testing import (
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

__getattr__ = absent_names("pyspark.testing.utils", {"assertDataFrameEqual", "assertSchemaEqual"})
