"""Programs whose results real PySpark 4.3 recorded into ``pyspark_results.json``; `test_as_pyspark` runs them on ours.

Covers what is exact in PySpark though no documentation says so: which record lands in which partition, what a seed
draws, where files split. To record again, with a PySpark and a Java at hand, from the project's root:

    PYTHONHASHSEED=0 python tests/localcluster/rdd/pyspark_cases.py
"""

from __future__ import annotations

import bz2
import gzip
import json
import tempfile
import zlib
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("pyspark_results.json")

TEXTS = {
    "lf": b"a\nbb\nccc\n\ndddd\n",
    "no_last_end": b"a\nbb",
    "crlf": b"a\r\nbb\r\n\r\nccc\r\n",
    "cr": b"a\rbb\r\rccc\r",
    "mixed": b"a\rb\nc\r\nd\n\re\r\r\nf",
    "empty": b"",
    "one_end": b"\n",
    "mark": b"\xef\xbb\xbfx\ny\n",
    "mark_only": b"\xef\xbb\xbf",
    "invalid": b"ok\n\xff\xfe bad\n\xe2\x82\ncut \xe2\x82",
    "not_line_ends": "a\u2028b\x0bc\x85d\x1ce\n\u00e9\n".encode(),
}


def write_files(root: Path) -> None:
    (root / "dir").mkdir()
    (root / "dir2").mkdir()
    (root / "nothing").mkdir()
    files = {
        **TEXTS,
        "dir/b": b"b1\nb2\n",
        "dir/a": b"a1\na2\n",
        "dir/_hidden": b"h\n",
        "dir/.hidden": b"h\n",
        "dir2/c": b"c1\n",
        "dir2/Z": b"Z1\n",
        "dir2/empty": b"",
        "dir2/b{}[]x": b"odd\n",
        "g.gz": gzip.compress(b"g1\ng2\n" * 100),
        "two.gz": gzip.compress(b"g1\n") + gzip.compress(b"g2\n"),
        "b.bz2": bz2.compress(b"g1\ng2\n"),
        "d.deflate": zlib.compress(b"z1\nz2\n"),
    }
    for name, data in files.items():
        (root / name).write_bytes(data)


def text_splits(sc: Any, root: Path) -> Any:
    wanted = (None, 1, 2, 3, 4, 5, 7, 20)
    return {name: {str(n): sc.textFile(str(root / name), n).glom().collect() for n in wanted} for name in TEXTS}


def text_paths(sc: Any, root: Path) -> Any:
    patterns = (
        "dir",
        "dir,{}/dir2",
        "dir*",
        "dir/*",
        "*2/*",
        "dir/?",
        "dir/[a-a]",
        "dir/[^a]",
        "dir/[!a]",
        "{{lf,crlf}}",
        "dir{{2/c,/a}}",
        "dir{{,2}}/{{a,Z}}",
        "{{d{{ir,x}}/a,lf}}",
        "dir2/b\\{{\\}}\\[\\]x",
        "nothing",
        "g.gz",
        "two.gz",
        "b.bz2",
        "d.deflate",
    )
    # Sorted, since Hadoop lists a directory in the order in which the system does.
    return {p: sorted(sc.textFile(f"{root}/{p.format(root)}", 1).glom().collect()) for p in patterns}


def text_file_uris(sc: Any, root: Path) -> Any:
    return [sc.textFile(f"{prefix}{root}/lf", 1).collect() for prefix in ("file:", "file://")]


def text_as_bytes(sc: Any, root: Path) -> Any:
    return [line.decode("latin-1") for line in sc.textFile(f"{root}/invalid", 1, use_unicode=False).collect()]


def parallelize(sc: Any, root: Path) -> Any:
    sizes, slices = (0, 1, 2, 5, 10, 50, 3000), (1, 2, 3, 7)
    return [[[len(p) for p in sc.parallelize([0] * size, n).glom().collect()] for size in sizes] for n in slices]


def ranges(sc: Any, root: Path) -> Any:
    arguments = ((5,), (2, 9), (9, 2, -2), (0, 10, 3), (3, 3), (0, 10**15, 10**14))
    return [[sc.range(*a, numSlices=n).glom().collect() for a in arguments] for n in (1, 2, 3, 7)]


def coalesce(sc: Any, root: Path) -> Any:
    return [sc.parallelize(range(7), 7).coalesce(n).glom().collect() for n in (1, 2, 3, 5, 6, 7, 9)]


def repartition(sc: Any, root: Path) -> Any:
    numbers = [sc.parallelize(range(95), parts) for parts in (1, 3, 6)]
    return [rdd.repartition(n).glom().collect() for rdd in numbers for n in (1, 2, 3, 4, 5, 7, 8, 16)]


def pairs(sc: Any) -> Any:
    return sc.parallelize([(i * 7919 % 101, i) for i in range(150)], 5)


