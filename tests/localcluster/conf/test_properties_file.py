"""Java properties files."""

from __future__ import annotations

from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from localcluster.conf.properties_file import parse_properties, read_properties
from protocol.errors import ConfigurationError


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        # What spark-submit 4.3 makes of the same lines.
        ("spark.a=1", {"spark.a": "1"}),
        ("spark.a: 2", {"spark.a": "2"}),
        ("spark.a  3", {"spark.a": "3"}),
        ("spark.a\ttab", {"spark.a": "tab"}),
        ("  spark.a = 4  ", {"spark.a": "4"}),
        ("spark.a=b=c:d e", {"spark.a": "b=c:d e"}),
        ("spark.a x\\\n   y", {"spark.a": "xy"}),
        ("spark.a x\\\n# y", {"spark.a": "x# y"}),
        ("spark.a x\\\\\nspark.b y", {"spark.a": "x\\", "spark.b": "y"}),
        ("spark.f\\=g h", {"spark.f=g": "h"}),
        ("spark.a \\u0041\\t.", {"spark.a": "A\t."}),
        ("spark.a \\q", {"spark.a": "q"}),
        ("spark.a", {"spark.a": ""}),
        ("# spark.a 1\n  ! spark.b 2\n\n \t\n", {}),
        ("spark.a 1\nspark.a 2", {"spark.a": "2"}),
        ("spark.a 1\r\nspark.b 2\rspark.c 3", {"spark.a": "1", "spark.b": "2", "spark.c": "3"}),
        ("spark.a x\\", {"spark.a": "x"}),
        ("", {}),
    ],
)
def test_lines_mean_what_they_mean_in_java(text: str, expected: dict[str, str]) -> None:
    assert parse_properties(text) == expected


def escaped(text: str) -> str:
    return "".join(f"\\u{ord(character):04x}" for character in text)


@given(st.dictionaries(st.text(st.characters(max_codepoint=0xD7FF), min_size=1), st.text("ab =:#!\\\n")))
def test_any_keys_and_values_can_be_written_with_escapes(properties: dict[str, str]) -> None:
    text = "\n".join(f"{escaped(key)}={escaped(value)}" for key, value in properties.items())
    assert parse_properties(text) == {key: value.strip(" \t") for key, value in properties.items()}


@given(st.text())
def test_any_text_is_properties_or_a_configuration_error(text: str) -> None:
    try:
        parse_properties(text)
    except ConfigurationError as error:
        assert "malformed" in str(error)  # noqa: PT017 - most texts raise nothing


def test_a_file_is_read_as_utf_8(tmp_path: Path) -> None:
    file = tmp_path / "spark.conf"
    file.write_bytes("spark.app.name  Žluťoučký\n".encode())
    assert read_properties(str(file)) == {"spark.app.name": "Žluťoučký"}


def test_a_file_that_cannot_be_read_is_named(tmp_path: Path) -> None:
    latin = tmp_path / "latin.conf"
    latin.write_bytes(b"spark.app.name \xe9")
    for path in (str(latin), str(tmp_path / "missing.conf"), str(tmp_path)):
        with pytest.raises(ConfigurationError, match="cannot read the properties file") as caught:
            read_properties(path)
        assert path in str(caught.value)
