"""PySpark's module of this name: of its types, `Row` alone."""

from localcluster.base.absent import absent_names
from localcluster.sql.row import Row, _create_row

__all__ = ["Row"]

__getattr__ = absent_names(
    "pyspark.sql.types",
    {
        "ArrayType",
        "AtomicType",
        "BinaryType",
        "BooleanType",
        "ByteType",
        "CharType",
        "DataType",
        "DateType",
        "DayTimeIntervalType",
        "DecimalType",
        "DoubleType",
        "FloatType",
        "FractionalType",
        "IntegerType",
        "IntegralType",
        "LongType",
        "MapType",
        "NullType",
        "NumericType",
        "ShortType",
        "StringType",
        "StructField",
        "StructType",
        "TimestampNTZType",
        "TimestampType",
        "UserDefinedType",
        "VarcharType",
        "VariantType",
        "VariantVal",
        "YearMonthIntervalType",
    },
)
