"""The plans in the settings of a job's contexts, in the launcher of the job: started, and what of them never fired.

A job may have several contexts, one after the other, with the same plan: a rule that fired in one of them has fired.
The launcher tells of the others, since it is there however the driver ended.
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING

from localcluster.conf.settings import Settings
from localcluster.faults.process_faults import ProcessFaults, plan_of_settings

if TYPE_CHECKING:
    from localcluster.faults.ledger import Ledger


class JobPlans:
    def __init__(self) -> None:
        self._ledger: Ledger | None = None  # of the context that is active
        self._has_fired: dict[str, bool] = {}  # {rule as text: it}
        self.is_strict = False
        """Whether a rule that never fired is an error."""

    def context_starts(self, conf: Mapping[str, str], faults: ProcessFaults) -> None:
        """Raises FaultPlanError, OSError."""
        order = plan_of_settings(conf)
        if order is not None:
            self._ledger = faults.start(order)
            self.is_strict |= Settings(conf).faults_strict

    def context_ends(self) -> None:
        """While its books are open."""
        if self._ledger is not None:
            for rule, has_fired in self._ledger.has_fired().items():
                self._has_fired[rule] = self._has_fired.get(rule, False) or has_fired
            self._ledger = None

    @property
    def never_fired(self) -> list[str]:
        return [rule for rule, has_fired in self._has_fired.items() if not has_fired]


def never_fired_text(rules: list[str]) -> str:
    return f"faults that never fired: {'; '.join(rules)}"
