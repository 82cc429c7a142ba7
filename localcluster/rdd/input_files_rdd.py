"""`InputFilesRDD`: what the RDDs that read files have in common."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

from localcluster.rdd.input_paths import Directories, InputFile, input_files
from localcluster.rdd.input_settings import InputSettings
from localcluster.rdd.rdd import RDD

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService


class InputFilesRDD(RDD[Any]):
    """``path`` may mean several files, which are looked up when partitions are first needed."""

    kind = "MapPartitionsRDD"

    _travels = (*RDD._travels, "settings")

    def __init__(self, ctx: JobService, path: str) -> None:
        super().__init__(ctx)
        self.path = path
        self.settings = InputSettings.of(ctx.conf)

    def _files(self, directories: Directories | None = None) -> list[InputFile]:
        """Raises what `input_files` raises."""
        settings = self.settings
        return input_files(self.path, directories or settings.directories, ignore_missing=settings.tolerance.missing)
