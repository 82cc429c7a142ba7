"""Several questions to one log, read and parsed once; without arguments, to this machine's package log or sources.

usage:  python -m localcluster run scripts/log_report.py [PATH ...] [--top 8]

Every line of interest becomes an event (place, kind, subject), and the cached events answer one query after the other:

- a file is a log with lines as ``2025-05-20 10:11:12 KIND SUBJECT …``, such as ``/var/log/dpkg.log``, gzip as well;
  the event's place is the day;
- a directory is a tree of Python sources, whose notable lines (definitions, ``raise``, ``import``, TODO marks) are the
  events; the place is the directory.
"""

from __future__ import annotations

import argparse
import re
import sys
import sysconfig
import time
from collections.abc import Iterator
from contextlib import contextmanager
from operator import add
from pathlib import Path
from typing import TYPE_CHECKING, TypeAlias

from localcluster import SparkContext, StorageLevel

if TYPE_CHECKING:
    from localcluster import RDD

Event: TypeAlias = "tuple[str, str, str]"  # place, kind, subject

PACKAGE_LOGS = "/var/log/dpkg.log*"
LOG_LINE = re.compile(r"(\d{4}-\d\d-\d\d)[ T][\d:.,+Z]+ (status \S+|[\w.-]+) (\S+)")
NOTABLE = re.compile(
    r"""\s*(?:
        (?P<kind>def|class|raise|except|import|from)\s+(?P<subject>[\w.]+)
      | \#.*?\b(?P<mark>TODO|FIXME|XXX|HACK)\b
    )""",
    re.VERBOSE,
)


def log_event(line: str) -> list[Event]:
    match = LOG_LINE.match(line)
    return [(match[1], match[2], match[3])] if match else []


def source_events(root: str, name: str) -> Iterator[Event]:
    """The events of one source file. Opens it itself: the lines of `textFile` do not say where they are from."""
    place = str(Path(name).parent.relative_to(Path(root).parent))
    with open(name, encoding="utf-8", errors="replace") as lines:
        for line in lines:
            match = NOTABLE.match(line)
            if match:
                yield place, match["kind"] or "mark", match["subject"] or match["mark"]


def events_of(sc: SparkContext, logs: list[Path], trees: list[Path]) -> RDD:
    tasks = 4 * sc.defaultParallelism
    events = sc.parallelize([], 1)
    if logs:
        events = sc.textFile(",".join(map(str, logs)), tasks).flatMap(log_event)
    for root in map(str, trees):
        names = sorted(str(file) for file in Path(root).rglob("*.py") if file.is_file())
        sources = sc.parallelize(names, tasks).flatMap(lambda name, root=root: source_events(root, name))
        events = events.union(sources)
    return events.persist(StorageLevel.MEMORY_AND_DISK)


@contextmanager
def query(title: str) -> Iterator[None]:
    started = time.perf_counter()
    print(f"\n{title}")
    yield
    print(f"    ({time.perf_counter() - started:.2f} s)")


def most(counts: RDD, top: int) -> None:
    """Print the keys with the largest counts of an RDD of (key, 1)."""
    for key, count in counts.reduceByKey(add).takeOrdered(top, key=lambda pair: (-pair[1], pair[0])):
        print(f"{count:>12,}  {key if isinstance(key, str) else '  '.join(key)}")


def report(events: RDD, top: int) -> None:
    with query("Events of each kind (this query reads and parses; the others find the events cached)"):
        most(events.map(lambda event: (event[1], 1)), top)
    with query("Places with the most events"):
        most(events.map(lambda event: (event[0], 1)), top)
    with query("Most frequent subjects, with their kind"):
        most(events.map(lambda event: ((event[1], event[2]), 1)), top)
    with query("Subjects that turn up in the most places"):
        most(events.map(lambda event: (event[2], event[0])).distinct().mapValues(lambda _: 1), top)
    with query("Kinds by their number of different subjects"):
        most(events.map(lambda event: (event[1], event[2])).distinct().mapValues(lambda _: 1), top)


def arguments() -> argparse.Namespace:
    parser = argparse.ArgumentParser(prog="log_report.py", description=__doc__.splitlines()[0])
    parser.add_argument("paths", nargs="*", type=Path, metavar="PATH", help="log files, directories of Python sources")
    parser.add_argument("--top", type=int, default=8, metavar="N", help="rows for each query (default 8)")
    args = parser.parse_args()
    for path in args.paths:
        if not path.exists():
            parser.error(f"no such file or directory: {path}")
    logs = [log for log in sorted(Path("/").glob(PACKAGE_LOGS[1:])) if log.stat().st_size]
    args.paths = args.paths or logs or [Path(sysconfig.get_path("stdlib"))]
    return args


def main() -> int:
    args = arguments()
    trees = [path for path in args.paths if path.is_dir()]
    logs = [path for path in args.paths if not path.is_dir()]
    print("Report on", ", ".join(map(str, args.paths)))
    with SparkContext(appName="log report") as sc:
        events = events_of(sc, logs, trees)
        report(events, args.top)
        total = events.count()
    print(f"\n{total:,} events")
    return 0 if total else 1


if __name__ == "__main__":
    sys.exit(main())
