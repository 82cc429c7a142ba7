"""Results of all runs, brought together: medians, ratios, and whether the engines agree."""

from __future__ import annotations

import statistics
from typing import Any, TypeAlias

Runs: TypeAlias = dict[str, list[dict[str, Any]]]  # {engine: results of `measure`, one per repetition}

BASE = "localcluster"


def medians(runs: Runs) -> dict[str, dict[str, float]]:
    """{metric: {engine: median seconds}}, metrics in the order in which they were first seen."""
    samples: dict[str, dict[str, list[float]]] = {}
    for engine, results in runs.items():
        for result in results:
            for metric, seconds in result["times"].items():
                samples.setdefault(metric, {}).setdefault(engine, []).append(seconds)
    return {
        metric: {engine: statistics.median(times) for engine, times in by_engine.items()}
        for metric, by_engine in samples.items()
    }


def problems(runs: Runs) -> list[str]:
    """Jobs that failed, and jobs for which engines or repetitions found different values."""
    found = []
    checks: dict[str, dict[str, list[str]]] = {}
    for engine, results in runs.items():
        for result in results:
            found += [f"{job} failed on {engine}:\n{trace}" for job, trace in result["errors"].items()]
            for job, check in result["checks"].items():
                checks.setdefault(job, {}).setdefault(repr(check), []).append(engine)
    found += [f"{job} differs: {values}" for job, values in checks.items() if len(values) > 1]
    return found


def readable(seconds: float | None) -> str:
    if seconds is None:
        return "-"
    for unit, factor in (("s", 1.0), ("ms", 1e-3)):
        if seconds >= factor:
            return f"{seconds / factor:.3g} {unit}"
    return f"{seconds / 1e-6:.3g} µs"


def table(runs: Runs) -> str:
    """One line per metric: the median of each engine and how many times localcluster's each other one is."""
    engines = list(runs)
    others = [engine for engine in engines if engine != BASE] if BASE in engines else []
    lines = [["", *engines, *(f"{engine} / {BASE}" for engine in others)]]
    for metric, by_engine in medians(runs).items():
        base = by_engine.get(BASE)
        ratios = [f"{by_engine[engine] / base:.2f}" if base and engine in by_engine else "-" for engine in others]
        lines.append([metric, *(readable(by_engine.get(engine)) for engine in engines), *ratios])
    widths = [max(map(len, column)) for column in zip(*lines, strict=True)]
    return "\n".join(
        "  ".join(
            [line[0].ljust(widths[0]), *(cell.rjust(width) for cell, width in zip(line[1:], widths[1:], strict=True))]
        )
        for line in lines
    )
