"""Functions with a memory: one key for equal calls, another for whatever may give another result."""

from __future__ import annotations

import asyncio
import contextvars
import functools
import inspect
import multiprocessing
import pickle
import re
import sqlite3
import sys
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import cloudpickle
import numpy as np
import pytest

from localcluster.cache.memoize import Memoized, Store
from protocol import by_value
from protocol.errors import UnstableContentError
from tests.localcluster.cache.conftest import Serving
from tests.localcluster.cache.store_double import DictStore
from tests.support import DEADLINE

store = DictStore()
factor = 2


def memoize(function: Any, **options: Any) -> Memoized:
    return Memoized(function, DictStore(), **options)


@functools.partial(Memoized, store=store)
def doubled(x: int) -> int:
    return factor * x


@functools.partial(Memoized, store=store)
def fibonacci(n: int) -> int:
    return n if n < 2 else fibonacci(n - 1) + fibonacci(n - 2)


def test_a_result_is_computed_once() -> None:
    calls = []

    def f(x: int) -> list[int]:
        """Doc."""
        calls.append(x)
        return [x]

    memoized = memoize(f, ignore="calls")
    assert [memoized(1), memoized(1), memoized(2)] == [[1], [1], [2]]
    assert calls == [1, 2]
    assert memoized.statistics() == (1, 2)
    assert memoized.__wrapped__ is f
    assert (memoized.__name__, memoized.__doc__) == ("f", "Doc.")
    assert inspect.signature(memoized) == inspect.signature(f)
    assert re.fullmatch(
        r"tests\.\S*test_a_result_is_computed_once\.<locals>\.f/[0-9a-f]{32}/[0-9a-f]{32}", memoized.key(1)
    )


def plain(a: Any, b: Any = 2) -> None: ...
def positional(a: Any, /, b: Any = 2) -> None: ...
def keyword(a: Any, *, b: Any = 2) -> None: ...
def many(a: Any, *rest: Any, b: Any = 2, **others: Any) -> None: ...
def only(a: Any, /) -> None: ...


SAME_CALLS: list[tuple[Callable[..., None], list[Any]]] = [
    (plain, [lambda f: f(1), lambda f: f(1, 2), lambda f: f(a=1), lambda f: f(1, b=2), lambda f: f(b=2, a=1)]),
    (positional, [lambda f: f(1), lambda f: f(1, 2), lambda f: f(1, b=2)]),
    (keyword, [lambda f: f(1), lambda f: f(1, b=2), lambda f: f(b=2, a=1)]),
    (many, [lambda f: f(1, 2, 3, x=1), lambda f: f(1, 2, 3, b=2, x=1), lambda f: f(1, *[2, 3], x=1)]),
    (only, [lambda f: f(1)]),
    (functools.partial(plain, 1), [lambda f: f(), lambda f: f(2), lambda f: f(b=2)]),
]


@pytest.mark.parametrize(
    ("function", "calls"), SAME_CALLS, ids=[getattr(f, "__name__", "partial") for f, _ in SAME_CALLS]
)
def test_equal_calls_have_one_key(function: Any, calls: list[Any]) -> None:
    memoized = memoize(function)
    assert len({call(memoized.key) for call in calls}) == 1
    others = [
        lambda f: f(1, 3),
        lambda f: f(1.0),
        lambda f: f(1, b=3),
        lambda f: f(1, 2, 3, 4),
        lambda f: f(1, 2, 3, x=2),
        lambda f: f(1, 2, 3, y=1),
        lambda f: f(3),
    ]
    for call in others:
        try:
            inspect.signature(function)
            call(inspect.signature(function).bind)
        except TypeError:
            with pytest.raises(TypeError, match=r"\(\) (takes|got|missing)"):
                call(memoized.key)
        else:
            assert call(memoized.key) != calls[0](memoized.key)


def test_decorated_functions_are_bound_as_what_they_wrap_unless_they_say_more() -> None:
    def decorated(own: Callable[..., Any]) -> Any:
        return memoize(functools.wraps(plain)(own))

    takes_all = decorated(lambda *args, **kwargs: plain(*args, **{k: v for k, v in kwargs.items() if k != "retries"}))
    assert takes_all.key(1) == takes_all.key(a=1, b=2)
    assert takes_all.key(1, retries=3) == takes_all.key(1, retries=3)
    assert (
        len({takes_all.key(1), takes_all.key(1, retries=3), takes_all.key(1, retries=4), takes_all.key(2, retries=3)})
        == 4
    )
    assert takes_all(1, retries=3) is None
    with pytest.raises(TypeError, match="unexpected keyword argument 'c'"):
        takes_all(1, c=2)
    says_more = decorated(lambda a, b=3, *, retries=1: plain(a, b))
    assert says_more.key(1) == says_more.key(a=1, b=3, retries=1) != says_more.key(1, retries=2)


