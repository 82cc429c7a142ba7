"""`JobProperties`: what each thread says of the jobs that it starts: local properties, job groups, job tags.

Covers keeping them. What they lead to is in ``scheduler``.
"""

from __future__ import annotations

import threading
from collections.abc import Mapping

from protocol.errors import PySparkTypeError
from protocol.sql_errors import IllegalArgumentException

JOB_GROUP = "spark.jobGroup.id"
JOB_DESCRIPTION = "spark.job.description"
JOB_TAGS = "spark.job.tags"
INTERRUPT_ON_CANCEL = "spark.job.interruptOnCancel"


class JobProperties:
    """The local properties of a context, which go with its jobs.

    Properties belong to a thread: each starts without any.
    """

    def __init__(self) -> None:
        self._of_thread = threading.local()

    def copy(self) -> dict[str, str]:
        """This thread's properties."""
        return dict(getattr(self._of_thread, "values", {}))

    def replace(self, properties: Mapping[str, str]) -> None:
        """Let this thread have these and no others."""
        self._of_thread.values = dict(properties)

    def set(self, key: str, value: str | None) -> None:
        """None removes it. Raises PySparkTypeError for a key that is no string."""
        if not isinstance(key, str):
            raise PySparkTypeError(f"The name of a local property must be a string, not {key!r}.")
        properties = self.copy()
        if value is None:
            properties.pop(key, None)
        else:
            properties[key] = str(value)
        self.replace(properties)

    def tags(self) -> list[str]:
        return tags_of(self.copy())

    def add_tag(self, tag: str) -> None:
        """Raises as `check_tag`."""
        check_tag(tag)
        self.set(JOB_TAGS, ",".join(dict.fromkeys([*self.tags(), tag])))

    def remove_tag(self, tag: str) -> None:
        """Raises as `check_tag`."""
        check_tag(tag)
        self.set(JOB_TAGS, ",".join(other for other in self.tags() if other != tag) or None)


def check_tag(tag: str) -> None:
    """Raises IllegalArgumentException or PySparkTypeError."""
    if tag is None:
        raise IllegalArgumentException("Spark job tag cannot be null.")
    if not isinstance(tag, str):
        raise PySparkTypeError(f"A job tag must be a string, not {tag!r}.")
    if tag == "":
        raise IllegalArgumentException("Spark job tag cannot be an empty string.")
    if "," in tag:
        raise IllegalArgumentException("Spark job tag cannot contain ','.")


def tags_of(properties: Mapping[str, str]) -> list[str]:
    """A job's tags."""
    return [tag for tag in properties.get(JOB_TAGS, "").split(",") if tag]
