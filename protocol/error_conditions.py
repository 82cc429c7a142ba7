"""PySpark's error conditions that occur here, and what each says: `PySparkException` puts the two together.

The names are PySpark's. ``{parameters}`` are filled in from ``messageParameters``.
"""

CONDITIONS: dict[str, str] = {
    "APPLICATION_NAME_NOT_SET": "An application name must be set in your configuration.",
    "ATTRIBUTE_NOT_SUPPORTED": "Attribute `{attr_name}` is not supported.",
    "BROADCAST_VARIABLE_NOT_LOADED": "Broadcast variable `{variable}` not loaded.",
    "CALL_BEFORE_INITIALIZE": "Not supported to call `{func_name}` before initializing {object}.",
    "CANNOT_CONVERT_TYPE": "Cannot convert {from_type} into {to_type}.",
    "CANNOT_MODIFY_CONFIG": (
        "Cannot modify the value of the Spark config: {key}: it is read when the context starts, so it has to be set "
        "before. SQLSTATE: 46110"
    ),
    "CANNOT_SET_TOGETHER": "{arg_list} should not be set together.",
    "CHECKPOINT_RDD_BLOCK_ID_NOT_FOUND": (
        "Checkpoint block {rddBlockId} not found! A local checkpoint is only as safe as its blocks: the executor that "
        "held this one is gone, or the RDD was unpersisted. `rdd.checkpoint()` writes files, and "
        "`persist(StorageLevel.DISK_ONLY)` before `localCheckpoint()` keeps blocks that outlive executors."
    ),
    "CONTEXT_ONLY_VALID_ON_DRIVER": (
        "It appears that you are attempting to reference SparkContext from a broadcast variable, action, or "
        "transformation. SparkContext can only be used on the driver, not in code that runs in executors. See "
        "SPARK-5063."
    ),
    "INCORRECT_CONF_FOR_PROFILE": (
        "`spark.python.profile` or `spark.python.profile.memory` configuration must be set to `true` to enable "
        "Python profile."
    ),
    "INVALID_BROADCAST_OPERATION": "Broadcast can only be {operation} in driver.",
    "JVM_ATTRIBUTE_NOT_SUPPORTED": (
        "Attribute `{attr_name}` is not supported: there is no JVM behind localcluster, only Python processes."
    ),
    "KEY_VALUE_PAIR_REQUIRED": "Key-value pair or a list of pairs is required.",
    "MASTER_URL_NOT_SET": "A master URL must be set in your configuration.",
    "MISSING_LIBRARY_FOR_PROFILER": (
        "Install the 'memory_profiler' library in the cluster to enable memory profiling."
    ),
    "NO_ACTIVE_OR_DEFAULT_SESSION": (
        "There is no active Spark session. Make one first, with SparkSession.builder.getOrCreate()."
    ),
    "NOT_IN_BARRIER_STAGE": "It is not in a barrier stage.",
    "NOT_IMPLEMENTED": "{feature} is not implemented.",
    "PATH_NOT_FOUND": "Path does not exist: {path}. SQLSTATE: 42K03",
    "PIPE_FUNCTION_EXITED": "Pipe function `{func_name}` exited with error code {error_code}.",
    "PYTHON_HASH_SEED_NOT_SET": "Randomness of hash of string should be disabled via PYTHONHASHSEED.",
    "RDD_TRANSFORM_ONLY_VALID_ON_DRIVER": (
        "It appears that you are attempting to broadcast an RDD or reference an RDD from an action or transformation. "
        "RDDs exist in the driver only: a function that uses one, as in rdd1.map(lambda x: rdd2.count() * x), cannot "
        "run in an executor. Join, or collect and broadcast the records instead. See SPARK-5063."
    ),
    "READ_ONLY": "{object} is read-only.",
    "SQL_CONF_NOT_FOUND": 'The SQL config "{sqlConf}" cannot be found. SQLSTATE: 42K0I',
    "SPARK_JOB_CANCELLED": "Job {jobId} cancelled {reason}",
    "STOP_ITERATION_OCCURRED": ("Caught StopIteration thrown from user's code; failing the task: {exc}"),
    "TOO_MANY_VALUES": "Expected {expected} values for `{item}`, got {actual}.",
    "UNSUPPORTED_ADD_FILE.DIRECTORY": (
        "Don't support add file. The file {path} is a directory: call addFile with recursive=True to add all of it."
    ),
    "VALUE_NOT_ACCESSIBLE": "Value `{value}` cannot be accessed inside tasks.",
}
