"""Accumulators: values that tasks add to and only the driver reads. PySpark's ``accumulators`` module.

A task adds to a copy of its own, starting from the parameter's zero; the copy travels with the task's result, and the
driver merges it once per partition, whichever attempt won.
"""

from __future__ import annotations

import threading
from typing import Any, Generic, TypeVar
from weakref import WeakValueDictionary

from localcluster.task.task_context import TaskContext
from protocol.errors import ContextError
from storage import serializer

T = TypeVar("T")

__all__ = ["Accumulator", "AccumulatorParam"]

_accumulatorRegistry: WeakValueDictionary[int, Accumulator[Any]] = WeakValueDictionary()
"""This process's own accumulators by id, for the updates that tasks report. PySpark's name: programs look in it."""

_merging = threading.RLock()  # each job merges in its own thread, and ``add`` reads, adds and writes


class AccumulatorParam(Generic[T]):
    """How to combine values of one type. Subclass it for types that have no ``+=``.

    >>> class Union(AccumulatorParam):
    ...     def zero(self, value):
    ...         return set()
    ...     def addInPlace(self, value1, value2):
    ...         return value1 | value2
    >>> seen = sc.accumulator(set(), Union())
    >>> sc.parallelize(["a", "b", "a"]).foreach(lambda letter: seen.add({letter}))
    >>> sorted(seen.value)
    ['a', 'b']
    """

    def zero(self, value: T) -> T:
        """The neutral value, of the same shape as ``value``."""
        raise NotImplementedError

    def addInPlace(self, value1: T, value2: T) -> T:
        """``value1`` with ``value2`` added; may change and return ``value1``."""
        raise NotImplementedError


class AddingAccumulatorParam(AccumulatorParam[Any]):
    """For types with ``+=``, from a given zero."""

    def __init__(self, zero_value: Any) -> None:
        self.zero_value = zero_value

    def zero(self, value: Any) -> Any:
        return self.zero_value

    def addInPlace(self, value1: Any, value2: Any) -> Any:
        value1 += value2
        return value1


INT_ACCUMULATOR_PARAM = AddingAccumulatorParam(0)
FLOAT_ACCUMULATOR_PARAM = AddingAccumulatorParam(0.0)
COMPLEX_ACCUMULATOR_PARAM = AddingAccumulatorParam(0.0j)


def param_for(value: Any) -> AccumulatorParam[Any]:
    """The parameter for a number. Raises TypeError for other types, which need one of their own."""
    if isinstance(value, int):
        return INT_ACCUMULATOR_PARAM
    if isinstance(value, float):
        return FLOAT_ACCUMULATOR_PARAM
    if isinstance(value, complex):
        return COMPLEX_ACCUMULATOR_PARAM
    raise TypeError(f"No default accumulator param for type {type(value)}")


class Accumulator(Generic[T]):
    """A shared variable that can only be added to. `SparkContext.accumulator` makes them.

    In a task, ``+=`` and `add` work and reading `value` raises; in the driver all work. What a task of an action added
    counts once, when it has succeeded, however often it was tried. What is added in a transformation counts again
    whenever the transformation is computed again, as in Spark.

    >>> counter = sc.accumulator(0)
    >>> sc.parallelize([1, 2, 3]).foreach(counter.add)
    >>> counter.value
    6
    """

    def __init__(self, aid: int, value: T, accum_param: AccumulatorParam[T]) -> None:
        self.aid = aid
        self.accum_param = accum_param
        self._value = value
        self._deserialized = False
        _accumulatorRegistry[aid] = self

    def __reduce__(self) -> Any:
        zero = self.accum_param.zero(self._value)
        return _in_task, (self.aid, zero, self.accum_param)

    @property
    def value(self) -> T:
        """The sum so far. Raises ContextError in a task."""
        if self._deserialized:
            raise ContextError(errorClass="VALUE_NOT_ACCESSIBLE", messageParameters={"value": "Accumulator.value"})
        return self._value

    @value.setter
    def value(self, value: T) -> None:
        if self._deserialized:
            raise ContextError(errorClass="VALUE_NOT_ACCESSIBLE", messageParameters={"value": "Accumulator.value"})
        self._value = value

    def add(self, term: T) -> None:
        """Add a term."""
        self._value = self.accum_param.addInPlace(self._value, term)

    def __iadd__(self, term: T) -> Accumulator[T]:
        self.add(term)
        return self

    def __str__(self) -> str:
        return str(self._value)

    def __repr__(self) -> str:
        return f"Accumulator<id={self.aid}, value={self._value}>"


def _in_task(aid: int, zero: Any, param: AccumulatorParam[Any]) -> Accumulator[Any]:
    """Unpickle: in a task all references to one accumulator share one copy, which the task reports. What comes back to
    the driver is the driver's own.
    """
    context = TaskContext.get()
    if context is None:
        return _accumulatorRegistry.get(aid) or _copy(aid, zero, param)
    copy: Accumulator[Any] | None = context.accumulators.get(aid)
    if copy is None:
        copy = context.accumulators[aid] = _copy(aid, zero, param)
    return copy


def _copy(aid: int, zero: Any, param: AccumulatorParam[Any]) -> Accumulator[Any]:
    """One that starts from zero and cannot be read. Not in the registry, where it would hide the original."""
    copy: Accumulator[Any] = Accumulator.__new__(Accumulator)
    copy.aid = aid
    copy.accum_param = param
    copy._value = zero
    copy._deserialized = True
    return copy


def collect_updates(context: TaskContext) -> bytes | None:
    """What a task added, pickled; None when it used no accumulator."""
    if not context.accumulators:
        return None
    return b"".join(serializer.dumps({aid: copy._value for aid, copy in context.accumulators.items()}))


def merge_updates(updates: bytes) -> None:
    """Driver: add one task's updates. Accumulators that were garbage-collected are skipped. Raises what a parameter's
    own ``addInPlace`` raises.
    """
    for aid, value in serializer.loads(updates, copy=True).items():
        accumulator = _accumulatorRegistry.get(aid)
        if accumulator is not None:
            with _merging:
                accumulator.add(value)
