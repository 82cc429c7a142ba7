"""Settings of Spark that nothing here reads: which of them go without saying, and the warning for the others.

What is listed here tunes the JVM, the network, the web pages or the cluster managers that a Spark cluster consists of:
a program that sets it loses nothing. Anything else that starts with ``spark.`` asks for something which is not there,
so it is warned of. Settings that do mean something are in ``settings``.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable

from localcluster.base.documentation import COMMAND
from localcluster.conf.settings import ENTRIES, EXECUTOR_ENVIRONMENT, EXTERNAL_STORE_OPTIONS, OLD_KEYS
from localcluster.conf.system_properties import SETTINGS

log = logging.getLogger(__name__)

NOT_MISSED = (  # how keys start
    "spark.app.",
    "spark.blockManager.",
    "spark.broadcast.",
    "spark.cleaner.",
    "spark.closure.serializer",
    "spark.deploy.",
    "spark.driver.bindAddress",
    "spark.driver.blockManager.",
    "spark.driver.cores",
    "spark.driver.default",
    "spark.driver.extra",
    "spark.driver.host",
    "spark.driver.memoryOverhead",
    "spark.driver.port",
    "spark.dynamicAllocation.",
    "spark.eventLog.",
    "spark.executor.default",
    "spark.executor.extra",
    "spark.executor.id",
    "spark.executor.logs.",
    "spark.executor.memoryOverhead",
    "spark.history.",
    "spark.home",
    "spark.io.compression.",
    "spark.kryo",
    "spark.kubernetes.",
    "spark.locality.wait.",
    "spark.logConf",
    "spark.memory.",
    "spark.metrics.",
    "spark.network.",
    "spark.port.",
    "spark.pyspark.",
    "spark.python.worker.",
    "spark.rdd.compress",
    "spark.reducer.",
    "spark.repl.",
    "spark.rpc.",
    "spark.scheduler.barrier.",
    "spark.scheduler.listenerbus.",
    "spark.scheduler.maxRegisteredResourcesWaitingTime",
    "spark.scheduler.minRegisteredResourcesRatio",
    "spark.serializer",
    "spark.shuffle.",
    "spark.sql.",
    "spark.storage.",
    "spark.submit.",
    "spark.task.reaper.",
    "spark.ui.",
    "spark.yarn.",
)

_KNOWN = (EXTERNAL_STORE_OPTIONS, EXECUTOR_ENVIRONMENT, *NOT_MISSED)
_warned: set[str] = set()


def warn_of_unknown(keys: Iterable[str]) -> None:
    """Log a warning for each key that would be missed, once in the life of this process."""
    for key in keys:
        known = key in ENTRIES or key in OLD_KEYS or key.startswith(_KNOWN)
        if key.startswith(SETTINGS) and not known and key not in _warned:
            _warned.add(key)
            log.warning(
                "%s has no effect here, but programs can read it; those that have: %s configuration", key, COMMAND
            )
