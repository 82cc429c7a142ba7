"""Count words in text files; without arguments, in the sources of this machine's Python standard library.

usage:  python -m localcluster run scripts/word_count.py [PATH ...] [--bytes 64m] [--top 20] [--check]

A word is a run of letters, digits and underscores. Directories are searched for ``*.py`` and ``*.txt`` files. With
``--check`` the same words are counted again by one plain ``collections.Counter``; the exit code is 1 if they differ.
"""

from __future__ import annotations

import argparse
import re
import sys
import sysconfig
import time
from collections import Counter
from collections.abc import Iterable, Iterator
from operator import add
from pathlib import Path

from localcluster import SparkContext

UNITS = {"": 1, "k": 1 << 10, "m": 1 << 20, "g": 1 << 30}
SUFFIXES = {".py", ".txt"}
SPECIAL = re.compile(r"[,*?\[{\\]")
WORD = re.compile(r"\w+")


def byte_count(text: str) -> int:
    match = re.fullmatch(r"(\d+)([kmg]?)", text.lower())
    if not match:
        raise argparse.ArgumentTypeError(f"{text!r} is not a number of bytes such as 500k, 64m or 1g")
    return int(match[1]) * UNITS[match[2]]


def files_under(paths: Iterable[Path]) -> Iterator[Path]:
    """The files given, and the text files in the directories given, in a fixed order.

    In directories, what `textFile` takes for something else is left out: names that start with an underscore or a dot
    are hidden, a comma separates paths, and some characters make a pattern.
    """
    for path in paths:
        if path.is_dir():
            found = (file for file in path.rglob("*") if file.suffix in SUFFIXES and file.is_file())
            yield from sorted(file for file in found if file.name[0] not in "_." and not SPECIAL.search(str(file)))
        else:
            yield path


def up_to(limit: int | None, files: Iterable[Path]) -> list[Path]:
    """The first files that have no more than `limit` bytes together: whole files only."""
    chosen: list[Path] = []
    total = 0
    for file in files:
        total += file.stat().st_size
        if limit is not None and total > limit:
            break
        chosen.append(file)
    return chosen


def words(line: str) -> list[str]:
    return WORD.findall(line)


def count_in_one_process(files: Iterable[Path]) -> Counter[str]:
    counts: Counter[str] = Counter()
    for file in files:
        with open(file, encoding="utf-8", errors="replace") as lines:
            for line in lines:
                counts.update(words(line))
    return counts


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="word_count.py", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="files or directories to read")
    parser.add_argument("--bytes", type=byte_count, metavar="N", help="read no more than N bytes, as 500k or 64m")
    parser.add_argument("--top", type=int, default=20, metavar="N", help="how many words to print (default 20)")
    parser.add_argument("--check", action="store_true", help="compare with a count made by one process")
    args = parser.parse_args()
    for path in args.paths:
        if not path.exists():
            parser.error(f"no such file or directory: {path}")
    args.files = up_to(args.bytes, files_under(args.paths or [Path(sysconfig.get_path("stdlib"))]))
    if not args.files:
        parser.error("there is nothing to read: no text files, or --bytes is smaller than the first of them")
    return args


def main() -> int:
    args = arguments()
    size = sum(file.stat().st_size for file in args.files)
    started = time.perf_counter()
    with SparkContext(appName="word count") as sc:
        tasks = 4 * sc.defaultParallelism
        # A file is at least one partition: coalesce makes thousands of small ones into a few tasks.
        lines = sc.textFile(",".join(map(str, args.files)), tasks).coalesce(tasks)
        counts = lines.flatMap(words).map(lambda word: (word, 1)).reduceByKey(add).cache()
        distinct = counts.count()
        total = counts.map(lambda pair: pair[1]).sum()
        top = counts.takeOrdered(args.top, key=lambda pair: (-pair[1], pair[0]))
        everything = counts.collectAsMap() if args.check else {}
    seconds = time.perf_counter() - started

    for word, count in top:
        print(f"{count:>12,}  {word}")
    read = f"{len(args.files):,} files ({size / 1e6:,.1f} MB)"
    print(f"{total:,} words, {distinct:,} distinct, in {read}: {seconds:.1f} s")
    if args.check:
        same = everything == count_in_one_process(args.files)
        print("one process counts the same" if same else "one process counts differently")
        return 0 if same else 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
