"""An expensive numpy step that is done once: its result is kept for later runs, in the machine's cache.

usage:  python -m localcluster run scripts/cached_pipeline.py [PATH ...] [--bytes 16m]

Without arguments, reads the files of this machine's Python. The data is cut into pieces of 4 KiB; the expensive step
computes for each of them which bytes follow which, its spectrum, and how well it compresses. ``cacheAs`` keeps what it
gives under a name, made of the files and of VERSION: run the script again, after `localcluster cache stop` if you like,
and it says that nothing was computed. A last look asks every executor where in its memory the arrays lie: they may be
changed, since a page that is written to becomes the executor's own, and all others are shared.
"""

from __future__ import annotations

import argparse
import hashlib
import os
import re
import sys
import sysconfig
import time
import zlib
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from localcluster import SparkContext

if TYPE_CHECKING:
    from localcluster import RDD

try:
    import numpy as np
except ImportError:
    print("cached_pipeline.py needs numpy: python -m pip install numpy", file=sys.stderr)
    sys.exit(2)

Block: TypeAlias = "tuple[list[str], np.ndarray]"  # name of the file of each of n pieces; features, shape (n, 321)

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
PIECE = 4096  # bytes
MAPPING = re.compile(r"(\w+)-(\w+) (\S+) \S+ \S+ \S+ *(.*)")  # a line of /proc/self/maps
HEAD = 16 * PIECE  # bytes read of each file
VERSION = 1  # of the expensive step: another number when it is changed


def byte_count(text: str) -> int:
    match = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes such as 500k, 64m or 1g")
    return int(match[1]) * UNITS[match[2]]


def files_up_to(limit: int, paths: Iterable[Path]) -> list[str]:
    """Files with at least one whole piece, until their heads have `limit` bytes together."""
    names: list[str] = []
    for path in paths:
        for file in sorted(path.rglob("*")) if path.is_dir() else [path]:
            if limit <= 0:
                return names
            if file.is_file() and (size := file.stat().st_size) >= PIECE:
                names.append(str(file))
                limit -= min(size, HEAD)
    return names


# --- the expensive step ---------------------------------------------------------------------------------------------


def piece_features(piece: bytes) -> np.ndarray:
    """321 numbers: how often each of 16 classes of bytes follows each, 64 bands of the spectrum, compressibility."""
    data = np.frombuffer(piece, np.uint8)
    classes = (data >> 4).astype(np.intp)
    follows = np.bincount(classes[:-1] * 16 + classes[1:], minlength=256) / (PIECE - 1)
    spectrum = np.abs(np.fft.rfft(data - data.mean()))[1:].reshape(64, -1).mean(axis=1)
    spectrum /= max(spectrum.sum(), 1.0)
    return np.concatenate([follows, spectrum, [len(zlib.compress(piece, 9)) / PIECE]])


def features(names: Iterable[str]) -> Iterator[Block]:
    owners: list[str] = []
    rows: list[np.ndarray] = []
    for name in names:
        with open(name, "rb") as file:
            head = file.read(HEAD)
        pieces = [head[start : start + PIECE] for start in range(0, len(head) - PIECE + 1, PIECE)]
        owners += [name] * len(pieces)
        rows += map(piece_features, pieces)
    if rows:
        yield owners, np.array(rows)


def name_of(names: list[str]) -> str:
    """A name for what the step makes of these files: another one when a file or the step changes."""
    states = [(name, os.stat(name).st_size, os.stat(name).st_mtime_ns) for name in names]
    return f"features-{hashlib.sha256(repr((VERSION, states)).encode()).hexdigest()[:16]}"


# --- two queries that use it ----------------------------------------------------------------------------------------


def mean_and_spread(blocks: RDD) -> tuple[np.ndarray, np.ndarray]:
    """Mean and standard deviation of each feature over all pieces."""
    parts = blocks.map(lambda block: (len(block[1]), block[1].sum(axis=0), (block[1] ** 2).sum(axis=0)))
    count, total, squares = parts.reduce(lambda a, b: (a[0] + b[0], a[1] + b[1], a[2] + b[2]))
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - mean**2, 1e-12))


