"""Random plans of faults that a job should survive: drawn from a seed, the same each time.

Covers what may be drawn; what the rules do is ``localcluster.faults``. Left out is what no job survives: what hangs for
good in a task (nobody can tell it from long work), faults of the driver, and damage to the records of `parallelize`
(``broadcast_*_data``), which nobody can compute again.
"""

from __future__ import annotations

import random
from collections.abc import Callable, Sequence

from localcluster.faults.vocabulary import ACTIONS, unknown

MOST = 4  # rules of a plan

_MOMENTS = (
    "start",
    "unpickle",
    "end",
    "before_report",
    "after_report",
    "shuffle_read",
    "shuffle_write",
    "block_put role=executor",  # the driver puts blocks as well
)
_BLOCKS = (
    "rdd_*",
    "shuffle_*.data",
    "shuffle_*.index",
    "broadcast_*[0-9]",
    "broadcast_*_stage",
    "broadcast_*_outputs",
    "taskresult_*",
)
_IN_PLACE = ("rdd_*", "broadcast_*[0-9]")
_MESSAGES = (
    "LaunchTasks",
    "TasksFinished",
    "RegisterExecutor",
    "RegisterBlockManager",
    "UpdateBlockInfo",
    "GetLocations",
    "GetMapOutputs",
    "ReserveSegment",
    "ReleaseLeases",
    "RemoveRdd",
    "RemoveShuffle",
    "ExecutorHeartbeat",
    "ExecutorLaunched",
)
_CALLS = (
    ("write", "ENOSPC"),
    ("write", "EIO"),
    ("reserve", "ENOSPC"),
    ("create", "EMFILE"),
    ("open_existing", "EMFILE"),
    ("map_file", "ENOMEM"),
    ("rename", "EIO"),
)

Draw = Callable[[random.Random], str]


def _nth(rng: random.Random) -> str:
    """Mostly early: small jobs have few tasks."""
    return f"nth={min(100, 1 + int(rng.expovariate(0.1)))}"


def _at(action: str, more: str = "") -> Draw:
    return lambda rng: f"{action} at={rng.choice(_MOMENTS)} {_nth(rng)}{more}"


def _message(action: str, more: str = "") -> Draw:
    return lambda rng: f"{action} message={rng.choice(_MESSAGES)} {_nth(rng)}{more}"


def _block(action: str) -> Draw:
    """Arrays that tasks share and compute on in place are damaged before anybody reads them: no check could tell a task
    of what happens to them under its hands.
    """

    def rule(rng: random.Random) -> str:
        block, at = rng.choice(_BLOCKS), rng.choice(("block_put", "block_read"))
        return f"{action} block={block} at={'block_put' if block in _IN_PLACE else at} {_nth(rng)}"

    return rule


def _fail(rng: random.Random) -> str:
    call, errno = rng.choice(_CALLS)
    return f"fail call={call} errno={errno} role=executor {_nth(rng)}"


DRAWS: dict[str, Draw] = {
    "kill": _at("kill"),
    "exit": _at("exit", " code=3"),
    "segfault": _at("segfault"),
    "stop": lambda rng: f"stop {_nth(rng)} seconds={rng.choice((1, 3, 20))}",
    "raise": lambda rng: f"raise exception=RuntimeError at={rng.choice(_MOMENTS)} {_nth(rng)}",
    "slow": lambda rng: f"slow seconds={rng.choice((0.1, 0.5))} {_nth(rng)}",
    "silence": lambda rng: f"silence {_nth(rng)} seconds={rng.choice((1, 20))}",
    "fail_fork": lambda rng: f"fail_fork nth={rng.randint(1, 4)}",
    "delay_fork": lambda rng: f"delay_fork nth={rng.randint(1, 4)} seconds=1",
    "drop": _message("drop"),
    "delay": _message("delay", " seconds=0.5"),
    "duplicate": _message("duplicate"),
    "reorder": _message("reorder"),
    "garble": _message("garble"),
    "lose": _block("lose"),
    "truncate": _block("truncate"),
    "corrupt": _block("corrupt"),
    "fail": _fail,
    "short": lambda rng: f"short call=write role=executor {_nth(rng)}",
    "full": lambda rng: f"full role=executor {_nth(rng)}",
}


def kinds_named(words: Sequence[str]) -> list[str]:
    """The kinds that these words mean: actions, or families of actions (process, message, block, call).

    Raises FaultPlanError for another word.
    """
    families = sorted({ACTIONS[kind].family for kind in DRAWS})
    for word in words:
        if word not in DRAWS and word not in families:
            raise unknown("kind of faults", word, [*families, *DRAWS])
    return [kind for kind in DRAWS if kind in words or ACTIONS[kind].family in words]


def draw(seed: str, kinds: Sequence[str]) -> list[str]:
    """Rules of a plan: one to MOST of them, of these kinds."""
    rng = random.Random(seed)
    return [DRAWS[rng.choice(kinds)](rng) for _ in range(rng.randint(1, MOST))]
