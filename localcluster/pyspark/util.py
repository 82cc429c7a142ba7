"""PySpark's module of this name."""

from localcluster.compat.simple_tracebacks import try_simplify_traceback, walk_tb
from localcluster.compat.threads import InheritableThread, inheritable_thread_target
from localcluster.compat.util import (
    JVM_BYTE_MAX,
    JVM_BYTE_MIN,
    JVM_INT_MAX,
    JVM_INT_MIN,
    JVM_LONG_MAX,
    JVM_LONG_MIN,
    JVM_SHORT_MAX,
    JVM_SHORT_MIN,
    PythonEvalType,
    VersionUtils,
    fail_on_stopiteration,
    is_remote_only,
    print_exec,
)
from localcluster.compat.util import parse_memory as _parse_memory