def strangest(blocks: RDD, mean: np.ndarray, spread: np.ndarray, top: int) -> list[tuple[float, str]]:
    """The files with the pieces farthest from the mean, in units of each feature's spread."""

    def scores(block: Block) -> list[tuple[str, float]]:
        names, rows = block
        distances = np.sqrt((((rows - mean) / spread) ** 2).mean(axis=1))
        return list(zip(names, map(float, distances), strict=True))

    best = blocks.flatMap(scores).reduceByKey(max).map(lambda pair: (pair[1], pair[0]))
    return best.top(top)


# --- where the arrays are -------------------------------------------------------------------------------------------


def mapping_of(address: int) -> str:
    """The directory of the file that is mapped at an address of this process, or a word for memory of its own."""
    with open("/proc/self/maps") as maps:
        for line in maps:
            start, end, permissions, name = MAPPING.match(line).groups()
            if int(start, 16) <= address < int(end, 16) and name.startswith("/"):
                shared = "shared" if permissions.endswith("s") else "copied on write"
                return f"a file of {os.path.dirname(name)}, {shared}"
    return "memory of its own"


def whereabouts(block: Block) -> tuple[int, str, str]:
    """(process id, what the array's memory is, whether it can be written)"""
    array = block[1]
    place = mapping_of(array.__array_interface__["data"][0])
    return os.getpid(), place, "writable" if array.flags.writeable else "read-only"


def print_whereabouts(blocks: RDD) -> None:
    found = sorted(blocks.map(whereabouts).collect())
    for process, place, access in sorted(set(found)):
        print(f"    process {process}: {found.count((process, place, access))} x {access} in {place}")


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="cached_pipeline.py", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or directories to read")
    size = "read about N bytes, as 500k or 64m (default 16m)"
    parser.add_argument("--bytes", type=byte_count, default=16 << 20, metavar="N", help=size)
    args = parser.parse_args()
    for path in args.paths:
        if not path.exists():
            parser.error(f"no such file or directory: {path}")
    args.names = files_up_to(args.bytes, args.paths or [Path(sysconfig.get_path("stdlib"))])
    if not args.names:
        parser.error(f"no files of {PIECE} bytes or more")
    return args


def main() -> int:
    args = arguments()
    with SparkContext(appName="cached pipeline") as sc:
        computed = sc.accumulator(0)

        def counted(names: Iterator[str]) -> Iterator[Block]:
            chosen = list(names)
            computed.add(len(chosen))
            return features(chosen)

        names = sc.parallelize(args.names, 4 * sc.defaultParallelism)
        blocks = names.mapPartitions(counted).cacheAs(name_of(args.names))

        started = time.perf_counter()
        mean, spread = mean_and_spread(blocks)
        first = time.perf_counter() - started

        started = time.perf_counter()
        again = mean_and_spread(blocks)
        second = time.perf_counter() - started

        pieces, size = blocks.map(lambda b: np.array([len(b[1]), b[1].nbytes])).reduce(np.add)
        print(f"{len(args.names):,} files, {pieces:,} pieces, {size / 1e6:.1f} MB of features")
        if computed.value:
            print(f"computed the features of {computed.value:,} files, for this run and later ones")
        else:
            print("computed nothing: an earlier run did")
        print(f"first query  {first:8.3f} s")
        print(f"second query {second:8.3f} s")
        print("same result" if np.allclose(again, (mean, spread)) else "different results")
        print("\nfiles that are least like the others:")
        for score, name in strangest(blocks, mean, spread, 5):
            print(f"    {score:6.2f}  {name}")
        print("\nwhere the arrays are:")
        print_whereabouts(blocks)
    return 0


if __name__ == "__main__":
    sys.exit(main())
