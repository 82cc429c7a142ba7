"""The programs of docs/parallel.md and docs/caching.md, run as they stand there."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from localcluster.cache import command
from tests.support import DEADLINE

DOCS = Path(__file__).resolve().parents[2] / "docs"
PAGE = "\n".join((DOCS / name).read_text() for name in ("parallel.md", "caching.md"))
PROGRAMS = {name: code for code, name in re.findall(r"```python\n(# (\w+\.py).*?)```", PAGE, re.DOTALL)}
PRINTED = {
    "executor.py": "True\n50005000\n",
    "loop.py": "[0.0, 1.0, 2.0, 3.0, 4.0]\n",
    "search.py": "4\n",
    "pipeline.py": "True\n",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_of_the_page_run(tmp_path: Path, name: str) -> None:
    if "sklearn" in PROGRAMS[name]:
        pytest.importorskip("sklearn")
    (tmp_path / name).write_text(PROGRAMS[name])
    cache = str(tmp_path / "cache")
    environment = {**os.environ, "LOCALCLUSTER_CACHE_DIRECTORY": cache}
    program = [sys.executable, tmp_path / name]
    run = subprocess.run(program, env=environment, capture_output=True, text=True, timeout=100)
    command.stop(cache, DEADLINE)
    assert (run.stdout, run.stderr) == (PRINTED[name], "")
