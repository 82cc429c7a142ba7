"""How values of one key become one combiner: the three functions of ``combineByKey``, and the loops that apply them.

Works in memory only; what a shuffle spills, and when, is the shuffle's own business.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable
from typing import Any

from localcluster.shuffle.pairs import A_PAIR, check_pair
from protocol.errors import RDDError


class Aggregator:
    """``createCombiner(value)``, ``mergeValue(combiner, value)``, ``mergeCombiners(combiner, combiner)``.

    The merging functions may change and return their first argument.
    """

    __slots__ = ("createCombiner", "mergeCombiners", "mergeValue")

    def __init__(
        self,
        createCombiner: Callable[[Any], Any],
        mergeValue: Callable[[Any, Any], Any],
        mergeCombiners: Callable[[Any, Any], Any],
    ) -> None:
        self.createCombiner = createCombiner
        self.mergeValue = mergeValue
        self.mergeCombiners = mergeCombiners

    def combine_values(
        self, records: Iterable[tuple[Any, Any]], combined: dict[Any, Any] | None = None
    ) -> dict[Any, Any]:
        """Combine ``(key, value)`` records into ``combined`` ({key: combiner}, a new dict by default) and return it.

        Keys keep the order in which they were first seen. Raises what the functions raise, TypeError for unhashable
        keys, NotAPairError, and RDDError for a StopIteration, which would otherwise end some loop further out without a
        word.
        """
        create, merge = self.createCombiner, self.mergeValue
        combined = {} if combined is None else combined
        record: Any = A_PAIR
        try:
            for record in records:
                key, value = record
                combined[key] = merge(combined[key], value) if key in combined else create(value)
        except StopIteration as error:
            raise stop_iteration_error(error) from error
        except (TypeError, ValueError) as error:
            check_pair(record, error)
            raise
        return combined

    def merge_combiners(
        self, records: Iterable[tuple[Any, Any]], combined: dict[Any, Any] | None = None
    ) -> dict[Any, Any]:
        """Merge ``(key, combiner)`` records into ``combined``, as `combine_values` does with values."""
        merge = self.mergeCombiners
        combined = {} if combined is None else combined
        try:
            for key, combiner in records:
                combined[key] = merge(combined[key], combiner) if key in combined else combiner
        except StopIteration as error:
            raise stop_iteration_error(error) from error
        return combined


def stop_iteration_error(error: StopIteration) -> RDDError:
    """What a StopIteration out of a user's function becomes."""
    return RDDError(errorClass="STOP_ITERATION_OCCURRED", messageParameters={"exc": str(error)})
