"""Hadoop's formats, which there are none of here: the methods exist and say what to use instead."""

from __future__ import annotations

from typing import NoReturn, TypeVar

from localcluster.rdd.core import RDDCore
from protocol.errors import PySparkNotImplementedError

T = TypeVar("T")


def _refuse(method: str, instead: str) -> NoReturn:
    raise PySparkNotImplementedError(
        f"{method} is not implemented: Hadoop's formats need a JVM, and localcluster has none. Use {instead}."
    )


_READERS = (
    "textFile, wholeTextFiles, binaryFiles, binaryRecords or pickleFile; for records between delimiters of your own, "
    "spark.read.text(path, lineSep=...).rdd, or textFile and the setting spark.hadoop.textinputformat.record.delimiter"
)
_WRITERS = "saveAsTextFile or saveAsPickleFile"


class HadoopSources:
    """Methods of `SparkContext`. All raise PySparkNotImplementedError."""

    def sequenceFile(
        self,
        path: str,
        keyClass: str | None = None,
        valueClass: str | None = None,
        keyConverter: str | None = None,
        valueConverter: str | None = None,
        minSplits: int | None = None,
        batchSize: int = 0,
    ) -> NoReturn:
        """Use `pickleFile`."""
        _refuse("sequenceFile", "saveAsPickleFile and pickleFile for pairs of any type")

    def newAPIHadoopFile(
        self,
        path: str,
        inputFormatClass: str,
        keyClass: str,
        valueClass: str,
        keyConverter: str | None = None,
        valueConverter: str | None = None,
        conf: dict[str, str] | None = None,
        batchSize: int = 0,
    ) -> NoReturn:
        """Use `textFile` or another of the methods that read files."""
        _refuse("newAPIHadoopFile", _READERS)

    def newAPIHadoopRDD(
        self,
        inputFormatClass: str,
        keyClass: str,
        valueClass: str,
        keyConverter: str | None = None,
        valueConverter: str | None = None,
        conf: dict[str, str] | None = None,
        batchSize: int = 0,
    ) -> NoReturn:
        """Use `textFile` or another of the methods that read files."""
        _refuse("newAPIHadoopRDD", _READERS)

    def hadoopFile(
        self,
        path: str,
        inputFormatClass: str,
        keyClass: str,
        valueClass: str,
        keyConverter: str | None = None,
        valueConverter: str | None = None,
        conf: dict[str, str] | None = None,
        batchSize: int = 0,
    ) -> NoReturn:
        """Use `textFile` or another of the methods that read files."""
        _refuse("hadoopFile", _READERS)

    def hadoopRDD(
        self,
        inputFormatClass: str,
        keyClass: str,
        valueClass: str,
        keyConverter: str | None = None,
        valueConverter: str | None = None,
        conf: dict[str, str] | None = None,
        batchSize: int = 0,
    ) -> NoReturn:
        """Use `textFile` or another of the methods that read files."""
        _refuse("hadoopRDD", _READERS)


class HadoopOutput(RDDCore[T]):
    """Actions of an `RDD`. All raise PySparkNotImplementedError."""

    def saveAsHadoopDataset(
        self, conf: dict[str, str], keyConverter: str | None = None, valueConverter: str | None = None
    ) -> NoReturn:
        """Use `saveAsPickleFile` or `saveAsTextFile`."""
        _refuse("saveAsHadoopDataset", _WRITERS)

    def saveAsHadoopFile(
        self,
        path: str,
        outputFormatClass: str,
        keyClass: str | None = None,
        valueClass: str | None = None,
        keyConverter: str | None = None,
        valueConverter: str | None = None,
        conf: dict[str, str] | None = None,
        compressionCodecClass: str | None = None,
    ) -> NoReturn:
        """Use `saveAsPickleFile` or `saveAsTextFile`."""
        _refuse("saveAsHadoopFile", _WRITERS)

    def saveAsNewAPIHadoopDataset(
        self, conf: dict[str, str], keyConverter: str | None = None, valueConverter: str | None = None
    ) -> NoReturn:
        """Use `saveAsPickleFile` or `saveAsTextFile`."""
        _refuse("saveAsNewAPIHadoopDataset", _WRITERS)

    def saveAsNewAPIHadoopFile(
        self,
        path: str,
        outputFormatClass: str,
        keyClass: str | None = None,
        valueClass: str | None = None,
        keyConverter: str | None = None,
        valueConverter: str | None = None,
        conf: dict[str, str] | None = None,
    ) -> NoReturn:
        """Use `saveAsPickleFile` or `saveAsTextFile`."""
        _refuse("saveAsNewAPIHadoopFile", _WRITERS)

    def saveAsSequenceFile(self, path: str, compressionCodecClass: str | None = None) -> NoReturn:
        """Use `saveAsPickleFile`."""
        _refuse("saveAsSequenceFile", "saveAsPickleFile")