def test_arguments_count_by_content() -> None:
    memoized = memoize(plain)
    assert memoized.key(np.arange(3)) == memoized.key(np.arange(3))
    assert memoized.key({"a": {1, 2}}) == memoized.key({"a": {2, 1}}) != memoized.key({"a": {1, 3}})
    assert memoized.key(1) != memoized.key(True) != memoized.key("1")


def test_ignored_arguments_do_not_count() -> None:
    memoized = memoize(many, ignore=["b", "others"])
    assert memoized.key(1, b=threading.Lock(), x=2) == memoized.key(1)
    assert memoized.key(2) != memoized.key(1)
    with pytest.raises(ValueError, match=r"ignore: c: no parameter of .*many, and no name in its code"):
        memoize(many, ignore=["b", "c"])(1)
    with pytest.raises(UnstableContentError, match=r"argument 'rest', item 1: a _thread.lock .* ignore=\['rest'\]"):
        memoized(1, 2, threading.Lock())


def test_the_order_of_keywords_does_not_count() -> None:
    memoized = memoize(many)
    assert memoized.key(1, x=1, y=2) == memoized.key(1, y=2, x=1) != memoized.key(1, x=2, y=1)
    assert memoize(many, ignore=["others"]).key(1, y=2, x=1) == memoize(many, ignore=["others"]).key(1)
    wraps = memoize(functools.wraps(plain)(lambda *args, **kwargs: plain(*args)))
    assert wraps.key(1, 2, 3, x=1, y=2) == wraps.key(1, 2, 3, y=2, x=1)


class HasConnection:
    connection = sqlite3.connect(":memory:")


CONNECTIONS = {"x": HasConnection.connection}


@pytest.mark.parametrize(
    ("function", "name"),
    [(lambda: CONNECTIONS, "CONNECTIONS"), (lambda: HasConnection(), "connection")],
    ids=["a global", "an attribute of a class"],
)
def test_what_code_refers_to_that_has_no_content_may_be_ignored(function: Any, name: str) -> None:
    with pytest.raises(UnstableContentError, match=rf"Connection .* ignore=\['{name}'\]"):
        memoize(function).key()
    assert memoize(function, ignore=[name]).key()


def test_a_mark_may_be_the_default() -> None:
    mark = object()

    def f(x: Any = mark) -> bool:
        return x is mark

    memoized = memoize(f)
    assert memoized.key() == memoized.key(mark) != memoized.key(None)
    with pytest.raises(UnstableContentError, match="argument 'x': an object"):
        memoized.key(object())


def test_the_version_and_the_code_count(monkeypatch: pytest.MonkeyPatch) -> None:
    assert memoize(plain, version=1).key(1) != memoize(plain, version=2).key(1) != memoize(plain).key(1)
    before = doubled.key(1)
    assert doubled(4) == 8
    monkeypatch.setitem(globals(), "factor", 3)
    assert doubled.key(1) != before
    assert doubled(4) == 12
    monkeypatch.undo()
    assert doubled.key(1) == before
    assert doubled(4) == 8


def test_a_function_that_calls_itself() -> None:
    store.entries.clear()
    assert fibonacci(30) == 832040
    assert fibonacci.statistics().misses == 31


def test_forgetting() -> None:
    memoized = memoize(plain)
    memoized(1), memoized(2)
    assert memoized.is_cached(1)
    assert memoized.check_call_in_cache(a=2)
    memoized.forget(1)
    memoized.forget(3)
    assert not memoized.is_cached(1)
    assert memoized.is_cached(2)
    memoized.clear(warn=False)
    assert not memoized.is_cached(2)


def test_call_computes_anew_and_keeps_the_result() -> None:
    results = iter("abc")
    memoized = memoize(lambda: next(results), ignore=["results"], ttl=5)
    assert [memoized(), memoized(), memoized.call(), memoized()] == ["a", "a", "b", "b"]
    assert set(memoized._store.ttls.values()) == {5}  # type: ignore[attr-defined]


def test_an_error_is_not_kept() -> None:
    def f(x: int) -> float:
        return 1 / x

    memoized = memoize(f)
    for _ in range(2):
        with pytest.raises(ZeroDivisionError):
            memoized(0)
    assert not memoized.is_cached(0)
    assert memoized.statistics() == (0, 0)


@dataclass
class Scale:
    factor: int

    @functools.partial(Memoized, store=store)
    def times(self, x: int) -> int:
        return self.factor * x

    @functools.partial(Memoized, store=store)
    @classmethod
    def made(cls, x: int) -> str:
        return f"{cls.__name__} {x}"

    @functools.partial(Memoized, store=store)
    @staticmethod
    def still(x: int) -> int:
        return x

    @staticmethod
    @functools.partial(Memoized, store=store)
    def outside(x: int) -> int:
        return x

    @classmethod
    @functools.partial(Memoized, store=store)
    def made_outside(cls, x: int) -> str:
        return f"{cls.__name__} {x}"


