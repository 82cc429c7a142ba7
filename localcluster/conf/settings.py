"""Every configuration key that means something here: type, default, what it does.

Keys are Spark's where Spark has one, else ``localcluster.…``; units are written as Spark writes them (``512m``,
``10s``). Covers reading values; setting them is `SparkConf`'s business.

A new setting takes three things, and a test fails for each that is missing: a row in `Settings`, which is the only list
of them; the same row in ``docs/configuration.md``; a test that shows its effect in a run, which ``SHOWN_BY`` in
``tests/integration/test_settings.py`` names. It is read as an attribute: ``Settings(conf).task_cpus``, in tasks
``env.settings.task_cpus``. An option of ``run`` for it is a row in ``submit_options``.
"""

# ruff: noqa: E501, RUF001 (the table has one row a line)

from __future__ import annotations

import math
import os
import re
from collections.abc import Callable, Mapping
from functools import partial
from typing import Any, NoReturn, TypeVar

from localcluster.conf.setting import Setting, Texts
from protocol.errors import ConfigurationError
from storage.conf import StorageConf

_BYTES = {"b": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30, "t": 1 << 40, "p": 1 << 50}
Number = TypeVar("Number", int, float)
_SECONDS = {"us": 1e-6, "ms": 1e-3, "s": 1.0, "m": 60.0, "min": 60.0, "h": 3600.0, "d": 86400.0}


def parse_bytes(text: str, unit: str = "b") -> int:
    """``512m`` → 536870912. A bare number is in ``unit``. Raises ValueError."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(?:([kmgtp])b?|(b?))", text.strip().lower())
    if match is None:
        raise ValueError
    return int(float(match[1]) * _BYTES[match[2] or match[3] or unit])


def bytes_text(size: int) -> str:
    """A size as Spark's messages have it: 1536 KiB, from 2 MiB on in MiB, and so on."""
    units = [unit for unit in ("TiB", "GiB", "MiB", "KiB") if size >= 2 * _BYTES[unit[0].lower()]]
    return f"{size / _BYTES[units[0][0].lower()]:.1f} {units[0]}" if units else f"{size:.1f} B"


def parse_seconds(text: str, unit: str = "s") -> float:
    """``500ms`` → 0.5. A bare number is in ``unit``. Raises ValueError."""
    match = re.fullmatch(r"([0-9]+(?:\.[0-9]+)?)(us|ms|s|m|min|h|d|)", text.strip().lower())
    if match is None:
        raise ValueError
    return float(match[1]) * _SECONDS[match[2] or unit]


def _boolean(text: str) -> bool:
    return {"true": True, "false": False}[text.strip().lower()]


def _positive_int(text: str) -> int:
    value = int(text)
    if value < 1:
        raise ValueError
    return value


def _natural(text: str) -> int:
    value = int(text)
    if value < 0:
        raise ValueError
    return value


def _not_empty(text: str) -> str:
    return text or _reject()


def _port(text: str) -> int:
    value = _natural(text)
    if value > 65535:
        raise ValueError
    return value


def _at_least(least: str, parser: tuple[Callable[[str], Number], str]) -> tuple[Callable[[str], Number], str]:
    """The parser, and what it accepts, for values from ``least`` on."""
    parse, accepts = parser

    def parse_checked(text: str) -> Number:
        value = parse(text)
        if value < parse(least):
            raise ValueError
        return value

    return parse_checked, f"{accepts}; at least {least}"


def _fraction(text: str) -> float:
    value = float(text)
    if not 0 <= value <= 1:
        raise ValueError
    return value


