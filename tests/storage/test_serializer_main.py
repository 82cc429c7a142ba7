"""What a job script defines in ``__main__`` travels by value: an executor has another ``__main__``.

The test is two interpreters: a script that writes blocks, and one that reads them and lacks the script's classes.
"""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

WRITER = """
import sys
from storage.serializer import deserialize, dumps, serialize
class Point:
    def __init__(self, x): self.x = x
    def double(self): return self.x * 2
def triple(point): return point.x * 3
records = [Point(index) for index in range(300)]
block = b"".join(serialize(records))
# In the process that defines the class, what comes back is of that very class.
assert all(type(record) is Point for record in deserialize(block))
open(sys.argv[1], "wb").write(block)
open(sys.argv[2], "wb").write(b"".join(dumps({"f": triple, "kind": Point, "text": "__main__"})))
open(sys.argv[3], "wb").write(b"".join(dumps((object(), "__main__"))))
"""

READER = """
import sys
from storage.serializer import deserialize, dumps, loads, serialize
block, single, plain = (open(path, "rb").read() for path in sys.argv[1:4])
records = list(deserialize(block))
assert [record.double() for record in records] == [2 * index for index in range(300)]
assert len({type(record) for record in records}) == 1, "batches came back as different classes"
found = loads(single)
assert found["kind"] is type(records[0])
assert found["f"](records[5]) == 15
assert found["text"] == "__main__"
assert loads(plain)[1] == "__main__"
# And on to the next executor: the class is known to nobody by name.
again = b"".join(serialize(records))
assert [record.x for record in deserialize(again)] == list(range(300))
"""


def run(script: Path, *arguments: str) -> None:
    environment = {**os.environ, "PYTHONPATH": str(ROOT), "PYTHONDONTWRITEBYTECODE": "1"}
    done = subprocess.run(
        [sys.executable, str(script), *arguments], env=environment, capture_output=True, text=True, timeout=50
    )
    assert done.returncode == 0, done.stderr


@pytest.fixture
def blocks(tmp_path: Path) -> list[str]:
    return [str(tmp_path / name) for name in ("records", "single", "plain")]


def test_classes_and_functions_of_a_script_reach_a_process_that_does_not_have_them(
    tmp_path: Path, blocks: list[str]
) -> None:
    for name, text in (("writer.py", WRITER), ("reader.py", READER)):
        (tmp_path / name).write_text(text)
        run(tmp_path / name, *blocks)
