"""What ``spark.hadoop.*`` and ``spark.files.*`` settings make of files, as real PySpark 4.3 recorded it.

`test_input_settings` runs the same on ours. To record again, with a PySpark and a Java at hand, from the root:

    PYTHONPATH=. python -m tests.localcluster.rdd.input_settings_cases
"""

from __future__ import annotations

import bz2
import gzip
import json
import os
import random
import tempfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

RESULTS = Path(__file__).with_name("input_settings_results.json")
HADOOP = "spark.hadoop."
INPUT = f"{HADOOP}mapreduce.input.fileinputformat."
OUTPUT = f"{HADOOP}mapreduce.output.fileoutputformat."
CODECS = "org.apache.hadoop.io.compress."
WORDS = gzip.compress(b"".join(b"%06d\n" % (number * 7919 % 999983) for number in range(20000)))

Case = Callable[[Any, Path], Any]


def write_files(root: Path) -> None:
    for directory in ("tree/in/deep", "tree/_hidden", "tree/.hidden", "tree/empty", "three", "damaged"):
        (root / directory).mkdir(parents=True)
    files = {
        "semicolons": b"a;b\nc;d",
        "ends": b";a;;b;\r\n;",
        "mark": b"\xef\xbb\xbfx;y",
        "invalid": b"a\xff;\xc3\xa9",
        "semicolons.gz": gzip.compress(b"a;b\nc;d"),
        "semicolons.bz2": bz2.compress(b"a;b\nc;d"),
        "damaged/cut.gz": WORDS[: len(WORDS) // 2],
        "damaged/no.gz": b"not gzip at all\n",
        "damaged/text": b"1\n2\n",
        "three/empty": b"",
        **{f"three/{number}": b"%d\n" % number * 50 for number in range(3)},
    }
    for name, data in files.items():
        (root / name).write_bytes(data)
    for name in ("a", "in/b", "in/deep/c", "_hidden/d", ".hidden/e", "in/_f", "in/.g"):
        (root / "tree" / name).write_text(f"{name}\n")
    (root / "tree" / "nowhere").symlink_to("nothing")


def delimited(sc: Any, root: Path) -> Any:
    names = ("semicolons", "ends", "mark", "invalid", "semicolons.gz", "semicolons.bz2")
    wanted = {name: (1,) if "." in name else (1, 2, 3, 5) for name in names}
    return {name: [sc.textFile(f"{root}/{name}", n).glom().collect() for n in wanted[name]] for name in names}


def delimited_in_ranges(alphabet: str) -> Case:
    """The delimiter in all places where ranges of a file may meet."""

    def case(sc: Any, root: Path) -> Any:
        draw = random.Random(alphabet)
        texts = ["".join(draw.choice(alphabet) for _ in range(draw.randint(1, 24))) for _ in range(15)]
        found = {}
        for text in texts:
            (root / "random").write_text(text)
            found[text] = [sc.textFile(f"{root}/random", n).glom().collect() for n in (1, 2, 3, 5)]
        return found

    case.__name__ = f"delimited_in_ranges of {alphabet}"
    return case


def whole_texts(sc: Any, root: Path) -> Any:
    return [len(text) for _, text in sc.wholeTextFiles(f"{root}/semicolons").collect()]


def tree_as_text(sc: Any, root: Path) -> Any:
    return [sorted(sc.textFile(f"{root}/{path}", 1).collect()) for path in ("tree", "tree/*")]


def tree_as_files(sc: Any, root: Path) -> Any:
    read = (sc.wholeTextFiles, sc.binaryFiles)
    keys = [method(f"{root}/{path}").keys() for method in read for path in ("tree", "tree/*")]
    return [sorted(key.replace(f"file:{root}/", "") for key in found.collect()) for found in keys]


def splits(sc: Any, root: Path) -> Any:
    return {
        "textFile": [sc.textFile(f"{root}/{path}", 10).glom().map(len).collect() for path in ("three", "three/0")],
        "wholeTextFiles": [sc.wholeTextFiles(f"{root}/three", n).glom().map(len).collect() for n in (1, 2, 9)],
        "binaryFiles": [sc.binaryFiles(f"{root}/three", n).getNumPartitions() for n in (1, 2, 9)],
        "binaryRecords": [sc.binaryRecords(f"{root}/three/0", n).glom().map(len).collect() for n in (10, 25)],
    }


def written(directory: Path) -> dict[str, str]:
    """The files there, and how they begin."""
    files = sorted(path for path in directory.rglob("*") if not path.name.endswith(".crc"))
    return {str(path.relative_to(directory)): path.read_bytes()[:2].hex() for path in files}


def saved(sc: Any, root: Path) -> Any:
    numbers = sc.parallelize([1, 2], 2)
    numbers.saveAsTextFile(f"{root}/out")
    numbers.saveAsTextFile(f"{root}/out-gz", f"{CODECS}GzipCodec")
    numbers.saveAsPickleFile(f"{root}/out-pickled")
    pickled = [sorted(written(root / "out-pickled")), sorted(sc.pickleFile(f"{root}/out-pickled").collect())]
    return [written(root / "out"), written(root / "out-gz"), pickled]


def saved_twice(sc: Any, root: Path) -> Any:
    first = saved(sc, root)
    sc.parallelize([3], 1).saveAsTextFile(f"{root}/out")
    sc.parallelize([3], 1).saveAsPickleFile(f"{root}/out-pickled")
    return [first, written(root / "out"), sorted(sc.pickleFile(f"{root}/out-pickled").collect())]


def damaged(sc: Any, root: Path) -> Any:
    names = ("cut.gz", "no.gz", "text")
    texts = [sc.textFile(f"{root}/damaged/{name}", 1).glom().map(len).collect() for name in names]
    whole = [sc.wholeTextFiles(f"{root}/damaged/{name}").count() for name in names]
    records = [sc.binaryRecords(f"{root}/damaged/{name}", 3).map(len).collect() for name in ("no.gz", "text")]
    return [texts, whole, records, sc.pickleFile(f"{root}/damaged").collect()]


def missing(sc: Any, root: Path) -> Any:
    read = (sc.textFile, sc.pickleFile, lambda path: sc.binaryRecords(path, 1))
    return [method(f"{root}/nowhere").glom().collect() for method in read]


def gone(sc: Any, root: Path) -> Any:
    def lengths(rdd: Any, path: str) -> Any:
        rdd.getNumPartitions()  # the files are looked up
        os.remove(root / path)
        return sorted(rdd.glom().map(len).collect())

    return [
        lengths(sc.textFile(f"{root}/three", 1), "three/1"),
        lengths(sc.wholeTextFiles(f"{root}/three/2"), "three/2"),
        lengths(sc.binaryRecords(f"{root}/semicolons", 7), "semicolons"),
    ]


DELIMITER = f"{HADOOP}textinputformat.record.delimiter"
GZIP, BZIP2 = f"{CODECS}GzipCodec", f"{CODECS}BZip2Codec"
TREE = (tree_as_text, tree_as_files)
CASES: list[tuple[dict[str, str], tuple[Case, ...]]] = [
    ({}, (delimited, whole_texts, tree_as_files, splits, saved)),
    ({DELIMITER: ";"}, (delimited, whole_texts, delimited_in_ranges("a;"))),
    ({DELIMITER: "\r\n"}, (delimited, delimited_in_ranges("a\r\n"))),
    ({DELIMITER: "ab"}, (delimited, delimited_in_ranges("abc"))),
    ({DELIMITER: "abc"}, (delimited_in_ranges("abcx"),)),
    ({DELIMITER: "\u00e9"}, (delimited, delimited_in_ranges("a\u00e9"))),
    ({f"{INPUT}input.dir.recursive": " TRUE"}, TREE),
    ({f"{HADOOP}mapred.input.dir.recursive": "true"}, TREE),
    ({f"{INPUT}input.dir.nonrecursive.ignore.subdirs": "true"}, TREE),
    ({f"{INPUT}split.minsize": "60"}, (splits,)),
    ({f"{INPUT}split.minsize": "1000"}, (splits,)),
    ({f"{HADOOP}mapred.min.split.size": "60"}, (splits,)),
    ({f"{INPUT}split.maxsize": "35"}, (splits,)),
    ({f"{INPUT}split.maxsize": "0"}, (splits,)),
    ({f"{HADOOP}mapred.max.split.size": "5"}, (splits,)),
    ({f"{INPUT}split.minsize": "50", f"{INPUT}split.maxsize": "30"}, (splits,)),
    ({"spark.files.maxPartitionBytes": "100"}, (splits,)),
    ({"spark.files.maxPartitionBytes": "0"}, (splits,)),
    ({"spark.files.openCostInBytes": "10"}, (splits,)),
    ({"spark.files.openCostInBytes": "1k"}, (splits,)),
    ({f"{HADOOP}validateOutputSpecs": "false"}, (saved_twice,)),
    ({f"{HADOOP}mapreduce.fileoutputcommitter.marksuccessfuljobs": "false"}, (saved,)),
    ({f"{OUTPUT}compress": "true"}, (saved,)),
    ({f"{OUTPUT}compress": "true", f"{OUTPUT}compress.codec": BZIP2}, (saved,)),
    ({f"{OUTPUT}compress.codec": GZIP}, (saved,)),
    ({f"{OUTPUT}compress.codec": "none.there.is"}, (saved,)),
    ({f"{HADOOP}mapred.output.compress": "true", f"{HADOOP}mapred.output.compression.codec": GZIP}, (saved,)),
    ({"spark.files.ignoreCorruptFiles": "true"}, (damaged,)),
    ({"spark.files.ignoreMissingFiles": "true"}, (missing, gone)),
]


def name_of(settings: dict[str, str], case: Case) -> str:
    return f"{case.__name__} with {settings}"


def record() -> None:
    from pyspark import SparkConf, SparkContext

    results = {}
    SparkContext("local[2]", "the settings of the first context are defaults of all others").stop()
    for settings, cases in CASES:
        with SparkContext("local[2]", "record", conf=SparkConf().setAll(settings.items())) as sc:
            for case in cases:
                with tempfile.TemporaryDirectory() as directory:
                    write_files(Path(directory))
                    results[name_of(settings, case)] = case(sc, Path(directory))
    lines = (f"{json.dumps(name)}: {json.dumps(result, separators=(',', ':'))}" for name, result in results.items())
    RESULTS.write_text("{\n" + ",\n".join(lines) + "\n}\n")


if __name__ == "__main__":
    record()