def _ratio(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError
    return value


def _factor(text: str) -> float:
    value = float(text)
    if not 1 < value < math.inf:
        raise ValueError
    return value


def _one_of(*names: str) -> Callable[[str], str]:
    def parse(text: str) -> str:
        matches = [name for name in names if name.lower() == text.strip().lower()]
        return matches[0] if matches else _reject()

    return parse


def _shuffle_manager(text: str) -> str:
    name = text.strip().lower()
    return _one_of("sort", "hash")("sort" if name == "tungsten-sort" else name)


def _reject() -> str:
    raise ValueError


def _names(text: str) -> tuple[str, ...]:
    return tuple(name.strip() for name in text.split(",") if name.strip())


# A number without a unit means what it means in Spark, which differs from key to key.
_BYTES_SIZE = (parse_bytes, "a size such as 512m or 2g; a bare number is bytes")
_MIB_SIZE = (partial(parse_bytes, unit="m"), "a size such as 512m or 2g; a bare number is MiB")
_SECONDS_TIME = (parse_seconds, "a time such as 10s, 500ms or 2m; a bare number is seconds")
_MS_TIME = (partial(parse_seconds, unit="ms"), "a time such as 10s, 500ms or 2m; a bare number is milliseconds")
_FRACTION = (_fraction, "a number from 0 to 1")
_COUNT = (_positive_int, "a whole number above 0")
_BOOLEAN = (_boolean, "true or false")
_SPLIT_SIZE = (_natural, "a whole number of bytes")
_TEXT = (str, "any text")
_LIST = (_names, "names separated by commas")
_LEVELS = ("TRACE", "DEBUG", "INFO", "WARNING", "ERROR")
SPARK_LEVELS = {"ALL": 1, "DEBUG": 10, "ERROR": 40, "WARN": 30, "INFO": 20, "OFF": 100, "FATAL": 50, "TRACE": 5}
"""Spark's names of log levels, and `logging`'s numbers for them."""


class Settings:
    """The table: one row for each key. An object of it has the values that some texts say, each read once.

    Raises ConfigurationError where a value is read that is none.
    """

    def __init__(self, texts: Texts) -> None:
        self.__dict__["texts"] = texts

    def __setattr__(self, name: str, value: object) -> NoReturn:
        raise AttributeError("settings cannot be changed")

    # fmt: off
    master = Setting("spark.master", None, *_TEXT, "`local`, `local[N]`, `local[N, R]`, `local[*]` or `local-cluster[N,C,M]`: N executors (R: attempts per task; C: cores each; M: memory each, MiB). Unset: one executor per core. At most 4096 cores in all.")
    app_name = Setting("spark.app.name", "localcluster", *_TEXT, "Name of the application.")
    executor_instances = Setting("spark.executor.instances", None, *_COUNT, "Number of executors. Unset: from the master, else one per core of the machine.")
    executor_cores = Setting("spark.executor.cores", "1", *_COUNT, "Tasks that an executor runs at once, as threads of one process.")
    executor_memory = Setting("spark.executor.memory", "1g", *_at_least("16m", _MIB_SIZE), "Memory of an executor, of which blocks may take memoryFraction × safetyFraction.")
    driver_memory = Setting("spark.driver.memory", "1g", *_at_least("16m", _MIB_SIZE), "The same for the driver.")
    driver_max_result_size = Setting("spark.driver.maxResultSize", "1g", *_BYTES_SIZE, "Size that the results of one stage's tasks may have together, serialised; a job that exceeds it fails. 0: no limit.")
    storage_memory_fraction = Setting("spark.storage.memoryFraction", "0.6", *_FRACTION, "Share of the memory that cached blocks may take.")
    storage_safety_fraction = Setting("spark.storage.safetyFraction", "0.9", *_FRACTION, "Share of that share that is used, since sizes of Python objects are estimates.")
    storage_unroll_fraction = Setting("spark.storage.unrollFraction", "0.2", *_FRACTION, "Share of storage memory that unrolling a new block may take by evicting others.")
    storage_unroll_memory_threshold = Setting("spark.storage.unrollMemoryThreshold", "1m", *_BYTES_SIZE, "Memory asked for before the first record of a block is unrolled.")
    storage_unroll_memory_growth_factor = Setting("spark.storage.unrollMemoryGrowthFactor", "1.5", _factor, "a number above 1", "How many times its size a block that outgrows its memory asks for while it is unrolled.")
    shared_memory = Setting("localcluster.sharedMemory", None, *_at_least("4m", _BYTES_SIZE), "Shared memory that all processes together may take. Unset: half of what is free in /dev/shm.")
    local_dir = Setting("spark.local.dir", None, *_LIST, "Directories for blocks on disk, separated by commas; the environment's LOCALCLUSTER_LOCAL_DIRS or SPARK_LOCAL_DIRS wins. Unset: the system's temporary directory.")
    disk_store_sub_directories = Setting("spark.diskStore.subDirectories", "64", *_COUNT, "Directories over which the files of blocks are spread, for each process in each local directory.")
    default_parallelism = Setting("spark.default.parallelism", None, *_COUNT, "Partitions where the program does not say. Unset: the number of cores of all executors.")
    shuffle_manager = Setting("spark.shuffle.manager", "sort", _shuffle_manager, "sort or hash", "Layout of map outputs: one indexed block per map task, or one block per map and reduce task. `tungsten-sort` is `sort`.")
    python_profile = Setting("spark.python.profile", "false", *_BOOLEAN, "Whether tasks are profiled, for `SparkContext.show_profiles`.")
    python_profile_dump = Setting("spark.python.profile.dump", None, *_TEXT, "Directory that profiles are written to at exit. Unset: they are printed.")
    python_profile_memory = Setting("spark.python.profile.memory", "false", *_BOOLEAN, "As in Spark, measures UDFs of DataFrames only: `show_profiles` then has nothing to show.")
    python_worker_memory = Setting("spark.python.worker.memory", "512m", *_at_least("4k", _MIB_SIZE), "Memory that one task may gather while it shuffles before it spills to disk.")
    cores_max = Setting("spark.cores.max", None, *_COUNT, "Cores of all executors together: limits their number where `spark.executor.instances` does not say it.")
    task_cpus = Setting("spark.task.cpus", "1", *_COUNT, "Cores that a task takes: an executor runs cores / cpus of them at once. A `local[N]` master then has N / cpus executors of so many cores.")
    task_max_failures = Setting("spark.task.maxFailures", "4", *_COUNT, "Attempts of a task before its job fails.")
    stage_max_consecutive_attempts = Setting("spark.stage.maxConsecutiveAttempts", "4", *_COUNT, "Attempts of a stage whose inputs keep getting lost, or of a barrier stage, before its job fails.")
    barrier_sync_timeout = Setting("spark.barrier.sync.timeout", "365d", *_SECONDS_TIME, "How long a task waits for the others of its barrier stage.")
    task_reaper_kill_timeout = Setting("spark.task.reaper.killTimeout", "10s", *_MS_TIME, "How long a killed task may take to end before its executor is replaced.")
    speculation = Setting("spark.speculation", "false", *_BOOLEAN, "Whether a copy of a task that runs for much longer than the others of its stage is started at another executor; whichever ends first counts.")
    speculation_interval = Setting("spark.speculation.interval", "100ms", *_at_least("1ms", _MS_TIME), "Time between two looks for such tasks.")
    speculation_multiplier = Setting("spark.speculation.multiplier", "3", _ratio, "a number from 0 on", "How many times the median of its stage a task has to run.")
    speculation_quantile = Setting("spark.speculation.quantile", "0.9", *_FRACTION, "Fraction of a stage's tasks that must have ended first.")
    speculation_min_task_runtime = Setting("spark.speculation.minTaskRuntime", "100ms", *_MS_TIME, "Time that it has to run at least.")
    speculation_task_duration_threshold = Setting("spark.speculation.task.duration.threshold", None, *_MS_TIME, "Time after which a task is copied in a stage of no more tasks than one executor runs at once, of which too few have ended to compare with. Unset: none is.")
    exclude_on_failure = Setting("spark.excludeOnFailure.enabled", "false", *_BOOLEAN, "Whether executors on which tasks failed are excluded: from the task, from the stage, and from all stages for a time. An executor counts as a node.")
    exclude_on_failure_task_and_stage = Setting("spark.excludeOnFailure.taskAndStage.enabled", None, *_BOOLEAN, "The same for tasks and stages alone; wins over it.")
    exclude_on_failure_application = Setting("spark.excludeOnFailure.application.enabled", None, *_BOOLEAN, "The same for all stages alone; wins over it.")
    exclude_timeout = Setting("spark.excludeOnFailure.timeout", "1h", *_at_least("1ms", _MS_TIME), "How long an executor is excluded from all stages, and how long a failure counts there.")
    exclude_max_task_attempts_per_executor = Setting("spark.excludeOnFailure.task.maxTaskAttemptsPerExecutor", "1", *_COUNT, "Failures of a task after which it is not tried again on the same executor.")
    exclude_max_task_attempts_per_node = Setting("spark.excludeOnFailure.task.maxTaskAttemptsPerNode", "2", *_COUNT, "The same by node; the lower one counts.")
    exclude_stage_max_failed_tasks = Setting("spark.excludeOnFailure.stage.maxFailedTasksPerExecutor", "2", *_COUNT, "Tasks of a stage that fail on an executor before it gets no more of them.")
    exclude_application_max_failed_tasks = Setting("spark.excludeOnFailure.application.maxFailedTasksPerExecutor", "2", *_COUNT, "Tasks that fail on an executor, of stages that succeed all the same, before it gets none of any stage.")
    kill_excluded_executors = Setting("spark.excludeOnFailure.killExcludedExecutors", "false", *_BOOLEAN, "Whether an executor that is excluded from all stages is replaced.")
    unschedulable_task_set_timeout = Setting("spark.scheduler.excludeOnFailure.unschedulableTaskSetTimeout", "120s", *_MS_TIME, "How long a task that may run on no executor waits for another one before its job fails. An idle one is ended to make room.")
    barrier_check_interval = Setting("spark.scheduler.barrier.maxConcurrentTasksCheck.interval", "15s", *_at_least("1ms", _SECONDS_TIME), "Time between two looks for as many slots as a barrier stage needs that waits for executors.")
    barrier_check_max_failures = Setting("spark.scheduler.barrier.maxConcurrentTasksCheck.maxFailures", "40", _natural, "a whole number from 0 on", "How many of these looks may find too few in a row before its job fails.")
    locality_wait = Setting("spark.locality.wait", "3s", *_MS_TIME, "How long a task waits for the executor that holds its cached block.")
    scheduler_mode = Setting("spark.scheduler.mode", "FIFO", _one_of("FIFO", "FAIR"), "FIFO or FAIR", "Order of the jobs of several threads.")
    scheduler_allocation_file = Setting("spark.scheduler.allocation.file", None, *_TEXT, "XML file of the pools of FAIR scheduling, as Spark's `fairscheduler.xml`; a thread chooses its pool by the local property `spark.scheduler.pool`.")
    executor_heartbeat_interval = Setting("spark.executor.heartbeatInterval", "10s", *_at_least("10ms", _MS_TIME), "Time between an executor's heartbeats. One that is stopped is declared lost after three at most.")
    network_timeout = Setting("spark.network.timeout", "120s", *_SECONDS_TIME, "Time without a message or work after which an executor is declared lost; one that starts has as long to get ready. Longer than the heartbeats' interval.")
    cleaner_ttl = Setting("spark.cleaner.ttl", None, *_at_least("1ms", _SECONDS_TIME), "Time after which cached blocks and broadcasts that no process has used are dropped, even while the program refers to them. Looked at every tenth of it, every 10 s at most. Unset: never.")
    cleaner_reference_tracking = Setting("spark.cleaner.referenceTracking", "true", *_BOOLEAN, "Whether the blocks of RDDs, broadcasts and shuffles that the driver's program dropped are removed.")
    cleaner_reference_tracking_clean_checkpoints = Setting("spark.cleaner.referenceTracking.cleanCheckpoints", "false", *_BOOLEAN, "Whether the files of checkpoints are removed whose RDDs the driver's program dropped.")
    checkpoint_dir = Setting("spark.checkpoint.dir", None, *_TEXT, "Where checkpoints go unless the program calls `setCheckpointDir`.")
    ui_enabled = Setting("spark.ui.enabled", "true", *_BOOLEAN, "Whether there is a status page. It is served from the first time the program asks for `sc.uiWebUrl`.")
    ui_port = Setting("spark.ui.port", "4040", _port, "a port, 0 to 65535", "Port of the status page, on the loopback address. Taken: one of the next. 0: any.")
    port_max_retries = Setting("spark.port.maxRetries", "16", _natural, "a whole number from 0 on", "How many of the ports after `spark.ui.port` are tried.")
    ui_retained_jobs = Setting("spark.ui.retainedJobs", "1000", *_COUNT, "Ended jobs that the status tracker and the status page remember.")
    ui_retained_stages = Setting("spark.ui.retainedStages", "1000", *_COUNT, "Stages of ended jobs that the status tracker and the status page remember.")
    ui_retained_dead_executors = Setting("spark.ui.retainedDeadExecutors", "100", *_COUNT, "Executors that are gone which the status page remembers.")
    ui_show_console_progress = Setting("spark.ui.showConsoleProgress", "true", *_BOOLEAN, "Progress bars of stages that run for more than half a second: at the bottom of a terminal that is standard error, or in a notebook.")
    files = Setting("spark.files", None, *_LIST, "Files that are added as `SparkContext.addFile` does, separated by commas.")
    archives = Setting("spark.archives", None, *_LIST, "Archives that are added as `SparkContext.addArchive` does, separated by commas.")
    submit_py_files = Setting("spark.submit.pyFiles", None, *_LIST, "`.py` files, `.zip` and `.egg` archives put on the import path of driver and executors.")
    files_max_partition_bytes = Setting("spark.files.maxPartitionBytes", "128m", *_BYTES_SIZE, "Bytes from which on a partition of `binaryFiles` takes no further file. 0: no limit.")
    files_open_cost_in_bytes = Setting("spark.files.openCostInBytes", "4m", *_BYTES_SIZE, "Bytes that opening a file of `binaryFiles` counts as, when the size of partitions is chosen.")
    files_ignore_corrupt_files = Setting("spark.files.ignoreCorruptFiles", "false", *_BOOLEAN, "Whether a damaged input file is warned of and passed over from where the damage begins, instead of failing the job.")
    files_ignore_missing_files = Setting("spark.files.ignoreMissingFiles", "false", *_BOOLEAN, "Whether input paths that do not exist, and files that go away before they are read, are passed over instead of failing the job.")
    sql_files_ignore_corrupt_files = Setting("spark.sql.files.ignoreCorruptFiles", "false", *_BOOLEAN, "As `spark.files.ignoreCorruptFiles`, for `spark.read.text`; an option of the reader, `ignoreCorruptFiles`, wins.")
    sql_files_ignore_missing_files = Setting("spark.sql.files.ignoreMissingFiles", "false", *_BOOLEAN, "As `spark.files.ignoreMissingFiles`, for `spark.read.text`, where paths have to exist all the same; `ignoreMissingFiles` of the reader wins.")
    record_delimiter = Setting("spark.hadoop.textinputformat.record.delimiter", None, _not_empty, "text of one character or more", "What separates the records of `textFile`. Unset: LF, CR or CRLF.")
    input_directories_are_read = Setting("spark.hadoop.mapreduce.input.fileinputformat.input.dir.recursive", "false", *_BOOLEAN, "Whether the files of directories in a directory are read, too. Old name: `spark.hadoop.mapred.input.dir.recursive`.", "spark.hadoop.mapred.input.dir.recursive")
    input_directories_are_passed_over = Setting("spark.hadoop.mapreduce.input.fileinputformat.input.dir.nonrecursive.ignore.subdirs", "false", *_BOOLEAN, "Whether directories in a directory are passed over where they are an error otherwise.")
    split_min_size = Setting("spark.hadoop.mapreduce.input.fileinputformat.split.minsize", "0", *_SPLIT_SIZE, "Least bytes of a partition of `textFile`, `pickleFile` and `binaryRecords`. Old name: `spark.hadoop.mapred.min.split.size`.", "spark.hadoop.mapred.min.split.size")
    split_max_size = Setting("spark.hadoop.mapreduce.input.fileinputformat.split.maxsize", None, *_SPLIT_SIZE, "Most bytes of a partition of `binaryRecords`, but for one record. Unset: 32 MiB. Old name: `spark.hadoop.mapred.max.split.size`.", "spark.hadoop.mapred.max.split.size")
    validate_output_specs = Setting("spark.hadoop.validateOutputSpecs", "true", *_BOOLEAN, "Whether `saveAsTextFile` and `saveAsPickleFile` refuse a directory that exists. If not, they replace the files of the same names and leave others there.")
    mark_successful_jobs = Setting("spark.hadoop.mapreduce.fileoutputcommitter.marksuccessfuljobs", "true", *_BOOLEAN, "Whether `saveAsTextFile` and `saveAsPickleFile` leave a file `_SUCCESS` when all others are there.")
    output_compress = Setting("spark.hadoop.mapreduce.output.fileoutputformat.compress", "false", *_BOOLEAN, "Whether `saveAsTextFile` compresses when it is not given a codec. Old name: `spark.hadoop.mapred.output.compress`.", "spark.hadoop.mapred.output.compress")
    output_compress_codec = Setting("spark.hadoop.mapreduce.output.fileoutputformat.compress.codec", "org.apache.hadoop.io.compress.DefaultCodec", _not_empty, "the class of a codec", "The codec that `saveAsTextFile` compresses with then. Old name: `spark.hadoop.mapred.output.compression.codec`.", "spark.hadoop.mapred.output.compression.codec")
    external_block_store_class = Setting("localcluster.externalBlockStore.class", None, *_TEXT, "`package.module.Class` of a block store of your own, used in place of the off-heap store.")
    cache_directory = Setting("localcluster.cache.directory", None, *_TEXT, "Directory of the machine's cache that `RDD.cacheAs` keeps partitions in. Unset: the user's usual one.")
    executor_allow_spark_context = Setting("spark.executor.allowSparkContext", "false", *_BOOLEAN, "Whether a task may make a SparkContext of its own. Read from the conf that is given to its constructor.")
    log_level = Setting("spark.log.level", None, _one_of(*SPARK_LEVELS), " or ".join(SPARK_LEVELS), "Level of localcluster's log records and of those of tasks, as `setLogLevel` sets it. Unset: `localcluster.log.level`, else what the program's logging says.")
    own_log_level = Setting("localcluster.log.level", None, _one_of(*_LEVELS), " or ".join(_LEVELS), "The same with Python's names of levels, and TRACE.")
    faults = Setting("localcluster.faults", None, *_TEXT, "Plan of faults that are injected on purpose: rules separated by `;` or line ends.")
    faults_seed = Setting("localcluster.faults.seed", "0", int, "a whole number", "Seed of what the plan leaves to chance.")
    faults_strict = Setting("localcluster.faults.strict", "false", *_BOOLEAN, "Whether a rule of the plan that never fired is an error at the context's stop, and not a warning.")
    # fmt: on


ENTRIES: dict[str, Setting[Any]] = {row.key: row for row in vars(Settings).values() if isinstance(row, Setting)}

EXTERNAL_STORE_OPTIONS = "localcluster.externalBlockStore."
"""Keys that start with this, other than ``class``, are given to the external store's constructor without the prefix."""

EXECUTOR_ENVIRONMENT = "spark.executorEnv."
"""``spark.executorEnv.NAME`` sets the environment variable NAME in executors."""


OLD_KEYS = frozenset(entry.old_key for entry in ENTRIES.values() if entry.old_key is not None)


def value(texts: Texts, key: str) -> Any:
    """The value of a key that is known only at run time. Raises ConfigurationError."""
    return ENTRIES[key].read(texts)


def check(conf: Mapping[str, str]) -> None:
    """Raises ConfigurationError for the first bad value, or for two that do not go together."""
    for setting in ENTRIES.values():
        setting.read(conf)
    for key, text in conf.items():
        if key.startswith(EXECUTOR_ENVIRONMENT):
            name = key.removeprefix(EXECUTOR_ENVIRONMENT)
            if not name or "=" in name or "\0" in name + text:
                raise ConfigurationError(f"{key!r}: no environment variable can have this name and the value {text!r}")
    settings = Settings(conf)
    timeout, interval = settings.network_timeout, settings.executor_heartbeat_interval
    if timeout <= interval:
        raise ConfigurationError(
            f"The value of spark.network.timeout={timeout:g}s must be greater than the value of "
            f"spark.executor.heartbeatInterval={interval:g}s."
        )
    per_node, attempts = settings.exclude_max_task_attempts_per_node, settings.task_max_failures
    if settings.exclude_on_failure and per_node >= attempts:
        raise ConfigurationError(
            f"spark.excludeOnFailure.task.maxTaskAttemptsPerNode ({per_node}) must be less than "
            f"spark.task.maxFailures ({attempts}), or a task fails for good before it is tried elsewhere."
        )


def storage_conf(conf: Mapping[str, str], memory: int) -> StorageConf:
    """What the storage layer of a process with so many bytes of memory is told."""
    settings = Settings(conf)
    share = settings.storage_memory_fraction * settings.storage_safety_fraction
    options = {
        key.removeprefix(EXTERNAL_STORE_OPTIONS): text
        for key, text in conf.items()
        if key.startswith(EXTERNAL_STORE_OPTIONS) and key != EXTERNAL_STORE_OPTIONS + "class"
    }
    return StorageConf(
        max_memory=int(memory * share),
        shared_memory=shared_memory(settings),
        unroll_threshold=settings.storage_unroll_memory_threshold,
        unroll_growth=settings.storage_unroll_memory_growth_factor,
        unroll_fraction=settings.storage_unroll_fraction,
        sub_directories=settings.disk_store_sub_directories,
        cleaner_ttl=settings.cleaner_ttl,
        external_store=settings.external_block_store_class,
        external_store_options=options,
    )


def shared_memory(settings: Settings) -> int:
    """The run's budget of shared memory in bytes."""
    if settings.shared_memory is not None:
        return settings.shared_memory
    try:
        space = os.statvfs("/dev/shm")
    except OSError:  # no such file system: arenas are files
        return 1 << 30
    return space.f_bavail * space.f_frsize // 2
