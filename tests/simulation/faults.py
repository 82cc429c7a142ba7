"""What goes wrong in a run: which kinds, how often, drawn from its seed. Faults end at a moment; then all must end.

A seed has some kinds and not others, so that there are runs with much of one thing as well as with something of all.
What is drawn is told by name, in the order in which things happen, so that a seed gives the same run each time.
"""

from __future__ import annotations

from collections import Counter
from random import Random

from tests.simulation.clock import Clock

QUICK = 0.0005  # seconds that a frame takes, mostly


class Faults:
    """The faults of one run. ``until`` is when they end, in seconds; ``counts`` is what has happened, by kind."""

    def __init__(self, random: Random, clock: Clock) -> None:
        self.random = random
        self.until = random.choice([1.0, 5.0, 30.0])
        self.counts: Counter[str] = Counter()
        self._clock = clock
        self._rates: dict[str, float] = {
            kind: random.choice(rates) if random.random() < 0.4 else 0.0
            for kind, rates in {
                "lose a frame": (0.0005, 0.005),
                "double a frame": (0.01, 0.2),
                "delay a frame": (0.05, 0.5),
                "delay a frame for long": (0.001,),
                "die in a task": (0.02, 0.1),
                "die before a put is told": (0.05, 0.2),
                "die at an order": (0.002, 0.02),
                "die before it is ready": (0.2,),
                "stop in a task": (0.02, 0.1),
                "be slow": (0.05, 0.3),
                "raise in a task": (0.02, 0.1),
                "not fork": (0.3, 0.8),
                "fork late": (0.5,),
                "end late": (0.5,),
                "be silent": (0.05,),
                "lose a file": (0.01, 0.05),
                "hold out against a kill": (0.3,),
                "find no room": (0.1, 0.5),
            }.items()
        }
        self.deaths_left = random.choice([0, 1, 2, 3, 3, 20])
        """Executors that may die of these faults. A task may lose as many attempts as it has; three hurt no job."""

    @property
    def are_over(self) -> bool:
        return self._clock.now >= self.until

    def happens(self, kind: str) -> bool:
        """Whether it does now."""
        rate = self._rates[kind]
        if not rate or self.are_over or self.random.random() >= rate:
            return False
        if kind.startswith("die"):
            if not self.deaths_left:
                return False
            self.deaths_left -= 1
        self.counts[kind] += 1
        self._clock.trace("fault", kind)
        return True

    # --- how long things take ---

    def between(self, least: float, most: float) -> float:
        """Seconds."""
        return self.random.uniform(least, most)

    def delays_of_frame(self) -> list[float]:
        """When its copies arrive, in seconds from now; none: it is lost."""
        if self._rates["lose a frame"] and self.deaths_left and self.happens("lose a frame"):
            self.deaths_left -= 1  # the channel breaks, and with it an executor
            return []
        delays = [self.delay()]
        if self.happens("double a frame"):
            delays.append(delays[0] + self.delay())
        return delays

    def delay(self) -> float:
        """Seconds that a frame takes."""
        if self.happens("delay a frame"):
            return self.between(0.0, 0.1)
        if self.deaths_left and self.happens("delay a frame for long"):
            self.deaths_left -= 1
            return self.between(0.5, 5.0)
        return QUICK * (0.5 + self.random.random())

    def task_time(self) -> float:
        """Seconds of one step of a task."""
        if self.happens("be slow"):
            return self.between(0.5, 8.0)
        return self.between(0.0, 0.01)
