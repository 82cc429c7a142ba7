"""`InputSettings`: what a context's settings say of reading files. What each of them means is in ``conf.settings``."""

from __future__ import annotations

from typing import NamedTuple

from localcluster.conf.settings import Texts, value
from localcluster.rdd.input_paths import Directories
from localcluster.rdd.reading import Tolerance

_FORMAT = "spark.hadoop.mapreduce.input.fileinputformat."


class InputSettings(NamedTuple):
    """As they are when an RDD is made, which takes them along to its tasks."""

    tolerance: Tolerance
    directories: Directories
    least: int  # bytes of a range of a file
    most: int | None
    delimiter: bytes | None  # None: a line end

    @classmethod
    def of(cls, conf: Texts) -> InputSettings:
        missing = value(conf, "spark.files.ignoreMissingFiles")
        damaged = value(conf, "spark.files.ignoreCorruptFiles")
        if value(conf, _FORMAT + "input.dir.recursive"):
            directories = Directories.READ
        elif value(conf, _FORMAT + "input.dir.nonrecursive.ignore.subdirs"):
            directories = Directories.PASSED_OVER
        else:
            directories = Directories.REFUSED
        delimiter = value(conf, "spark.hadoop.textinputformat.record.delimiter")
        return cls(
            Tolerance(missing, damaged),
            directories,
            least=value(conf, _FORMAT + "split.minsize"),
            most=value(conf, _FORMAT + "split.maxsize"),
            delimiter=None if delimiter is None else delimiter.encode("utf-8"),
        )
