"""`JobProperties`: what a thread says of the jobs that it starts: local properties, job groups, job tags.

Does not cancel jobs (``job_control``); what properties lead to is in ``scheduler``. Properties belong to a thread:
other threads start without any, see ``threads`` for those that inherit.
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
    """A part of `SparkContext`."""

    _properties: threading.local

    def setLocalProperty(self, key: str, value: str | None) -> None:
        """Set a property of the jobs that this thread starts; None removes it.

        Raises PySparkTypeError for a key that is no string.
        """
        if not isinstance(key, str):
            raise PySparkTypeError(f"The name of a local property must be a string, not {key!r}.")
        properties = self._job_properties()
        if value is None:
            properties.pop(key, None)
        else:
            properties[key] = str(value)
        self._set_job_properties(properties)

    def getLocalProperty(self, key: str) -> str | None:
        """A property of this thread's jobs, None when it is not set."""
        return self._job_properties().get(key)

    def setJobGroup(self, groupId: str, description: str, interruptOnCancel: bool = False) -> None:
        """Put the jobs that this thread starts into a group, for `cancelJobGroup`.

        ``interruptOnCancel`` is noted, as in PySpark, and has no further meaning: tasks are always interrupted.
        """
        self.setLocalProperty(JOB_GROUP, groupId)
        self.setLocalProperty(JOB_DESCRIPTION, description)
        self.setInterruptOnCancel(interruptOnCancel)

    def setJobDescription(self, value: str | None) -> None:
        """Describe the jobs that this thread starts."""
        self.setLocalProperty(JOB_DESCRIPTION, value)

    def setInterruptOnCancel(self, interruptOnCancel: bool) -> None:
        """Noted as a local property, as in PySpark, and without further meaning: tasks are always interrupted."""
        self.setLocalProperty(INTERRUPT_ON_CANCEL, str(interruptOnCancel).lower())

    def addJobTag(self, tag: str) -> None:
        """Tag the jobs that this thread starts, for `cancelJobsWithTag`.

        Raises IllegalArgumentException for a tag that is empty, None or has a comma.

        >>> sc.addJobTag("nightly")
        >>> sc.getJobTags()
        {'nightly'}
        >>> sc.clearJobTags()
        """
        check_tag(tag)
        self._set_tags([*self._tags(), tag])

    def removeJobTag(self, tag: str) -> None:
        """Tag this thread's jobs so no longer. Nothing happens if they were not. Raises as `addJobTag`."""
        check_tag(tag)
        self._set_tags([other for other in self._tags() if other != tag])

    def getJobTags(self) -> set[str]:
        """The tags of the jobs that this thread starts."""
        return set(self._tags())

    def clearJobTags(self) -> None:
        """Tag this thread's jobs no longer."""
        self._set_tags([])

    def _tags(self) -> list[str]:
        return tags_of(self._job_properties())

    def _set_tags(self, tags: list[str]) -> None:
        self.setLocalProperty(JOB_TAGS, ",".join(dict.fromkeys(tags)) or None)

    def _job_properties(self) -> dict[str, str]:
        """A copy of this thread's properties."""
        return dict(getattr(self._properties, "values", {}))

    def _set_job_properties(self, properties: dict[str, str]) -> None:
        """Replace this thread's properties."""
        self._properties.values = properties


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
