"""The programs of docs/parallel.md, run as they stand there."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

PAGE = (Path(__file__).resolve().parents[2] / "docs" / "parallel.md").read_text()
PROGRAMS = {name: code for code, name in re.findall(r"```python\n(# (\w+\.py).*?)```", PAGE, re.DOTALL)}
PRINTED = {
    "executor.py": "True\n50005000\n",
    "loop.py": "[0.0, 1.0, 2.0, 3.0, 4.0]\n",
    "search.py": "4\n",
}


@pytest.mark.parametrize("name", PROGRAMS)
def test_the_programs_of_the_page_run(tmp_path: Path, name: str) -> None:
    if "sklearn" in PROGRAMS[name]:
        pytest.importorskip("sklearn")
    (tmp_path / name).write_text(PROGRAMS[name])
    run = subprocess.run([sys.executable, tmp_path / name], capture_output=True, text=True, timeout=100)
    assert (run.stdout, run.stderr) == (PRINTED[name], "")
