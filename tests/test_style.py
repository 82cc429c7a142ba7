"""What no linter looks at: one name for the logger of a module, one form for what a function raises."""

from __future__ import annotations

import re
from pathlib import Path

ROOT = Path(__file__).parents[1]
FILES = [path for package in ("protocol", "storage", "localcluster") for path in sorted((ROOT / package).rglob("*.py"))]


def lines_like(pattern: str) -> list[str]:
    lines = ((path, line) for path in FILES for line in path.read_text().splitlines())
    return [f"{path.relative_to(ROOT)}: {line}" for path, line in lines if re.search(pattern, line)]


def test_the_logger_of_a_module_is_log() -> None:
    found = lines_like(r"= logging\.getLogger\(__name__\)$")
    assert found
    assert [line for line in found if not line.endswith(".py: log = logging.getLogger(__name__)")] == []


def test_docstrings_say_raises_in_a_sentence_and_not_as_a_section() -> None:
    assert lines_like(r"\bRaises \w+(Error|Exception)\b")
    assert lines_like(r"^\s*Raises:") == []
