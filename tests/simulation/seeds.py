"""Running seeds, and showing what happened in one that failed."""

from __future__ import annotations

import logging
import traceback
from collections.abc import Iterable

from tests.simulation.trace import Trace
from tests.simulation.world import World

SHOWN = 150  # lines of the trace, the last ones


def run_seed(seed: int, *, keep_trace: bool = False) -> tuple[World, Exception | None]:
    """The world as it is then, and what went wrong."""
    world = World(seed, Trace(keep=keep_trace))
    try:
        world.run()
    except Exception as error:
        return world, error
    return world, None


def run_seeds(seeds: Iterable[int], show: bool, keep_going: bool) -> list[int]:
    """Those that failed, each told with its trace."""
    logging.disable(logging.CRITICAL)
    failed = []
    for seed in seeds:
        world, error = run_seed(seed, keep_trace=show)
        if show:
            print(*world.trace.lines, sep="\n")
        if error is not None:
            failed.append(seed)
            print(describe(seed, error), flush=True)
            if not keep_going:
                break
    return failed


def describe(seed: int, error: Exception) -> str:
    """What went wrong in a seed: its faults, the end of its trace, and the command that replays it."""
    text = "".join(traceback.format_exception(error))
    replay, again = run_seed(seed, keep_trace=True)
    lines = "\n".join(replay.trace.lines[-SHOWN:])
    same = "" if type(again) is type(error) else "\nIT DID NOT FAIL AGAIN: the run is not the same each time"
    return (
        f"{lines}\n{dict(replay.faults.counts)}\n{text}\nseed {seed} failed: {error!r}{same}\n"
        f"replay it: PYTHONHASHSEED=0 python -m tests.simulation {seed} --trace"
    )
