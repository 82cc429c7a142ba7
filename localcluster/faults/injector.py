"""What arms a process: it sits at the sites (`protocol.sites`) and lets the rules of plans fire there.

One injector a process, and none while no plan has rules for it. Covers arming, disarming, finding the rules of a site,
timers. What a firing does is the business of the action's family (`families`), whether there is one that of
`ArmedRule`.
"""

from __future__ import annotations

import logging
import os
import threading
import time
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from localcluster.faults.armed_rule import ArmedRule, describe
from localcluster.faults.families import acts, answers, doors, plan_ended
from localcluster.faults.fault_plan import Plan
from localcluster.faults.firing import Firing
from localcluster.faults.keys import rule_text
from localcluster.faults.ledger import Ledger
from localcluster.faults.unwatched import is_unwatched, unwatched
from localcluster.faults.vocabulary import ABOUT_OTHERS, LAUNCHER, MOMENTS, moment_of, roles_of
from protocol import sites
from protocol.errors import ClusterError
from protocol.forks import disown_in_forks

log = logging.getLogger(__name__)

TICK = "launcher.tick"
"""The site to which the launcher, which has one thread, comes several times a second, for its timers."""

_TIMER = "timer"


class _Armed(NamedTuple):
    ledger: Ledger
    sites: dict[str, list[ArmedRule]]
    timers: list[threading.Timer]


class Injector:
    """The plans of this process. ``role`` is one of `vocabulary.ROLES`, ``process`` the role, or an executor's id;
    ``directory`` has the books of plans, the run's scratch directory.
    """

    def __init__(self, role: str, process: str, directory: str) -> None:
        self._role = role
        self._process = process
        self._directory = directory
        self._acts = acts()
        self._answers = answers()
        self._plans: dict[int, _Armed] = {}
        self._by_site: dict[str, list[ArmedRule]] = {}
        self._thread = threading.local()  # the facts of the task that a thread runs
        self._lock = threading.Lock()  # arming and disarming
        disown_in_forks(self)

    # --- arming ---

    def start(self, number: int, plan: Plan) -> Ledger:
        """As `arm`, in the first process that is armed with this plan. Raises OSError."""
        return self._arm(number, plan, Ledger.create(self._path(number), plan.rules))

    def arm(self, number: int, plan: Plan) -> Ledger:
        """Let this plan's rules fire here from now on; changes nothing when they do. Its books, which are closed when
        it is disarmed. Raises OSError, FileNotFoundError when the plan is over.
        """
        armed = self._plans.get(number)
        return armed.ledger if armed else self._arm(number, plan, Ledger.open(self._path(number), plan.rules))

    def _arm(self, number: int, plan: Plan, ledger: Ledger) -> Ledger:
        armed = _Armed(ledger, self._rules_here(plan, ledger), [])
        if self._role != LAUNCHER:
            armed.timers.extend(map(self._timer, armed.sites.get(_TIMER, ())))
        with self._lock:
            self._plans[number] = armed
            self._look_again()
        for timer in armed.timers:
            timer.start()
        return ledger

    def _rules_here(self, plan: Plan, ledger: Ledger) -> dict[str, list[ArmedRule]]:
        """{site: rules that may fire there in this process}"""
        since = time.monotonic()
        rules: dict[str, list[ArmedRule]] = {}
        for index, rule in enumerate(plan.rules):
            moment = moment_of(rule)
            is_about_us = rule.where.executor in (None, self._process) or moment in ABOUT_OTHERS
            if self._role in roles_of(rule) and is_about_us:
                site = _TIMER if moment is None else MOMENTS[moment].site
                armed = ArmedRule(rule, index, plan.seed, ledger, self._process, since)
                rules.setdefault(site, []).append(armed)
        return rules

    def _path(self, number: int) -> str:
        return os.path.join(self._directory, f"faults-{number}")

    def disarm(self, number: int) -> None:
        """Does nothing when there is no such plan."""
        with self._lock:
            armed = self._plans.pop(number, None)
            self._look_again()
        if armed is not None:
            for timer in armed.timers:
                timer.cancel()
            armed.ledger.close()
            plan_ended()

    def disarm_all(self) -> None:
        for number in list(self._plans):
            self.disarm(number)

    def disown(self) -> None:
        """In a fork, which is none of the run's processes."""
        self._by_site = {}
        sites.armed = None
        for set_door in doors().values():
            set_door(None)

    def _look_again(self) -> None:
        names = {site for armed in self._plans.values() for site in armed.sites}
        self._by_site = {
            site: [rule for armed in self._plans.values() for rule in armed.sites.get(site, ())] for site in names
        }
        sites.armed = self if names else None
        for site, set_door in doors().items():
            set_door(self if site in names else None)

    # --- timers ---

    def _timer(self, rule: ArmedRule) -> threading.Timer:
        timer = threading.Timer(rule.rule.when.after_seconds or 0.0, self._meet, [[rule], _TIMER, {}])
        timer.daemon = True
        return timer

    def _tick(self) -> None:
        for armed in list(self._plans.values()):
            for rule in [rule for rule in armed.sites.get(_TIMER, ()) if rule.is_due]:
                armed.sites[_TIMER].remove(rule)  # a timer goes off once
                self._meet([rule], _TIMER, {})

    # --- sites ---

    def __call__(self, site: str, **facts: Any) -> Any:
        if is_unwatched():
            return None
        if site == TICK:
            return self._tick()
        if site.startswith("task."):
            self._thread.task = facts if site != "task.reported" else {}
        facts = {**getattr(self._thread, "task", {}), **facts}
        answer = self._meet(self._by_site.get(site, ()), site, facts)
        return self._answers[site]() if answer is None and site in self._answers else answer

    def _meet(self, rules: Sequence[ArmedRule], site: str, facts: Mapping[str, Any]) -> Any:
        if not rules:
            return None
        answer = None
        with unwatched():
            for rule in rules:
                firing = self._firing(rule, site, {"executor": self._process, **facts})
                if firing is not None:
                    answer = self._acts[rule.rule.what.action](firing)
        return answer

    def _firing(self, rule: ArmedRule, site: str, facts: Mapping[str, Any]) -> Firing | None:
        try:
            firing = rule.meet(site, facts)
        except (ClusterError, OSError, ValueError):  # the books of a plan that was disarmed meanwhile are closed
            level = logging.ERROR if rule in self._by_site.get(site, ()) else logging.DEBUG
            log.log(level, "a fault was not counted, at %s in %s", site, self._process, exc_info=True)
            return None
        if firing is not None:
            log.info("a fault in %s, %s: %s", self._process, describe(site, facts), rule_text(rule.rule))
        return firing
