"""`InputSettings`: what a context's settings say of reading files. What each of them means is in ``conf.settings``."""

from __future__ import annotations

from typing import NamedTuple

from localcluster.conf.setting import Texts
from localcluster.conf.settings import Settings
from localcluster.rdd.input_paths import Directories
from localcluster.rdd.reading import Tolerance


class InputSettings(NamedTuple):
    """As they are when an RDD is made, which takes them along to its tasks."""

    tolerance: Tolerance
    directories: Directories
    least: int  # bytes of a range of a file
    most: int | None
    delimiter: bytes | None  # None: a line end

    @classmethod
    def of(cls, conf: Texts) -> InputSettings:
        settings = Settings(conf)
        if settings.input_directories_are_read:
            directories = Directories.READ
        elif settings.input_directories_are_passed_over:
            directories = Directories.PASSED_OVER
        else:
            directories = Directories.REFUSED
        delimiter = settings.record_delimiter
        return cls(
            Tolerance(settings.files_ignore_missing_files, settings.files_ignore_corrupt_files),
            directories,
            least=settings.split_min_size,
            most=settings.split_max_size,
            delimiter=None if delimiter is None else delimiter.encode("utf-8"),
        )
