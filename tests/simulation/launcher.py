"""A simulated launcher: forks executors, sooner or later or not, and tells of their ends in its own time."""

from __future__ import annotations

from itertools import count
from typing import TYPE_CHECKING, Any

from localcluster.driver.liveness import Look
from protocol import cluster_messages as c
from protocol.endpoint import Endpoint, Incoming
from protocol.message import Order
from tests.simulation.executor import SimulatedExecutor
from tests.simulation.wire import pipe

if TYPE_CHECKING:
    from tests.simulation.world import World


class SimulatedLauncher:
    """What `ExecutorPool` asks of a `LauncherClient`. ``told(batch)`` takes what the launcher says, in order."""

    pid = 1000

    def __init__(self, world: World) -> None:
        self._world = world
        self._pids = count(2000)
        self._has_ended = False
        self._last = 0.0  # when the last message to the driver arrives
        self._ends: dict[str, tuple[Endpoint, Endpoint]] = {}  # the driver's
        self.executors: dict[str, SimulatedExecutor] = {}  # dead ones, too

    def tell(self, order: Order) -> None:
        faults, what = self._world.faults, type(order).__name__
        self._world.trace("launcher", f"is told {what}", order.executor_id)  # type: ignore[attr-defined]
        if isinstance(order, c.LaunchExecutor):
            delay = faults.between(0.5, 3.0) if faults.happens("fork late") else faults.between(0.001, 0.02)
            self._world.clock.later(delay, lambda: self._fork(order))
        elif isinstance(order, c.KillExecutor):
            self._world.clock.later(faults.between(0.001, 0.02), lambda: self._kill(order.executor_id))

    def _fork(self, order: c.LaunchExecutor) -> None:
        executor_id, faults, clock = order.executor_id, self._world.faults, self._world.clock
        if self._has_ended:
            return
        if faults.happens("not fork"):
            self._say(c.LaunchFailed(executor_id, "no process is left"))
            return
        ends = [
            pipe((f"{which} of {executor_id}", f"{which} at {executor_id}"), clock, faults)
            for which in ("orders", "reports")
        ]
        (orders, far_orders), (reports, far_reports) = ends
        self._ends[executor_id] = Endpoint(orders, clock), Endpoint(reports, clock)
        pid = next(self._pids)
        self.executors[executor_id] = SimulatedExecutor(
            self._world, order, pid, (far_orders, far_reports), lambda *how: self._ended(executor_id, *how)
        )
        self._say(c.ExecutorLaunched(executor_id, pid))

    def receive_pipes(self, executor_id: str) -> tuple[Endpoint, Endpoint]:
        return self._ends.pop(executor_id)

    def end(self) -> None:
        """The context stops: executors have some seconds to end by themselves."""
        self._world.clock.later(self._world.faults.between(0.5, 3.0), self._end)

    def _end(self) -> None:
        self._has_ended = True
        for executor_id in self.executors:
            self._kill(executor_id)

    def look(self, pid: int) -> Look:
        """What the driver sees of a process: one that is silent and not stopped works."""
        executor = next((each for each in self.executors.values() if each.pid == pid), None)
        if executor is None or not executor.is_alive:
            return Look(is_there=executor is None)
        used = self._world.clock.now if executor.stopped_at is None else executor.stopped_at
        return Look(True, executor.stopped_at is not None, used={pid: used})

    def _kill(self, executor_id: str) -> None:
        executor = self.executors.get(executor_id)
        if executor is not None:
            executor.die(None, 9)

    def _ended(self, executor_id: str, exit_code: int | None, signum: int | None) -> None:
        faults = self._world.faults
        delay = faults.between(0.5, 5.0) if faults.happens("end late") else faults.between(0.0, 0.005)
        self._world.clock.later(delay, lambda: self._say(c.ExecutorExited(executor_id, exit_code, signum)))

    def _say(self, message: Any) -> None:
        clock = self._world.clock
        self._last = max(self._last, clock.now + self._world.faults.between(0.0001, 0.003))
        clock.later(self._last - clock.now, lambda: self._world.driver.launcher_told([Incoming(message)]))