class Other(Scale):
    pass


def test_methods() -> None:
    store.entries.clear()
    two = Scale(2)
    assert (two.times(3), Scale(2).times(3), Scale(3).times(3), Scale.times(two, 3)) == (6, 6, 9, 6)
    assert Scale.times.statistics() == (2, 2)
    assert two.times.key(3) == Scale.times.key(two, 3) != Scale(3).times.key(3)
    assert two.times.is_cached(x=3)
    two.times.forget(3)
    assert not two.times.check_call_in_cache(3)
    assert two.times.call(3) == two.times.__wrapped__(3) == 6
    two.times.clear()
    assert not Scale(3).times.is_cached(3)
    assert (Scale.made(1), two.made(1), Other.made(1), Other(1).made(1)) == ("Scale 1", "Scale 1", "Other 1", "Other 1")
    assert Scale.made.key(1) != Other.made.key(1)
    assert (Scale.still(1), two.still(1), Scale.outside(1), two.outside(1), two.made_outside(1)) == (
        1,
        1,
        1,
        1,
        "Scale 1",
    )
    assert pickle.loads(pickle.dumps(two.times))(3) == 6


def test_generators_are_refused() -> None:
    def f() -> Any:
        yield 1

    async def g() -> Any:
        yield 1

    for generator in (f, g):
        with pytest.raises(TypeError, match="is a generator, whose values are used up"):
            memoize(generator)
    with pytest.raises(TypeError, match="only functions can be memoized, not a int"):
        memoize(1)


def test_other_callables() -> None:
    class Adder:
        def __init__(self, n: int) -> None:
            self.n = n

        def __call__(self, x: int) -> int:
            return self.n + x

    one = Adder(1)
    memoized = memoize(one)
    assert memoized(1) == 2
    one.n = 2
    assert memoized(1) == 3
    assert memoize(functools.partial(plain, 1)).key(2) != memoize(functools.partial(plain, 3)).key(2)
    assert memoize(sorted)([2, 1]) == [1, 2]
    assert memoize(functools.lru_cache(plain)).key(1) == memoize(functools.lru_cache(plain)).key(1)


