"""What the driver knows of one executor, and its pipes."""

from __future__ import annotations

import enum
import logging
from dataclasses import dataclass

from protocol.endpoint import Endpoint
from protocol.errors import BrokenChannelError, ChannelError
from protocol.message import Order

log = logging.getLogger(__name__)


class State(enum.Enum):
    ORDERED = "ordered"  # the launcher was told to fork it
    STARTING = "starting"  # forked, not registered yet
    REGISTERED = "registered"
    DRAINING = "draining"  # registered; it gets no new tasks and ends when it has none
    BROKEN = "broken"  # its pipes ended; its exit status is awaited, for the message


@dataclass(eq=False)
class Executor:
    """An executor as the driver knows it. The process itself is `localcluster.executor.executor.Executor`."""

    executor_id: str
    state: State = State.ORDERED
    pid: int = 0
    orders: Endpoint | None = None  # we ask and tell
    reports: Endpoint | None = None  # it asks and tells
    was_ready: bool = False
    was_used: bool = False  # it was given a task
    was_dismissed: bool = False  # it has drained and was told to end
    is_wanted: bool = True  # False: it drains, or will as soon as it is ready, and is not replaced
    ordered_at: float = 0.0  # seconds, monotonic
    ready_at: float = 0.0  # seconds, monotonic
    broken_at: float = 0.0  # seconds, monotonic
    doomed: str | None = None  # why we had it killed
    doomed_at: float = 0.0  # seconds, monotonic
    short_of: str | None = None  # what the system had too little of for it to start

    # --- its pipes ---

    @property
    def reached(self) -> Endpoint:
        """Where it takes orders. Raises BrokenChannelError when it cannot be reached yet, or any more."""
        if self.orders is None or self.state is State.BROKEN:
            raise BrokenChannelError(f"executor {self.executor_id} is gone")
        return self.orders

    def tell(self, *orders: Order) -> None:
        """If it can be reached."""
        try:
            self.reached.tell(*orders)
        except ChannelError as error:
            log.debug("executor %s was not told: %s", self.executor_id, error)

    @property
    def endpoints(self) -> list[Endpoint]:
        return [endpoint for endpoint in (self.orders, self.reports) if endpoint is not None]

    # --- its end ---

    def how_it_ended(self, exit_code: int | None, signum: int | None, last_words: str, fault: str | None) -> str:
        """For messages; code and signal are None when its exit status is not known. ``fault`` is what a plan did to end
        it.
        """
        if self.short_of is not None:
            return f"executor {self.executor_id} could not be started: {self.short_of}"
        who = f"executor {self.executor_id} (pid {self.pid})"
        if self.doomed is not None:
            return f"{who} was ended: {self.doomed}"
        if self.was_dismissed and exit_code == 0:
            return f"{who} was not needed any more"
        by_plan = f", by the fault {fault!r}" if fault else ""
        if signum is not None:
            hint = by_plan or (", often the system's out-of-memory killer" if signum == 9 else "")
            where = f" in\n{last_words}" if last_words else ""
            return f"{who} was killed by signal {signum}{hint}{where}"
        if exit_code is not None:
            error = f": {last_words}" if last_words else ""
            return f"{who} exited with code {exit_code}{by_plan}{error}"
        return f"{who} closed its pipes"
