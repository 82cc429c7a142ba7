"""What a stage does with its partitions, with a profiler around it."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any, TypeVar

if TYPE_CHECKING:
    from localcluster.task.profiler import Profiler

T = TypeVar("T")


class ProfiledAction:
    """An action, and the profiler that runs it. The profiler's accumulator brings back what it measured."""

    __slots__ = ("action", "profiler")

    def __init__(self, action: Any, profiler: Profiler) -> None:
        self.action = action
        self.profiler = profiler

    def run(self, work: Callable[[], T]) -> T:
        """Run a task's work, which performs the action. A profiler of the user's own may not return what it gives."""
        results: list[T] = []
        self.profiler.profile(lambda: results.append(work()))
        return results[0]

    def __repr__(self) -> str:
        return repr(self.action)
