"""Rank Python modules by who imports them; without arguments, the modules of this machine's standard library.

usage:  python -m localcluster run scripts/page_rank.py [DIRECTORY] [--iterations 15] [--top 20]

The modules are the pages and their import statements the links of PageRank: a module ranks high when modules that rank
high import it. Ranks are scaled so that the average module has 1.
"""

from __future__ import annotations

import argparse
import ast
import sys
import sysconfig
import warnings
from collections.abc import Iterable, Iterator
from operator import add
from pathlib import Path

from localcluster import SparkContext, StorageLevel

DAMPING = 0.85
NOT_THE_LIBRARY = {"site-packages", "dist-packages", "test", "tests", "idle_test", "__pycache__"}


def modules_under(root: Path) -> dict[str, Path]:
    """{dotted module name: its source file}; a package goes by its own name, without ``__init__``."""
    modules = {}
    for file in sorted(root.rglob("*.py")):
        parts = file.relative_to(root).with_suffix("").parts
        if not NOT_THE_LIBRARY.intersection(parts) and all(part.isidentifier() for part in parts):
            modules[".".join(parts[:-1] if parts[-1] == "__init__" else parts)] = file
    modules.pop("", None)  # an __init__.py in the root itself has no name
    return modules


def imported_names(module: str, file: Path) -> Iterator[str]:
    """Every name that may be a module in the import statements of a file, wherever they stand in it."""
    package = module.split(".") if file.stem == "__init__" else module.split(".")[:-1]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # odd escapes in somebody else's sources
        tree = ast.parse(file.read_bytes())
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = package[: len(package) - node.level + 1] if node.level else []
            base = ".".join([*above, *filter(None, [node.module])])
            yield base
            yield from (f"{base}.{alias.name}" for alias in node.names)


def links(module: str, file: Path, known: Iterable[str]) -> tuple[str, list[str]]:
    """(module, the known modules that it imports); a file that is not Python of this version imports nothing."""
    try:
        return module, sorted(set(imported_names(module, file)).intersection(known) - {module})
    except (SyntaxError, ValueError):
        return module, []


def contributions(targets: list[str], rank: float) -> list[tuple[str, float]]:
    return [(target, rank / len(targets)) for target in targets]


def rank_modules(sc: SparkContext, modules: dict[str, Path], iterations: int) -> list[tuple[str, tuple[float, int]]]:
    """[(module, (rank, how many modules import it))], highest rank first."""
    tasks = 2 * sc.defaultParallelism
    known = sc.broadcast(frozenset(modules))
    graph = (
        sc.parallelize(list(modules.items()), tasks)
        .map(lambda item: links(*item, known.value))
        .partitionBy(tasks)
        .persist(StorageLevel.MEMORY_AND_DISK)
    )
    base = graph.mapValues(lambda _: 1 - DAMPING)
    ranks = graph.mapValues(lambda _: 1.0)
    for _ in range(iterations):
        received = (
            graph.join(ranks, tasks)
            .flatMap(lambda page: contributions(*page[1]))
            .mapValues(lambda share: DAMPING * share)
        )
        ranks = base.union(received).reduceByKey(add, tasks)

    # A module that imports nothing passes no rank on. To spread its rank evenly, as PageRank is defined, leads to the
    # same ranks as to scale them all at the end.
    importers = graph.flatMap(lambda page: [(target, 1) for target in page[1]]).reduceByKey(add, tasks)
    rows = ranks.leftOuterJoin(importers, tasks).mapValues(lambda pair: (pair[0], pair[1] or 0)).collect()
    scale = len(rows) / sum(rank for _, (rank, _) in rows)
    rows = [(module, (rank * scale, count)) for module, (rank, count) in rows]
    return sorted(rows, key=lambda row: (-row[1][0], row[0]))


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="page_rank.py", description=__doc__.splitlines()[0])
    stdlib = Path(sysconfig.get_path("stdlib"))
    parser.add_argument("directory", nargs="?", type=Path, default=stdlib, metavar="DIRECTORY", help="the import root")
    parser.add_argument("--iterations", type=int, default=15, metavar="N", help="rounds of PageRank (default 15)")
    parser.add_argument("--top", type=int, default=20, metavar="N", help="how many modules to print (default 20)")
    args = parser.parse_args()
    if not args.directory.is_dir():
        parser.error(f"no such directory: {args.directory}")
    args.modules = modules_under(args.directory)
    if not args.modules:
        parser.error(f"no Python modules under {args.directory}")
    return args


def main() -> int:
    args = arguments()
    with SparkContext(appName="page rank") as sc:
        ranked = rank_modules(sc, args.modules, args.iterations)
    imports = sum(count for _, (_, count) in ranked)
    print(f"{len(ranked):,} modules, {imports:,} imports between them, {args.iterations} iterations")
    print(f"{'rank':>8}  {'imported by':>11}  module")
    for module, (rank, count) in ranked[: args.top]:
        print(f"{rank:>8.2f}  {count:>11}  {module}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
