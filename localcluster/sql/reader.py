"""`DataFrameReader`: ``spark.read``, which reads text files."""

from __future__ import annotations

import os
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any, Protocol

from localcluster.base.arguments import PathLike, path_text
from localcluster.base.no_data_frames import no_data_frames
from localcluster.conf import settings
from localcluster.rdd.input_paths import InputFile, input_files
from localcluster.rdd.reading import Tolerance
from localcluster.sql.data_frame import DataFrame
from localcluster.sql.text_rows_rdd import TextRowsRDD
from protocol.errors import InputPathError, PySparkNotImplementedError
from protocol.sql_errors import AnalysisException

if TYPE_CHECKING:
    from localcluster.rdd.job_service import JobService
    from localcluster.sql.session_conf import RuntimeConfig

_OPTIONS = {"wholetext", "linesep", "ignorecorruptfiles", "ignoremissingfiles"}


class Session(Protocol):
    """What a reader needs of a `SparkSession`."""

    conf: RuntimeConfig

    @property
    def sparkContext(self) -> JobService: ...


class DataFrameReader:
    """Options gather until `text` or `load` reads. Any format but text raises NoDataFramesError."""

    def __init__(self, spark: Session) -> None:
        self._spark = spark
        self._options: dict[str, Any] = {}  # {name in lower case: value}

    def format(self, source: str) -> DataFrameReader:
        if source != "text":
            raise no_data_frames("DataFrameReader", f"format({source!r})", "read text files")
        return self

    def option(self, key: str, value: Any) -> DataFrameReader:
        """``wholetext``, ``lineSep``, ``ignoreCorruptFiles`` or ``ignoreMissingFiles``. Raises
        PySparkNotImplementedError for others.
        """
        if key.lower() not in _OPTIONS:
            raise PySparkNotImplementedError(
                f"the option {key} of reading is not part of localcluster, which knows wholetext, lineSep, "
                f"ignoreCorruptFiles and ignoreMissingFiles; choose files by a glob in the path"
            )
        self._options[key.lower()] = value
        return self

    def options(self, **options: Any) -> DataFrameReader:
        for key, value in options.items():
            self.option(key, value)
        return self

    def load(
        self,
        path: PathLike | Iterable[PathLike] | None = None,
        format: str | None = None,
        schema: Any = None,
        **options: Any,
    ) -> DataFrame:
        """As `text`; ``format`` has to be "text"."""
        self.format(format or "text")
        if schema is not None:
            raise no_data_frames("DataFrameReader", "load(schema=...)", "rows of text have one field, value")
        self.options(**options)
        return self._read([] if path is None else path)

    def text(
        self,
        paths: PathLike | Iterable[PathLike],
        wholetext: bool = False,
        lineSep: str | None = None,
        pathGlobFilter: Any = None,
        recursiveFileLookup: Any = None,
        modifiedBefore: Any = None,
        modifiedAfter: Any = None,
    ) -> DataFrame:
        """One row with the field ``value`` for each line of UTF-8 text: files, directories, globs, compressed or not.

        ``wholetext`` makes one row of each file, ``lineSep`` ends lines in place of LF, CR and CRLF.

        Raises AnalysisException at once for a path that does not exist, PySparkNotImplementedError for the options
        that choose among files.

        >>> spark.read.text("README.md").rdd.map(lambda row: row.value).first()  # doctest: +SKIP
        '# localcluster'
        """
        choices = {
            "pathGlobFilter": pathGlobFilter,
            "recursiveFileLookup": recursiveFileLookup,
            "modifiedBefore": modifiedBefore,
            "modifiedAfter": modifiedAfter,
        }
        self.options(**{key: value for key, value in choices.items() if value is not None})
        if wholetext:
            self.option("wholetext", wholetext)
        if lineSep is not None:
            self.option("lineSep", lineSep)
        return self._read(paths)

    def _read(self, paths: PathLike | Iterable[PathLike]) -> DataFrame:
        if isinstance(paths, (str, bytes)) or not isinstance(paths, Iterable):
            paths = [paths]
        files = [file for path in paths for file in _files(path_text(path, "paths"))]
        tolerance = Tolerance(self._is_set("ignoreMissingFiles"), self._is_set("ignoreCorruptFiles"))
        rdd = TextRowsRDD(
            self._spark.sparkContext, files, self._is_set("wholetext"), self._options.get("linesep"), tolerance
        )
        return DataFrame(rdd, ["value"])

    def _is_set(self, option: str) -> bool:
        """Whether an option is true, or, where it is not given, the session's setting of its name."""
        given, key = self._options.get(option.lower()), f"spark.sql.files.{option}"
        if given is None and key in settings.ENTRIES:
            return bool(settings.value(self._spark.conf.getAll, key))
        return str(given).lower() == "true"

    def __getattr__(self, name: str) -> Any:
        raise no_data_frames("DataFrameReader", name, "read text files, or sc.pickleFile and the like")


def _files(path: str) -> list[InputFile]:
    try:
        return input_files([path])
    except InputPathError as error:
        shown = path if path.startswith("file:") else f"file:{os.path.abspath(path)}"
        raise AnalysisException(errorClass="PATH_NOT_FOUND", messageParameters={"path": shown}) from error
