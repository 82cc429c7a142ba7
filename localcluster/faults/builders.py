"""Rules made in Python: one function for each action.

What is left of their arguments says where, as in the text form (``executor``, ``stage``, ``partition``, ``attempt``,
``block``, ``message``, ``call``, ``role``); when is said by the methods of the `Rule` that comes back. Whether it all
goes together is looked at when the rule gets into a `Plan`.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import TYPE_CHECKING, Any, TypeAlias, TypedDict

from localcluster.faults import grammar
from localcluster.faults.fault_plan import Plan
from localcluster.faults.keys import KEYS
from localcluster.faults.rule import Rule, What, Where
from localcluster.faults.vocabulary import unknown
from protocol.errors import FaultPlanError

if TYPE_CHECKING:
    from typing_extensions import Unpack


class Place(TypedDict, total=False):
    """Where a rule acts; what is left out is any."""

    executor: str | int
    stage: str | int
    partition: int
    attempt: int
    block: str
    message: str
    call: str
    role: str


Part: TypeAlias = "str | Rule | Plan | Iterable[Part]"
"""What a plan is made of: texts, rules, other plans, and lists of these."""


def plan(*parts: Part, seed: int | None = None) -> Plan:
    """All these rules as one plan, with this seed, or that of the first plan among them, or 0.

    Raises FaultPlanError.
    """
    flat = list(_flat(parts))
    seeds = [part.seed for part in flat if isinstance(part, Plan)]
    rules = [rule for part in flat for rule in ([part] if isinstance(part, Rule) else part.rules)]
    return Plan(rules, seed if seed is not None else seeds[0] if seeds else 0)


def _flat(parts: Iterable[Part]) -> Iterator[Rule | Plan]:
    for part in parts:
        if isinstance(part, str):
            yield from grammar.parse(part)
        elif isinstance(part, Rule | Plan):  # a rule is a tuple, too
            yield part
        elif isinstance(part, Iterable):
            yield from _flat(part)
        else:
            raise FaultPlanError(f"a plan is made of texts, rules, plans and lists of them, not of {part!r}")


# --- what happens to a process ---------------------------------------------------------------------------------------


def kill(**where: Unpack[Place]) -> Rule:
    """The process gets SIGKILL."""
    return Rule(What("kill"), _place(where))


def exiting(code: int | None = None, **where: Unpack[Place]) -> Rule:
    """The process exits at once, without any cleaning up."""
    return Rule(What("exit", code=code), _place(where))


def segfault(**where: Unpack[Place]) -> Rule:
    """The process reads where there is no memory."""
    return Rule(What("segfault"), _place(where))


def stop(seconds: float | None = None, **where: Unpack[Place]) -> Rule:
    """The process is stopped, for so long or for good."""
    return Rule(What("stop", seconds=seconds), _place(where))


def raising(exception: type[BaseException] | str, **where: Unpack[Place]) -> Rule:
    """An exception of this class is raised."""
    if isinstance(exception, type):
        module = exception.__module__
        exception = exception.__qualname__ if module == "builtins" else f"{module}.{exception.__qualname__}"
    return Rule(What("raise", exception=exception), _place(where))


def hog(limit: int | None = None, **where: Unpack[Place]) -> Rule:
    """Memory is allocated until something gives, or so many bytes are held."""
    return Rule(What("hog", limit=limit), _place(where))


def slow(seconds: float, **where: Unpack[Place]) -> Rule:
    """What comes there goes on so much later, each time."""
    return Rule(What("slow", seconds=seconds), _place(where))


def hang(gil: bool | None = None, **where: Unpack[Place]) -> Rule:
    """What comes there does not go on; with ``gil`` nothing in its process does."""
    return Rule(What("hang", gil=gil), _place(where))


def silence(seconds: float | None = None, **where: Unpack[Place]) -> Rule:
    """The executor sends no heartbeats, for so long or ever."""
    return Rule(What("silence", seconds=seconds), _place(where))


def fail_fork(**where: Unpack[Place]) -> Rule:
    """There is no process for an executor."""
    return Rule(What("fail_fork"), _place(where))


def delay_fork(seconds: float, **where: Unpack[Place]) -> Rule:
    """An executor is forked so much later."""
    return Rule(What("delay_fork", seconds=seconds), _place(where))


# --- messages --------------------------------------------------------------------------------------------------------


def drop(**where: Unpack[Place]) -> Rule:
    """A message is lost."""
    return Rule(What("drop"), _place(where))


def delay(seconds: float, **where: Unpack[Place]) -> Rule:
    """A message comes so much later."""
    return Rule(What("delay", seconds=seconds), _place(where))


def duplicate(**where: Unpack[Place]) -> Rule:
    """A message comes twice."""
    return Rule(What("duplicate"), _place(where))


def reorder(**where: Unpack[Place]) -> Rule:
    """A message comes after the one behind it."""
    return Rule(What("reorder"), _place(where))


def garble(**where: Unpack[Place]) -> Rule:
    """Bits of a message are flipped."""
    return Rule(What("garble"), _place(where))


# --- blocks ----------------------------------------------------------------------------------------------------------


def lose(**where: Unpack[Place]) -> Rule:
    """A block's bytes are removed."""
    return Rule(What("lose"), _place(where))


def truncate(**where: Unpack[Place]) -> Rule:
    """A block's bytes are cut short."""
    return Rule(What("truncate"), _place(where))


def corrupt(**where: Unpack[Place]) -> Rule:
    """Bits of a block are flipped."""
    return Rule(What("corrupt"), _place(where))


# --- calls of the operating system -----------------------------------------------------------------------------------


def fail(errno: str | None = None, **where: Unpack[Place]) -> Rule:
    """A call raises OSError with this errno, given by its name."""
    return Rule(What("fail", errno=errno), _place(where))


def short(**where: Unpack[Place]) -> Rule:
    """A call takes fewer bytes than it was given."""
    return Rule(What("short"), _place(where))


def full(**where: Unpack[Place]) -> Rule:
    """Shared memory has no room."""
    return Rule(What("full"), _place(where))


def _place(where: Place) -> Where:
    """Texts mean what they mean in the text form. Raises FaultPlanError, TypeError for an unknown argument."""
    values: dict[str, Any] = dict(where)
    for name in values.keys() - set(Where._fields):
        raise TypeError(str(unknown("argument", name, Where._fields)))
    if "executor" in values:
        values["executor"] = str(values["executor"])
    return Where(
        **{name: KEYS[name].parse(value) if isinstance(value, str) else value for name, value in values.items()}
    )
