"""Callables and classes that a library makes for the program: all that they are made of counts."""

from __future__ import annotations

import dataclasses
import functools
import types
from abc import ABCMeta
from collections.abc import Callable
from typing import Any

import numpy as np
import pytest

from localcluster.digests.code import Code
from localcluster.digests.content import content_digest
from protocol.errors import UnstableContentError


def mul(x: Any, k: Any) -> Any:
    return x * k


def times(k: int) -> Any:
    return functools.update_wrapper(functools.partial(mul, k=k), mul)


def vectorized(kind: str) -> Any:
    return functools.wraps(mul)(np.vectorize(mul, otypes=[kind]))


def cached(k: int) -> Any:
    return functools.lru_cache(lambda x: k * x)


def ufunc(k: int) -> Any:
    return np.frompyfunc(lambda x: k * x, 1, 1)


MADE: dict[str, tuple[Callable[[Any], Any], Any, Any]] = {
    "partial": (times, 2, 3),
    "partial of a partial": (lambda k: functools.partial(times(k), 1), 2, 3),
    "static method": (lambda k: staticmethod(times(k)), 2, 3),
    "vectorize": (vectorized, "f8", "i8"),
    "vectorize without a name": (lambda kind: np.vectorize(mul, otypes=[kind]), "f8", "i8"),
    "frompyfunc": (ufunc, 2, 3),
    "other numbers of arguments": (lambda n: np.frompyfunc(mul, 2, n), 1, 2),
    "lru_cache": (cached, 2, 3),
    "lru_cache by another name": (lambda k: functools.update_wrapper(cached(k), mul), 2, 3),
}


@pytest.mark.parametrize(("make", "one", "other"), MADE.values(), ids=MADE)
def test_what_it_was_made_of_counts(make: Callable[[Any], Any], one: Any, other: Any) -> None:
    def f() -> Any:
        return made

    made = make(one)
    code = Code(f)
    before = content_digest(made), Code(made).digest(), code.digest()
    made = make(one)
    assert (content_digest(made), Code(made).digest(), code.digest()) == before
    made = make(other)
    after = content_digest(made), Code(made).digest(), code.digest()
    assert all(a != b for a, b in zip(before, after, strict=True))


@pytest.mark.parametrize(
    ("make", "arguments"),
    [
        (lambda: vectorized("f8"), (1, 2)),
        (lambda: cached(2), (1,)),
        (lambda: MADE["lru_cache by another name"][0](2), (1,)),
    ],
)
def test_what_it_keeps_of_its_calls_does_not_count(make: Callable[[], Any], arguments: tuple[int, ...]) -> None:
    made = make()
    before = Code(made).digest()
    made(*arguments)
    assert Code(made).digest() == before


def test_ufuncs_of_libraries_go_by_name() -> None:
    assert content_digest(np.add) != content_digest(np.multiply)


def test_a_ufunc_whose_function_is_not_to_be_found_is_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("localcluster.digests.arrays.gc.get_referents", lambda value: [])
    with pytest.raises(UnstableContentError, match=r"a ufunc that no module has as '<lambda> .vectorized.'"):
        content_digest(ufunc(2))


def test_classes_that_a_library_made_for_the_program() -> None:
    def with_body(**names: Any) -> Any:
        return types.new_class("C", (), {}, lambda body: body.update(names))

    made = [
        *(dataclasses.make_dataclass("C", fields) for fields in (["a"], ["b"], [("a", int)], [("a", int, 1)])),
        *(dataclasses.make_dataclass("C", ["a"], namespace={"m": method}) for method in (lambda s: 1, lambda s: 2)),
        *(with_body(K=k) for k in (1, 2)),
        *(ABCMeta("C", (), {"K": k}) for k in (1, 2)),
    ]
    assert len({content_digest(kind) for kind in made}) == len(made)
    values = [kind(1) for kind in made[:6] if "b" not in kind.__dataclass_fields__]
    assert len({content_digest(value) for value in values}) == len(values)
    again = dataclasses.make_dataclass("C", [("a", int, 1)])
    assert content_digest(again) == content_digest(made[3])
