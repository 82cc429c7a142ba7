"""Keys: what is one, which two are the same entry, and that this holds in every process."""

from __future__ import annotations

import datetime
import math
import os
import subprocess
import sys
from typing import Any
from zoneinfo import ZoneInfo

import numpy as np
import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from localcluster.cache.keys import block_id_of, digest_of, plain
from protocol.errors import CacheKeyError

plain_values = st.one_of(
    st.text(st.characters()), st.binary(), st.integers(), st.floats(), st.booleans(), st.none()
)  # surrogates among the characters
keys = st.one_of(
    st.text(st.characters()), st.recursive(st.lists(plain_values).map(tuple), lambda k: st.lists(k).map(tuple))
)


def is_same(a: Any, b: Any) -> bool:
    if type(a) is not type(b):
        return False
    if type(a) is tuple:
        return len(a) == len(b) and all(map(is_same, a, b))
    if type(a) is float:
        return (math.isnan(a) and math.isnan(b)) or (a == b and math.copysign(1, a) == math.copysign(1, b))
    return bool(a == b)


@given(a=keys, b=keys)
@example(a=(1,), b=(True,))
@example(a=(1,), b=(1.0,))
@example(a=(0,), b=(False,))
@example(a=("1",), b=(1,))
@example(a=("1",), b=(b"1",))
@example(a=(0.0,), b=(-0.0,))
@example(a=(math.nan,), b=(float("nan"),))
@example(a=(("a",), "b"), b=("a", ("b",)))
@example(a=("a",), b=("a",))
@example(a=("a",), b="a")
@example(a=("a",), b="('a',)")
@example(a="\udc80", b="\\udc80")
@example(a="\xe9", b="\\xe9")
@example(a="\U0001fae8", b="\\U0001fae8")
@example(a=(), b=((),))
def test_two_keys_are_one_entry_exactly_when_they_are_equal_and_of_the_same_types(a: Any, b: Any) -> None:
    assert (digest_of(a) == digest_of(b)) == is_same(a, b)


@pytest.mark.parametrize(
    "no_key",
    [
        *(None, 1, b"a", 1.0, ["a"], {"a": 1}, ("a", ["b"]), ("a", ("b", {})), (1j,), (frozenset(),)),
        *(np.int64(3), np.array([1]), (np.array(1),), (Exception(),), (sys,), (np.complex128(1),)),
        *((np.longdouble(1),), (np.datetime64("2020-01-01", "ns"),), datetime.date(2024, 1, 2)),
        (datetime.datetime(2024, 1, 2, tzinfo=ZoneInfo("UTC")),),
    ],
    ids=repr,
)
def test_what_is_no_key_is_refused_as_a_type_error(no_key: Any) -> None:
    with pytest.raises(CacheKeyError, match="a key"):
        digest_of(no_key)
    with pytest.raises(TypeError):
        digest_of(no_key)


@pytest.mark.parametrize(
    ("scalar", "value"),
    [
        *((np.int64(3), 3), (np.uint8(3), 3), (np.float64(0.1), 0.1), (np.float32(0.5), 0.5), (np.bool_(True), True)),
        *((np.str_("a"), "a"), (np.bytes_(b"a"), b"a")),
    ],
    ids=repr,
)
def test_numpy_s_scalars_are_the_values_that_they_equal(scalar: Any, value: Any) -> None:
    assert digest_of(("a", (scalar,))) == digest_of(("a", (value,)))
    found: Any = plain((scalar,))
    assert type(found[0]) is type(value)
    assert digest_of(np.str_("a")) == digest_of("a")


def test_dates_and_times_are_keys_of_their_own() -> None:
    day, utc = datetime.datetime(2024, 1, 2), datetime.timezone.utc
    parts = [
        *(day, day.date(), day.replace(tzinfo=utc), day.replace(microsecond=1), day.replace(fold=1)),
        *(datetime.timedelta(1), datetime.timedelta(seconds=1), "2024-01-02", 1),
    ]
    assert len({digest_of((part,)) for part in parts}) == len(parts)
    assert digest_of((datetime.date(2024, 1, 2),)) == digest_of((day.date(),))


def test_subclasses_of_plain_types_are_no_keys() -> None:
    class Text(str):
        __slots__ = ()

    class Pair(tuple[int, int]):
        __slots__ = ()

    for no_key in (Text("a"), Pair((1, 2)), (Text("a"),), (Pair((1, 2)),)):
        with pytest.raises(CacheKeyError):
            digest_of(no_key)


@pytest.mark.skipif(not hasattr(sys, "get_int_max_str_digits"), reason="this Python writes numbers of any length")
def test_a_number_of_thousands_of_digits_is_refused() -> None:
    with pytest.raises(CacheKeyError, match="smaller"):
        digest_of((10**5000,))


def test_digests_are_the_same_in_every_process_and_known_ones_stay() -> None:
    keys: list[Any] = ["features", ("a", 1, 2.5, None, True, b"\0", ("n\xe9sted", "\udc80", math.inf))]
    program = f"from localcluster.cache.keys import digest_of; print(*[digest_of(k) for k in {keys!a}])"
    program = program.replace("inf", "float('inf')")
    environment = {**os.environ, "PYTHONHASHSEED": "77"}
    found = subprocess.run([sys.executable, "-c", program], env=environment, capture_output=True, check=True, text=True)
    assert found.stdout.split() == [digest_of(key) for key in keys]
    assert digest_of("features") == "4ed82ae7c041583f92839da252e1f9ea"


def test_a_namespace_is_part_of_the_block_id_and_not_of_the_digest() -> None:
    a, b = block_id_of("a", "key"), block_id_of("b", "key")
    assert a != b
    assert a.digest == b.digest == digest_of("key")