def sorting(sc: Any, root: Path) -> Any:
    rdd = pairs(sc)
    return [
        rdd.sortByKey(True, 4).glom().collect(),
        rdd.sortByKey(False, 3).glom().collect(),
        rdd.sortByKey(numPartitions=1).glom().collect(),
        rdd.sortBy(lambda kv: -kv[1]).glom().collect(),
        rdd.repartitionAndSortWithinPartitions(3, lambda k: k + 1, False).glom().collect(),
        [p.getNumPartitions() for p in (rdd.sortByKey(), sc.parallelize([], 3).sortByKey())],
    ]


def sampling(sc: Any, root: Path) -> Any:
    rdd = pairs(sc)
    return [
        rdd.sample(False, 0.1, 42).collect(),
        rdd.sample(True, 0.3, 7).collect(),
        sc.parallelize([1] * 5, 2).sample(True, 30.0, 3).count(),
        rdd.takeSample(False, 5, 3),
        rdd.takeSample(True, 5, 3),
        rdd.takeSample(False, 200, 3),
        [part.collect() for part in rdd.randomSplit([1, 2, 3], 5)],
        rdd.sampleByKey(True, {i: i / 20 for i in range(101)}, 9).collect(),
        rdd.sampleByKey(False, {i: i / 101 for i in range(101)}, 9).collect(),
    ]


def by_key(sc: Any, root: Path) -> Any:
    rdd = sc.parallelize(range(40), 4).map(lambda x: (x % 7, x))
    odd = sc.parallelize([(None, 1), ((None, 2), 3), (4.0, 5), (4, 6), (-3, 7), (True, 8), ((1, (2, -9)), 9)], 2)
    return [
        rdd.groupByKey(3).mapValues(list).glom().collect(),
        rdd.reduceByKey(lambda a, b: a + b).glom().collect(),
        rdd.aggregateByKey([], lambda c, v: [*c, v], lambda c, d: c + d, 2).glom().collect(),
        rdd.partitionBy(3).glom().collect(),
        rdd.partitionBy(3, lambda k: -k).glom().collect(),
        odd.partitionBy(5).glom().collect(),
        sc.parallelize([3, 1, 2, 3, 1, None], 3).distinct().glom().collect(),
    ]


def joins(sc: Any, root: Path) -> Any:
    left = sc.parallelize([(x % 7, x) for x in range(30)], 4)
    right = sc.parallelize([(x % 11, -x) for x in range(25)], 3)
    alike = left.partitionBy(3), right.partitionBy(3)
    three = alike[0].groupWith(alike[1], left)
    return [
        left.join(right).glom().collect(),
        left.leftOuterJoin(right).glom().collect(),
        left.rightOuterJoin(right, 2).glom().collect(),
        left.fullOuterJoin(right, 2).glom().collect(),
        alike[0].join(alike[1]).glom().collect(),
        alike[0].union(alike[1]).glom().collect(),
        left.union(right).glom().collect(),
        left.cogroup(right, 2).mapValues(lambda vs: [list(v) for v in vs]).glom().collect(),
        # Sorted: keys of a partition come in an order of its own from a union of RDDs placed alike.
        [sorted(p) for p in three.mapValues(lambda vs: [list(v) for v in vs]).glom().collect()],
        left.subtractByKey(right, 2).glom().collect(),
        left.keys().intersection(right.keys()).glom().collect(),
        left.keys().subtract(right.keys()).glom().collect(),
        sc.parallelize(range(3), 2).cartesian(sc.parallelize(range(4), 2)).glom().collect(),
    ]


def numbering(sc: Any, root: Path) -> Any:
    rdd = sc.parallelize("abcdefg", 3)
    return [rdd.zipWithIndex().glom().collect(), rdd.zipWithUniqueId().glom().collect(), rdd.zip(rdd).collect()]


def statistics(sc: Any, root: Path) -> Any:
    rdd = sc.parallelize([5, 1, 4, 4, 12, 7], 3)
    return [
        str(rdd.stats()),
        {name: float(value) for name, value in rdd.stats().asDict().items()},
        rdd.histogram(3),
        rdd.histogram([1, 2, 5, 20]),
        rdd.histogram([0, 5, 10]),
        sc.parallelize(["ab", "ac", "b", "bd", "ef"]).histogram(("a", "b", "c")),
        sc.parallelize([1.5, 2.5, float("nan"), None]).histogram(2),
    ]


CASES: list[Callable[[Any, Path], Any]] = [
    text_splits,
    text_paths,
    text_file_uris,
    text_as_bytes,
    parallelize,
    ranges,
    coalesce,
    repartition,
    sorting,
    sampling,
    by_key,
    joins,
    numbering,
    statistics,
]


def as_json(value: Any) -> Any:
    """As it comes back from a JSON file: tuples as lists."""
    return json.loads(json.dumps(value))


def record() -> None:
    from pyspark import SparkContext

    with tempfile.TemporaryDirectory() as directory, SparkContext("local[2]", "record") as sc:
        write_files(Path(directory))
        results = {case.__name__: case(sc, Path(directory)) for case in CASES}
    lines = (f"{json.dumps(name)}: {json.dumps(result, separators=(',', ':'))}" for name, result in results.items())
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record()
