"""The keys of a rule: to which part of it each belongs, how its value is read from text and written to it.

A value is good if its text means that value again; so plans made in Python and plans made of text are held to the same.
Which keys an action takes is ``check``.
"""

from __future__ import annotations

import builtins
import math
import re
from collections.abc import Callable, Iterable
from functools import partial
from typing import Any, NamedTuple

from localcluster.conf.settings import parse_bytes
from localcluster.faults.rule import UNLIMITED, Rule
from localcluster.faults.vocabulary import ENDS_OF_STAGES, MOMENTS, ROLES, unknown
from protocol.errors import FaultPlanError

ANY = "*"
"""As the value of a key of *where*: any, as if the key were not there."""

_NAME = r"[^\W\d]\w*"


class Key(NamedTuple):
    name: str
    part: str  # of the rule: what, where or when
    read: Callable[[str], Any]  # raises ValueError
    accepts: str
    doc: str

    def parse(self, text: str) -> Any:
        """Raises FaultPlanError that names key, text and what is accepted."""
        if text == ANY and self.part == "where":
            return None
        try:
            return self.read(text)
        except FaultPlanError:
            raise
        except ValueError:
            raise FaultPlanError(f"{self.name}= must be {self.accepts}, not {text!r}") from None

    def check(self, value: Any) -> None:
        """Raises FaultPlanError for a value that no text means."""
        if self.parse(text_of(self.name, value)) != value:
            raise FaultPlanError(f"{self.name}= must be {self.accepts}, not {value!r}")


def text_of(name: str, value: Any) -> str:
    """A value as text."""
    if isinstance(value, bool):
        return "yes" if value else "no"
    return ANY if name == "times" and value == UNLIMITED else str(value)


def rule_text(rule: Rule) -> str:
    """The text that means this rule."""
    values = [(name, value) for part in rule for name, value in part._asdict().items() if value is not None]
    return " ".join(value if name == "action" else f"{name}={text_of(name, value)}" for name, value in values)


def _whole(text: str, least: int) -> int:
    if not re.fullmatch(r"[0-9]+", text) or int(text) < least:
        raise ValueError
    return int(text)


def _exit_code(text: str) -> int:
    code = _whole(text, 0)
    if code > 255:
        raise ValueError
    return code


def _times(text: str) -> int:
    return UNLIMITED if text == ANY else _whole(text, 1)


def _seconds(text: str) -> float:
    value = float(text)
    if not 0 <= value < math.inf:
        raise ValueError
    return value


def _probability(text: str) -> float:
    value = float(text)
    if not 0 < value <= 1:
        raise ValueError
    return value


def _yes_or_no(text: str) -> bool:
    if text not in ("yes", "no"):
        raise ValueError
    return text == "yes"


def _exception(text: str) -> str:
    if "." in text:
        if not re.fullmatch(rf"{_NAME}(\.{_NAME})+", text):
            raise ValueError
        return text
    if text not in _builtin_exceptions():
        raise unknown("builtin exception", text, _builtin_exceptions())
    return text


def _builtin_exceptions() -> list[str]:
    kinds = vars(builtins).items()
    return [name for name, kind in kinds if isinstance(kind, type) and issubclass(kind, BaseException)]


def _errno(text: str) -> str:
    from errno import errorcode

    return _one_of("errno", sorted(errorcode.values()), text)


def _stage(text: str) -> int | str:
    return _one_of("stage that ends in", ENDS_OF_STAGES, text) if re.fullmatch(_NAME, text) else _whole(text, 0)


def _executor(text: str) -> str:
    return str(_whole(text, 0))


def _no_spaces(text: str) -> str:
    if not text or re.search(r"[\s;]", text):
        raise ValueError
    return text


def _message(text: str) -> str:
    _one_of("message", messages(), text.removesuffix(ANSWER))
    return text


def _call(text: str) -> str:
    return _one_of("call", calls(), text)


def _one_of(kind: str, known: Iterable[str], text: str) -> str:
    if text not in known:
        raise unknown(kind, text, known)
    return text


ANSWER = ".answer"


def messages() -> list[str]:
    """Names of all messages between the processes of a run."""
    from protocol import block_messages, cluster_messages
    from protocol.message import Message, Order, Report

    kinds = {**vars(block_messages), **vars(cluster_messages)}.values()
    found = {kind for kind in kinds if isinstance(kind, type) and issubclass(kind, Message)}
    return sorted(kind.__name__ for kind in found - {Message, Order, Report})


def calls() -> list[str]:
    """Names of the calls of the operating system that can be made to fail: the functions of its doors."""
    from localcluster.base import os_layer as processes
    from storage import os_layer as files

    found = [(door, name, value) for door in (files, processes) for name, value in vars(door).items()]
    return sorted({n for door, n, v in found if getattr(v, "__module__", "") == door.__name__ and n[0] != "_"})


_COUNT = (partial(_whole, least=1), "a whole number from 1 on")
_NUMBER = (partial(_whole, least=0), "a whole number from 0 on")
_TIME = (_seconds, "a number of seconds")

KEYS = {
    key.name: key
    for key in (
        Key("code", "what", _exit_code, "a number from 0 to 255", "the exit code"),
        Key("seconds", "what", *_TIME, "how long"),
        Key("exception", "what", _exception, "the name of a builtin exception, or module.Class", "the class"),
        Key("limit", "what", parse_bytes, "a size such as 512m or 2g", "how much memory is taken"),
        Key("errno", "what", _errno, "the name of an errno, as ENOSPC", "what the system says"),
        Key("gil", "what", _yes_or_no, "yes or no", "whether the GIL is kept, and so the whole process stands still"),
        Key("executor", "where", _executor, "the id of an executor, a whole number", "an executor's id: 0, 1, …"),
        Key("stage", "where", _stage, "a stage's number or an RDD's method", "its number, or the method it ends in"),
        Key("partition", "where", *_NUMBER, "the task's partition"),
        Key("attempt", "where", *_NUMBER, "the task's attempt, from 0"),
        Key("block", "where", _no_spaces, "a pattern of block names, as rdd_*_3", "a pattern, as of the shell"),
        Key(
            "message",
            "where",
            _message,
            "the name of a message",
            "its type (protocol/); with `.answer`: what answers it",
        ),
        Key("call", "where", _call, "the name of a call", "a function of an os_layer"),
        Key("role", "where", partial(_one_of, "role", ROLES), " or ".join(ROLES), "kind of process"),
        Key("at", "when", partial(_one_of, "moment at", MOMENTS), "a moment", "see below"),
        Key("records", "when", *_COUNT, "of `at=middle`: after how many"),
        Key("nth", "when", *_COUNT, "at the n-th such event"),
        Key("every", "when", *_COUNT, "at each n-th such event"),
        Key("after_tasks", "when", *_COUNT, "when so many such tasks have reported"),
        Key("after_seconds", "when", *_TIME, "not before the process was armed for so long"),
        Key("probability", "when", _probability, "a number above 0, up to 1", "at such an event, by the plan's seed"),
        Key("times", "when", _times, "a whole number from 1 on, or *", "how often at most"),
    )
}
