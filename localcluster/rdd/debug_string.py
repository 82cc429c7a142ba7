"""`RDD.toDebugString`: the lineage as text, laid out as Spark's.

Each line is an RDD; ``+-(n)`` opens what is behind a shuffle of n partitions, ``|`` joins what is computed in one
stage. The storage level on each line is that of the RDD asked, as in Spark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from localcluster.rdd.dependency import ShuffleDependency

if TYPE_CHECKING:
    from localcluster.rdd.core import RDDCore

Line: TypeAlias = "tuple[RDDCore[Any], str, str]"  # an RDD, the prefix of its line, and that of the lines below it


def debug_string(rdd: RDDCore[Any]) -> str:
    """The whole lineage of ``rdd``, several lines."""
    level = f"[{rdd.getStorageLevel()}]" if rdd.getStorageLevel().is_valid else "[]"
    opening = f"({rdd.getNumPartitions()})"
    lines = []
    todo: list[Line] = [(rdd, f"{opening} ", _bar(opening))]
    while todo:  # a stack: the next line to write is the last
        member, prefix, below = todo.pop()
        lines.append(f"{prefix}{member!r} {level}")
        todo += reversed([_line(member, position, below) for position in range(len(member.dependencies))])
    return "\n".join(lines)


def _line(child: RDDCore[Any], position: int, prefix: str) -> Line:
    dependency = child.dependencies[position]
    if not isinstance(dependency, ShuffleDependency):
        return dependency.rdd, prefix, prefix
    stem = prefix.rstrip().removesuffix("|")
    opening = f"({dependency.rdd.getNumPartitions()})"
    is_last = position == len(child.dependencies) - 1
    return dependency.rdd, f"{stem}+-{opening} ", stem + ("  " if is_last else "| ") + _bar(opening)


def _bar(opening: str) -> str:
    """A bar below the middle of ``opening``, as wide as it and the space after it."""
    left = (len(opening) - 1) // 2
    return " " * left + "|" + " " * (len(opening) - left)
