"""Runs some jobs on one engine, in the process that this is started as, and writes the results as JSON.

usage:  python measure.py ENGINE JOB,JOB,… full|quick TEXT OUT

Started by `__main__` for every engine and repetition: no engine's threads, heap or caches touch another's times.
"""

from __future__ import annotations

import json
import sys
import time
import traceback
from pathlib import Path
from typing import Any

from engines import ENGINES
from sizes import FULL, QUICK

START = "start to first result"


def measure(engine: str, names: list[str], size: str, text: str) -> dict[str, Any]:
    """{"times": {metric: seconds}, "checks": {job: value}, "errors": {job: traceback}}"""
    times: dict[str, float] = {}
    checks: dict[str, Any] = {}
    errors: dict[str, str] = {}
    started = time.perf_counter()
    with ENGINES[engine](FULL if size == "full" else QUICK, text) as jobs:
        times[START] = time.perf_counter() - started
        for name in names:
            if name in jobs:
                try:
                    found, checks[name] = jobs[name]()
                    times |= found
                except Exception:
                    errors[name] = traceback.format_exc()
    return {"times": times, "checks": checks, "errors": errors}


def main() -> None:
    engine, names, size, text, out = sys.argv[1:]
    result = measure(engine, names.split(",") if names else [], size, text)
    Path(out).write_text(json.dumps(result))


if __name__ == "__main__":
    main()