def test_threads_compute_once() -> None:
    calls: list[int] = []
    inside = threading.Barrier(8)

    def f(x: int) -> int:
        calls.append(x)
        return x

    memoized = memoize(f, ignore=["calls"])

    def ask() -> None:
        inside.wait(30)
        assert memoized(1) == 1

    threads = [threading.Thread(target=ask) for _ in range(8)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(30)
    assert calls == [1]
    assert memoized.statistics() == (7, 1)


def test_the_cache_is_such_a_store(serving: Serving) -> None:
    cache: Store = serving.cache()
    memoized, other = Memoized(plain, cache, ttl=1000), Memoized(many, cache)
    other(1)
    assert memoized(1) is None
    assert memoized.is_cached(1)
    memoized.forget(1)
    memoized.forget(1)
    assert not memoized.is_cached(1)
    memoized.call(1)
    again = Memoized(plain, serving.cache())
    assert again(1) is None
    assert again.statistics() == (1, 0)
    memoized.clear()
    assert [*cache] == [other.key(1)]


# --- coroutines ------------------------------------------------------------------------------------------------------

name: contextvars.ContextVar[str] = contextvars.ContextVar("name")


def test_a_coroutine_is_awaited_once() -> None:
    started: list[int] = []

    async def f(x: int) -> str:
        started.append(x)
        await asyncio.sleep(0)
        return f"{x} {name.get()}"

    memoized = memoize(f, ignore=["started", "name"])

    async def run() -> list[str]:
        name.set("here")
        assert inspect.iscoroutinefunction(memoized) == (sys.version_info >= (3, 12))
        return await asyncio.gather(*(memoized(x) for x in [1] * 20 + [2]))

    assert asyncio.run(run()) == ["1 here"] * 20 + ["2 here"]
    assert asyncio.run(run()) == ["1 here"] * 20 + ["2 here"]
    assert started == [1, 2]
    assert memoized.statistics() == (40, 2)
    assert asyncio.run(_awaited(memoized.call(3), name)) == "3 there"
    assert memoized.is_cached(3)


async def _awaited(awaitable: Any, variable: Any) -> Any:
    variable.set("there")
    return await awaitable


def test_coroutines_that_await_each_other_need_no_pool() -> None:
    async def inner(x: int) -> int:
        await asyncio.sleep(0)
        return x

    memoized_inner = memoize(inner)

    async def outer(x: int) -> int:
        return sum(await asyncio.gather(*(memoized_inner(y) for y in range(x))))

    memoized = memoize(outer)

    async def run() -> int:
        return sum(await asyncio.gather(*(memoized(x) for x in range(40))))

    assert asyncio.run(run()) == sum(sum(range(x)) for x in range(40))


def test_a_coroutine_that_awaits_itself_does_not_wait_for_itself() -> None:
    async def run() -> int:
        rounds = iter([1, 2, 0])

        async def f() -> int:
            left = next(rounds)
            return left + (await asyncio.create_task(memoized()) if left else 0)

        memoized = memoize(f, ignore=["rounds"])
        return await memoized()  # type: ignore[no-any-return]

    assert asyncio.run(asyncio.wait_for(run(), DEADLINE)) == 3


def test_what_is_there_is_read_in_the_loop(monkeypatch: pytest.MonkeyPatch) -> None:
    async def f(x: int) -> int:
        return x

    memoized = memoize(f)
    asyncio.run(memoized(1))
    monkeypatch.setattr(memoized, "_under_way", None)
    assert asyncio.run(memoized(1)) == 1
    assert memoized.statistics() == (1, 1)


def test_a_coroutine_that_is_cancelled_leaves_the_next_one_to_try() -> None:
    async def run() -> tuple[Any, list[str]]:
        begun, seen = asyncio.Event(), []

        async def f() -> str:
            seen.append("begun")
            begun.set()
            if len(seen) == 1:
                try:
                    await asyncio.Event().wait()
                finally:
                    seen.append("cancelled")
            return "done"

        memoized = memoize(f, ignore=["begun", "seen"])
        first = asyncio.create_task(memoized())
        await begun.wait()
        second = asyncio.create_task(memoized())
        await asyncio.sleep(0)
        first.cancel()
        results = await asyncio.gather(first, second, return_exceptions=True)
        return results, seen

    (first, second), seen = asyncio.run(run())
    assert isinstance(first, asyncio.CancelledError)
    assert second == "done"
    assert sorted(seen) == ["begun", "begun", "cancelled"]


def test_a_coroutine_that_raises() -> None:
    async def f() -> None:
        raise KeyError("x")

    memoized = memoize(f)
    for _ in range(2):
        with pytest.raises(KeyError):
            asyncio.run(memoized())


# --- other processes -------------------------------------------------------------------------------------------------


def test_pickled_by_name_where_it_can_be_imported() -> None:
    restored = pickle.loads(by_value.dumps(plain_memoized))
    assert restored.key(1) == plain_memoized.key(1)
    assert Memoized(len, store)._importable() is None


plain_memoized = Memoized(plain, store)


@pytest.mark.parametrize("dumps", [pickle.dumps, cloudpickle.dumps, by_value.dumps])
def test_pickled_by_value(dumps: Callable[[Any], bytes]) -> None:
    n = 2

    def f(x: int, y: int = n) -> int:
        return x * y if x < 2 else memoized(x - 1) * y

    memoized = memoize(f, ttl=3, ignore=["y"], version="v")
    assert memoized(1) == 2
    again = pickle.loads(dumps(memoized))
    assert again.key(1) == memoized.key(1)
    assert again.is_cached(1)
    assert again.statistics() == (0, 0)
    assert again(3) == 8
    assert (again.__name__, again._ttl) == ("f", 3)
    assert pickle.loads(by_value.dumps(lambda: memoized.key(1)))() == memoized.key(1)


def _key_of(memoized: Memoized, connection: Any) -> None:
    connection.send((memoized.key(1), doubled.key(1)))


@pytest.mark.parametrize("method", ["fork", "spawn"])
def test_the_keys_in_processes_are_the_same(method: str) -> None:
    context = multiprocessing.get_context(method)
    here, there = context.Pipe()
    memoized = memoize(lambda x: factor * x)
    process = context.Process(target=_key_of, args=(memoized, there))
    process.start()
    there.close()
    try:
        assert here.recv() == (memoized.key(1), doubled.key(1))
    finally:
        process.join(30)
        here.close()


def test_the_version_of_a_memoized_function_counts_for_those_that_call_it() -> None:
    def g(x: int) -> int:
        return x

    def outer(**options: Any) -> Memoized:
        inner = memoize(g, **options)
        return memoize(lambda x: inner(x))

    class Machine:
        one = memoize(lambda self, x: x, version=1)
        two = memoize(lambda self, x: x, version=2)

    machine = Machine()
    bound = [memoize(lambda x, m=method: m(x)) for method in (machine.one, machine.two)]
    keys = [each.key(1) for each in (outer(), outer(version=1), outer(version=[2]), outer(ignore=["x"]), *bound)]
    assert len({*keys}) == len(keys)
    assert outer(version=[2]).key(1) == keys[2]
