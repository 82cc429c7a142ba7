"""The signatures of PySpark's public methods of RDDs, recorded from PySpark 4.3 into ``pyspark_signatures.json``.

To record again, with a PySpark at hand, from the project's root:
``PYTHONPATH=. python -m tests.localcluster.rdd.pyspark_signatures``.
"""

from __future__ import annotations

import inspect
import json
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("pyspark_signatures.json")


def signatures(kind: type, constructor: bool) -> dict[str, list[str]]:
    """{method: its parameters, with ``=`` and the default}; for properties None."""
    names = [name for name in dir(kind) if not name.startswith("_")] + (["__init__"] if constructor else [])
    return {name: parameters(getattr(kind, name)) for name in names if callable(getattr(kind, name))}


def parameters(method: Any) -> list[str]:
    return [
        f"{parameter.kind.description} {parameter.name}{default(parameter.default)}"
        for parameter in inspect.signature(method).parameters.values()
    ]


def default(value: Any) -> str:
    if value is inspect.Parameter.empty:
        return ""
    return "=a function" if inspect.isfunction(value) else f"={value}"


def record() -> None:
    from pyspark import RDD
    from pyspark.resultiterable import ResultIterable
    from pyspark.statcounter import StatCounter

    kinds = {RDD: False, ResultIterable: True, StatCounter: True}
    found = {kind.__name__: signatures(kind, constructor) for kind, constructor in kinds.items()}
    RESULTS.write_text(json.dumps(found, indent=1) + "\n")


if __name__ == "__main__":
    record()
