"""`RDD.toDebugString`: the lineage as text, laid out as Spark's and with PySpark's names.

Each line is an RDD; ``+-(n)`` opens what is behind a shuffle of n partitions, ``|`` joins what is computed in one
stage. An RDD with stored blocks has a line about them. Functions one after the other are one ``PythonRDD``, as in
PySpark, where nothing is kept in between. The storage level on each line is that of the RDD asked, as in Spark.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, TypeAlias

from localcluster.rdd.dependency import ShuffleDependency
from localcluster.rdd.rdd import PipelinedRDD

if TYPE_CHECKING:
    from localcluster.rdd.core import RDDCore

Line: TypeAlias = "tuple[RDDCore[Any], str, str, str]"
"""An RDD, and the prefixes of its line, of the line about its blocks and of the lines below."""

UNITS = ("B", "KiB", "MiB", "GiB", "TiB", "PiB", "EiB")


def debug_string(rdd: RDDCore[Any]) -> str:
    """The whole lineage of ``rdd``, several lines."""
    level = f"[{rdd.getStorageLevel()}]" if rdd.getStorageLevel().is_valid else "[]"
    opening = f"({rdd.getNumPartitions()})"
    lines = []
    todo: list[Line] = [(rdd, f"{opening} ", f"{_bar(opening)} ", _bar(opening))]
    while todo:  # a stack: the next line to write is the last
        member, prefix, prefix_of_blocks, below = todo.pop()
        lines.append(f"{prefix}{member!r} {level}")
        lines += [prefix_of_blocks + text for text in _stored(member)]
        first = _first_of_pipeline(member)
        todo += reversed([_line(first, position, below) for position in range(len(first.dependencies))])
    return "\n".join(lines)


def _first_of_pipeline(rdd: RDDCore[Any]) -> RDDCore[Any]:
    """Up the chain of functions that ends in ``rdd``, the one before which something else comes, or what is kept."""
    while isinstance(rdd, PipelinedRDD):
        parent = rdd.dependencies[0].rdd
        if not isinstance(parent, PipelinedRDD) or not parent._is_pipelinable():
            break
        rdd = parent
    return rdd


def _line(child: RDDCore[Any], position: int, prefix: str) -> Line:
    dependency = child.dependencies[position]
    if not isinstance(dependency, ShuffleDependency):
        return dependency.rdd, prefix, prefix, prefix
    stem = prefix.rstrip().removesuffix("|")
    opening = f"({dependency.rdd.getNumPartitions()})"
    is_last = position == len(child.dependencies) - 1
    below = stem + ("  " if is_last else "| ") + _bar(opening)
    return dependency.rdd, f"{stem}+-{opening} ", below, below


def _bar(opening: str) -> str:
    """A bar below the middle of ``opening``, as wide as it and the space after it."""
    left = (len(opening) - 1) // 2
    return " " * left + "|" + " " * (len(opening) - left)


def _stored(rdd: RDDCore[Any]) -> list[str]:
    """What is stored of ``rdd``, in no line or one."""
    stored = rdd.ctx._kept.stored_partitions(rdd.id()) if rdd.getStorageLevel().is_valid else {}
    if not stored:
        return []
    in_memory, on_disk = (sum(sizes) for sizes in zip(*stored.values(), strict=True))
    return [f"    CachedPartitions: {len(stored)}; MemorySize: {_in_units(in_memory)}; DiskSize: {_in_units(on_disk)}"]


def _in_units(size: int) -> str:
    """Bytes as Spark writes them: in the largest unit of which there are two."""
    exponent = max([0, *(i for i in range(len(UNITS)) if size >= 2 << (10 * i))])
    return f"{size / (1 << (10 * exponent)):.1f} {UNITS[exponent]}"
