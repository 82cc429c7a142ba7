"""The plans of faults that are armed in a run, as the driver has them: told to all processes, ended, and what they did.

Under the driver's lock. A plan's books say what has fired, in whatever process (`localcluster.faults.ledger`); each
round puts that into the history. How a plan is carried out is ``localcluster.faults``.
"""

from __future__ import annotations

import logging
from collections.abc import Callable, Mapping, Sequence
from itertools import count
from typing import TYPE_CHECKING

from localcluster.faults.job_plans import never_fired_text
from localcluster.faults.process_faults import OF_SETTINGS, ProcessFaults, plan_of_settings
from protocol.cluster_messages import ArmFaults, DisarmFaults
from protocol.errors import ClusterError, FaultNeverFiredError
from protocol.events import Recorder
from protocol.message import Order
from storage.scratch import Scratch

if TYPE_CHECKING:
    from localcluster.faults.ledger import Ledger

log = logging.getLogger(__name__)

ENDED_WHILE_FORKED = 100  # plans that may end while an executor is being forked
_ENDS_AT_ONCE = ("kill", "exit", "segfault")  # what a process cannot outlive


def report_never_fired(rules: list[str], is_error: bool) -> None:
    """Raises FaultNeverFiredError, or warns."""
    if is_error:
        raise FaultNeverFiredError(never_fired_text(rules))
    log.warning("%s", never_fired_text(rules))


class ArmedPlans:
    """``tell`` tells an order to the launcher and to all executors that can be reached."""

    def __init__(self, conf: Mapping[str, str], tell: Callable[[Order], None], record: Recorder) -> None:
        self._of_settings = plan_of_settings(conf)
        self._tell = tell
        self._record = record
        self._numbers = count(OF_SETTINGS + 1)
        self._ledgers: dict[int, Ledger] = {}
        self._never_fired: dict[int, list[str]] = {}  # {plan that is over: its rules}
        self._ends: dict[str, str] = {}  # {executor that a rule ended: the rule}, until it was asked for
        self._here: ProcessFaults | None = None

    def start(self, scratch: Scratch) -> None:
        """The cluster has started, and with it the plan of the settings."""
        self._here = ProcessFaults("driver", "driver", scratch.primary)
        if self._of_settings is not None:
            self._ledgers[OF_SETTINGS] = self._here.arm(self._of_settings)  # which the launcher has started

    def arm(self, rules: str, seed: int) -> int:
        """Arm a plan in all processes of the run, also in executors that start from now on; its number. Raises
        FaultPlanError, OSError.
        """
        assert self._here is not None
        order = ArmFaults(next(self._numbers), rules, seed)
        self._ledgers[order.number] = self._here.start(order)
        self._tell(order)
        return order.number

    def orders(self) -> Sequence[Order]:
        """What an executor is told first: plans may have begun and ended since it was forked, out of its reach."""
        if self._here is None:
            return ()
        ended = list(self._never_fired)[-ENDED_WHILE_FORKED:]
        return [*self._here.armed, *map(DisarmFaults, ended)]

    def disarm(self, number: int) -> list[str]:
        """End a plan: from here on nothing of it fires anywhere. Its rules that never fired, also when it had ended."""
        ledger = self._ledgers.get(number)
        if ledger is None or self._here is None:
            return self._never_fired.get(number, [])
        try:
            ledger.end()
        except (ClusterError, OSError) as error:
            log.warning("a plan of faults was not ended: %s", error)
        self.round()
        self._never_fired[number] = [rule for rule, has_fired in ledger.has_fired().items() if not has_fired]
        del self._ledgers[number]
        self._here.disarm(number)
        self._tell(DisarmFaults(number))
        return self._never_fired[number]

    def round(self) -> None:
        """Record what has fired since the last round."""
        for ledger in self._ledgers.values():
            for event in ledger.new_firings():
                self._record(event)
                if event.fault.split()[0] in _ENDS_AT_ONCE:
                    self._ends[event.process] = event.fault

    def ended(self, executor_id: str) -> str | None:
        """The rule by which this executor, which is gone, was ended, if it was one. To be asked once."""
        self.round()
        return self._ends.pop(executor_id, None)

    def stop(self) -> list[str]:
        """The run is over: the rules of the settings' plan that never fired."""
        for number in list(self._ledgers):
            self.disarm(number)
        return self._never_fired.get(OF_SETTINGS, [])
