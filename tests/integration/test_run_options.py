"""What ``localcluster run`` is told reaches the job's contexts."""

from __future__ import annotations

import json
from pathlib import Path

from tests.faults.runs import Run

JOB = """
import json
from localcluster import SparkConf, SparkContext

SparkContext.setSystemProperty("spark.set.property", "property")
with SparkContext(conf=SparkConf().set("spark.set.both", "program")) as sc:
    assert sc.parallelize(range(4)).sum() == 6
    print(json.dumps({"parallelism": sc.defaultParallelism, **dict(sc.getConf().getAll())}))
with SparkContext(appName="second") as sc:
    print(json.dumps({"parallelism": sc.defaultParallelism, **dict(sc.getConf().getAll())}))
"""


def test_options_conf_and_properties_file_reach_every_context_of_the_job(tmp_path: Path) -> None:
    file = tmp_path / "spark.conf"
    file.write_text("# of a cluster\nspark.set.file: file\nspark.set.both=file\nspark.ui.enabled false\nother 1\n")
    options = [
        "-v",
        "--properties-file",
        str(file),
        "-c",
        "spark.set.conf=conf",
        "--master",
        "local[2]",
        "--queue",
        "q",
    ]
    with Run(tmp_path, JOB, options=options) as run:
        assert run.wait() == 0, run.errors
        first, second = map(json.loads, run.output.splitlines())
        run.assert_nothing_left()
    settings = {"file": "file", "conf": "conf", "property": "property"}
    for conf in (first, second):
        assert {name: conf[f"spark.set.{name}"] for name in settings} == settings
        assert conf["parallelism"] == 2
        assert conf["spark.master"] == "local[2]"
    assert (first["spark.app.name"], second["spark.app.name"]) == ("job.py", "second")
    assert (first["spark.set.both"], second["spark.set.both"]) == ("program", "file")
    # Each thing that has no effect is said once, what nobody misses is not said.
    for told in ("--queue has no effect", "other is no setting", "spark.set.file has no effect"):
        assert run.errors.count(told) == 1
    assert "spark.ui.enabled has" not in run.errors
    assert "\nspark.set.file=file\n" in run.errors, "the settings, since -v was given"


def test_a_script_is_compiled_by_its_own_rules_and_not_by_ours(tmp_path: Path) -> None:
    """By `compile`, it takes over what the calling module imports from ``__future__``."""
    with Run(tmp_path, "def f(x: int) -> None: ...\nprint(f.__annotations__)\n", options=[]) as run:
        assert run.wait() == 0, run.errors
        assert run.output == "{'x': <class 'int'>, 'return': None}\n"
