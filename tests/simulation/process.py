"""A simulated process: it lives on virtual time, is stopped and goes on, and dies at any moment.

Its threads are generators (`Steps`). While it is stopped nothing of it moves, and what came in the meantime is there
when it goes on; a dead one does nothing any more, and its ends of the pipes close. What an executor does is
``executor``'s.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from localcluster.executor.reporter import DRIVER_GONE
from protocol.endpoint import Endpoint
from protocol.errors import RemoteAskError
from tests.simulation.steps import Doing, Steps

if TYPE_CHECKING:
    from tests.simulation.world import World

TICK = 1.0  # seconds between looks for lost frames


class SimulatedProcess:
    """``channels`` are its ends of the pipes, ``on_exit(exit code, signal)`` is the launcher's."""

    def __init__(
        self,
        world: World,
        name: str,
        channels: tuple[Any, Any],
        on_exit: Callable[[int | None, int | None], None],
    ) -> None:
        self.is_alive = True
        self.stopped_at: float | None = None  # seconds; None: it is not stopped
        self._world, self._name = world, name
        self._on_exit = on_exit
        self._frozen: list[Callable[[], None]] = []  # what came to pass while it was stopped
        orders, reports = channels
        self._orders, self._reports = Endpoint(orders, world.clock), Endpoint(reports, world.clock)
        orders.on_readable = lambda: self._later(0.0, lambda: self._read(self._orders))
        reports.on_readable = lambda: self._later(0.0, lambda: self._read(self._reports))

    def _read(self, endpoint: Endpoint) -> None:
        raise NotImplementedError

    # --- its time ---

    def _later(self, delay: float, work: Callable[[], None]) -> None:
        """Do it in so many seconds, or when it goes on after that."""
        self._world.clock.later(delay, lambda: self._when_it_runs(work))

    def _when_it_runs(self, work: Callable[[], None]) -> None:
        if not self.is_alive:
            return
        if self.stopped_at is not None:
            self._frozen.append(work)
            return
        try:
            work()
        except DRIVER_GONE as error:  # the driver is gone, as far as it knows
            self.trace("has no driver:", error)
            self.die(1, None)

    def _do(self, doing: Doing[Any], end: Callable[[Any, BaseException | None], None] | None = None) -> Steps:
        return Steps(doing, self._later, end or self._must_not_fail)

    def _must_not_fail(self, result: Any, error: BaseException | None) -> None:
        """But for what the driver refused: it has stopped."""
        if error is not None and not isinstance(error, RemoteAskError):
            raise error

    def trace(self, what: str, about: object = "") -> None:
        self._world.trace(self._name, what, about)

    def _keep_time(self) -> Doing[None]:
        """What the reporter's thread, and one that waits for an answer, do beside: look for lost frames."""
        while True:
            yield TICK
            for endpoint in (self._orders, self._reports):
                endpoint.expire(self._world.clock.now)

    # --- its life ---

    def stop_for(self, seconds: float) -> None:
        """SIGSTOP, and SIGCONT later, if it lives then."""
        self.trace("is stopped for", seconds)
        self.stopped_at = self._world.clock.now
        self._world.clock.later(seconds, self._go_on)

    def _go_on(self) -> None:
        self.stopped_at = None
        if self.is_alive:
            self.trace("goes on")
        frozen, self._frozen = self._frozen, []
        for work in frozen:
            self._when_it_runs(work)

    def die(self, exit_code: int | None, signum: int | None) -> None:
        if self.is_alive:
            self.trace("dies", (exit_code, signum))
            self.is_alive = False
            self._orders.abort()
            self._reports.abort()
            self._on_exit(exit_code, signum)
