"""What happened in a run, line by line, for a seed that fails: kept only in the second run of it."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from tests.simulation.clock import Clock

LONGEST = 300  # characters of a line


class Trace:
    def __init__(self, *, keep: bool) -> None:
        self.keep = keep
        self.lines: list[str] = []
        self.clock: Clock | None = None
        self.events = 0
        """How many lines there were, also when they are not kept: a run that is replayed has as many."""

    def __call__(self, who: str, what: str, about: object = "") -> None:
        self.events += 1
        if self.keep:
            now = 0.0 if self.clock is None else self.clock.now
            self.lines.append(f"{now:10.4f} {who:>12} {what} {about}"[:LONGEST])
