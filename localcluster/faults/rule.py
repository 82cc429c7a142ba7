"""One fault as data: what happens, where, when.

Covers the record and how it is extended step by step. What the words mean and which go together is ``vocabulary``; the
text form is ``grammar``; a rule is checked when it gets into a `Plan`.
"""

from __future__ import annotations

from typing import Literal, NamedTuple

UNLIMITED = 0
"""As `When.times`: whenever its trigger says so."""


class What(NamedTuple):
    """The action and its parameters; None: its default, or it has no such parameter."""

    action: str
    code: int | None = None  # of exit
    seconds: float | None = None
    exception: str | None = None  # name of a builtin, or with its module
    limit: int | None = None  # bytes
    errno: str | None = None  # its name
    gil: bool | None = None


class Where(NamedTuple):
    """What the rule is about; None: any."""

    executor: str | None = None
    stage: int | str | None = None  # its id, or the RDD's method
    partition: int | None = None
    attempt: int | None = None
    block: str | None = None  # a pattern as the shell's
    message: str | None = None  # name of its class
    call: str | None = None  # name of the function in an os_layer
    role: str | None = None


class When(NamedTuple):
    """Which of the events that the rule is about it fires at."""

    at: str | None = None  # the moment; None: the action's own
    records: int | None = None  # of the middle
    nth: int | None = None
    every: int | None = None
    after_tasks: int | None = None
    after_seconds: float | None = None
    probability: float | None = None
    times: int | None = None  # None: as the trigger says; UNLIMITED


class Rule(NamedTuple):
    """A fault. Made by the functions of ``localcluster.faults`` or by `parse`; the methods give new ones."""

    what: What
    where: Where = Where()
    when: When = When()

    def at(self, moment: str, records: int | None = None) -> Rule:
        """At this moment: ``start``, ``middle`` (after ``records``), ``end``, …; the documentation has all."""
        return self._replace(when=self.when._replace(at=moment, records=records))

    def nth(self, number: int) -> Rule:
        """At the n-th such event, counted from 1."""
        return self._replace(when=self.when._replace(nth=number))

    def every(self, number: int) -> Rule:
        """At the n-th such event, the 2n-th, and so on."""
        return self._replace(when=self.when._replace(every=number))

    def after_tasks(self, number: int) -> Rule:
        """When so many such tasks have reported."""
        return self._replace(when=self.when._replace(after_tasks=number))

    def after_seconds(self, seconds: float) -> Rule:
        """So long after the process was armed."""
        return self._replace(when=self.when._replace(after_seconds=seconds))

    def with_probability(self, probability: float) -> Rule:
        """At each such event with this probability, drawn from the plan's seed."""
        return self._replace(when=self.when._replace(probability=probability))

    def times(self, number: int | Literal["*"]) -> Rule:
        """Fire so often at most; `UNLIMITED` or ``"*"``: without an end."""
        return self._replace(when=self.when._replace(times=UNLIMITED if number == "*" else number))
