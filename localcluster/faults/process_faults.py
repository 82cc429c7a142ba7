"""The plans that one process has armed. Light: what carries plans out is loaded with the first of them."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING

from localcluster.conf.settings import Settings
from protocol.cluster_messages import ArmFaults

if TYPE_CHECKING:
    from localcluster.faults.fault_plan import Plan
    from localcluster.faults.injector import Injector
    from localcluster.faults.ledger import Ledger

log = logging.getLogger(__name__)

OF_SETTINGS = 0
"""The number of the plan that the settings have."""


def plan_of_settings(conf: Mapping[str, str]) -> ArmFaults | None:
    """The plan that the settings have, as an order to arm it, if they have one."""
    settings = Settings(conf)
    return ArmFaults(OF_SETTINGS, settings.faults, settings.faults_seed) if settings.faults else None


class ProcessFaults:
    """``role`` is driver, launcher or executor, ``process`` the same, or an executor's id; ``directory`` is the run's
    primary scratch directory.
    """

    def __init__(self, role: str, process: str, directory: str) -> None:
        self._who = role, process, directory
        self._injector: Injector | None = None
        self._orders: dict[int, ArmFaults] = {}

    @property
    def armed(self) -> tuple[ArmFaults, ...]:
        return tuple(self._orders.values())

    def start(self, order: ArmFaults) -> Ledger:
        """Arm a plan in the first process that has it. Raises FaultPlanError, OSError."""
        ledger = self._made().start(order.number, _plan(order))
        self._orders[order.number] = order
        return ledger

    def arm(self, order: ArmFaults) -> Ledger:
        """Arm a plan that another process has started; its books, until it is disarmed. Raises FaultPlanError, OSError,
        FileNotFoundError when the plan is over.
        """
        ledger = self._made().arm(order.number, _plan(order))
        self._orders[order.number] = order
        return ledger

    def follow(self, order: ArmFaults) -> None:
        """`arm`, unless the plan is over. Raises FaultPlanError, OSError."""
        try:
            self.arm(order)
        except FileNotFoundError:
            log.debug("plan %d of faults was over when it was to be armed", order.number)

    def disarm(self, number: int) -> None:
        """Does nothing when there is no such plan."""
        self._orders.pop(number, None)
        if self._injector is not None:
            self._injector.disarm(number)

    def disarm_all(self) -> None:
        self._orders.clear()
        if self._injector is not None:
            self._injector.disarm_all()

    def _made(self) -> Injector:
        if self._injector is None:
            from localcluster.faults.injector import Injector

            self._injector = Injector(*self._who)
        return self._injector


def _plan(order: ArmFaults) -> Plan:
    from localcluster.faults.fault_plan import Plan
    from localcluster.faults.grammar import parse

    return Plan(parse(order.rules), order.seed)
