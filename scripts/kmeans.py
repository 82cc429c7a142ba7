"""Group files by what their bytes look like (k-means, numpy); without arguments, the files of this machine's Python.

usage:  python -m localcluster run scripts/kmeans.py [PATH ...] [--clusters 8] [--files 4000] [--iterations 30]

A file's features are the frequencies of the 256 byte values in its first 64 KiB, so that sources, compiled code,
libraries, tables and texts in other scripts fall apart without a look at their names. Prints, for each cluster, its
most common name endings and the files nearest to its centre. The result is the same in every run.
"""

from __future__ import annotations

import argparse
import sys
import sysconfig
from collections import Counter
from collections.abc import Iterable, Iterator
from itertools import islice
from pathlib import Path
from typing import TypeAlias

from localcluster import SparkContext, StorageLevel

try:
    import numpy as np
except ImportError:
    print("kmeans.py needs numpy: python -m pip install numpy", file=sys.stderr)
    sys.exit(2)

Features: TypeAlias = "tuple[list[str], np.ndarray]"  # names of n files, and an array of shape (n, 256)

HEAD = 64 * 1024  # bytes of each file that are looked at
EXAMPLES = 4
SETTLED = 1e-6  # stop once no number of any centre moves more than this


def readable_files(paths: Iterable[Path]) -> Iterator[str]:
    for path in paths:
        found = sorted(file for file in path.rglob("*") if file.is_file()) if path.is_dir() else [path]
        yield from (str(file) for file in found if file.stat().st_size)


def byte_frequencies(name: str) -> np.ndarray:
    """256 numbers of length 1 together: roots of frequencies, which keeps common bytes from drowning the rare ones."""
    with open(name, "rb") as file:
        counts = np.bincount(np.frombuffer(file.read(HEAD), np.uint8), minlength=256)
    return np.sqrt(counts / counts.sum())


def features(names: Iterator[str]) -> Iterator[Features]:
    """All files of a partition as one array: numpy is fast on many rows at once."""
    chosen = list(names)
    if chosen:
        yield chosen, np.array([byte_frequencies(name) for name in chosen])


def distances(rows: np.ndarray, centres: np.ndarray) -> np.ndarray:
    """Squared distances of n rows to k centres, shape (n, k)."""
    return ((rows[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2)


def sums(rows: np.ndarray, centres: np.ndarray) -> tuple[np.ndarray, np.ndarray, float]:
    """(sum of the rows nearest to each centre, how many they are, total squared distance)."""
    table = distances(rows, centres)
    members = np.eye(len(centres))[table.argmin(axis=1)]
    return members.T @ rows, members.sum(axis=0), float(table.min(axis=1).sum())


def first_centres(rows: np.ndarray, count: int) -> np.ndarray:
    """k-means++ with a fixed seed: rows that are likely far from each other."""
    random = np.random.default_rng(7)
    centres = rows[:1]
    while len(centres) < count:
        weights = distances(rows, centres).min(axis=1)
        if not weights.sum():  # fewer different rows than centres
            break
        centres = np.vstack([centres, rows[random.choice(len(rows), p=weights / weights.sum())]])
    return centres


def nearest_files(block: Features, centres: np.ndarray) -> list[tuple[int, tuple[float, str]]]:
    """[(cluster, (squared distance, file name))]"""
    names, rows = block
    table = distances(rows, centres)
    return [(int(row.argmin()), (float(row.min()), name)) for row, name in zip(table, names, strict=True)]


def cluster(sc: SparkContext, names: list[str], count: int, iterations: int) -> dict[int, list[tuple[float, str]]]:
    """{cluster: [(squared distance to its centre, file name)], nearest first}"""
    blocks = sc.parallelize(names, 4 * sc.defaultParallelism).mapPartitions(features).persist(StorageLevel.OFF_HEAP)
    sample = np.vstack(blocks.map(lambda block: block[1][::4]).collect())
    centres = first_centres(sample, count)
    done = 0
    shift = np.inf
    while done < iterations and shift > SETTLED:
        shared = sc.broadcast(centres)
        parts = blocks.map(lambda block, shared=shared: sums(block[1], shared.value))
        total, sizes, error = parts.reduce(lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] + b[2]))
        moved = np.where(sizes[:, None] > 0, total / np.maximum(sizes, 1)[:, None], centres)
        shift = float(np.abs(moved - centres).max())
        centres = moved
        shared.unpersist()
        done += 1
    found = f"{len(names):,} files, {len(centres)} clusters, {done} iterations"
    print(f"{found}, mean squared distance {error / len(names):.4f}")
    final = sc.broadcast(centres)
    files = blocks.flatMap(lambda block: nearest_files(block, final.value))
    return files.groupByKey().mapValues(sorted).collectAsMap()


def ending(name: str) -> str:
    return Path(name).suffix or "(none)"


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="kmeans.py", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or directories to group")
    parser.add_argument("--clusters", type=int, default=8, metavar="K", help="how many clusters (default 8)")
    parser.add_argument("--files", type=int, default=4000, metavar="N", help="look at N files at most (default 4000)")
    parser.add_argument("--iterations", type=int, default=30, metavar="N", help="rounds at most (default 30)")
    args = parser.parse_args()
    if min(args.clusters, args.files, args.iterations) < 1:
        parser.error("--clusters, --files and --iterations must be 1 or more")
    for path in args.paths:
        if not path.exists():
            parser.error(f"no such file or directory: {path}")
    everything = list(readable_files(args.paths or [Path(sysconfig.get_path("stdlib"))]))
    args.names = list(islice(everything, 0, None, -(-len(everything) // args.files))) if everything else []
    if not args.names:
        parser.error("there are no files that are not empty")
    return args


def main() -> int:
    args = arguments()
    with SparkContext(appName="k-means") as sc:
        clusters = cluster(sc, args.names, args.clusters, args.iterations)
    for number, members in sorted(clusters.items(), key=lambda item: -len(item[1])):
        endings = Counter(ending(name) for _, name in members).most_common(4)
        described = ", ".join(f"{name} {100 * count / len(members):.0f}%" for name, count in endings)
        print(f"\ncluster {number}: {len(members):,} files: {described}")
        for distance, name in members[:EXAMPLES]:
            print(f"    {distance:.4f}  {name}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
