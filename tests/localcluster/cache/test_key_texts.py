"""Keys as JSON; as text, they are tested with the commands that show and take them."""

from __future__ import annotations

import json

import pytest

from localcluster.cache.key_texts import json_of
from localcluster.cache.keys import Key


@pytest.mark.parametrize(
    ("key", "text"),
    [
        ("b'x'", """ "b'x'" """),
        (("a", (1, None)), '["a", [1, null]]'),
        ((b"x\xff",), '[{"bytes": "78ff"}]'),
        ((1.0, True), "[1.0, true]"),
        ((float("nan"), float("-inf")), '[{"float": "nan"}, {"float": "-inf"}]'),
        ("\ud800", '"\\ud800"'),
    ],
    ids=ascii,
)
def test_the_json_of_keys(key: Key, text: str) -> None:
    assert json.dumps(json_of(key), allow_nan=False) == text.strip()
