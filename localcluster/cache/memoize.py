"""`Memoized`: a function whose results are kept under its name, its code and its arguments.

The key is text: ``module.function/CODE/ARGUMENTS``. CODE is the digest of the function's code and of all that it refers
to (`code_shapes` says what that is), and of the ``version`` that its author gave; ARGUMENTS that of the arguments by
content, bound to their names. Methods count their instance, by its content, among the arguments. Of functions that run
in an event loop `coroutines` tells. Generators are refused: what they give is used up.

What keeps the results is a `Store`, as `Cache` is one.
"""

from __future__ import annotations

import copyreg
import functools
import inspect
import pickle
import re
import sys
import threading
from collections.abc import Callable, Collection, Iterator
from contextlib import suppress
from types import FunctionType, MethodType
from typing import Any, NamedTuple, Protocol

from xxhash import xxh3_128_digest

from localcluster.cache.binding import Binding
from localcluster.digests.code import Code
from localcluster.digests.code_shapes import module_of
from localcluster.digests.content import content_digest
from localcluster.digests.program import MAINS
from protocol import by_value
from protocol.errors import DeserializationError, UnstableContentError
from protocol.importable import only_here


class Store(Protocol):
    """What keeps results, for all processes that use it. ``ttl`` is in seconds; None: as long as there is room."""

    def get_or_compute(self, key: str, function: Callable[[], Any], *, ttl: float | None = None) -> Any:
        """The value of the key. If there is none, one computes it and all others wait."""

    def put(self, key: str, value: Any, *, ttl: float | None = None) -> None:
        """A value in place of the one that may be there."""

    def as_found(self, key: str, value: Any) -> Any:
        """What others get for a value that was just put."""

    def __contains__(self, key: object) -> bool: ...

    def __getitem__(self, key: str) -> Any:
        """Without waiting. Raises KeyError when there is none, and DeserializationError when it cannot be read."""

    def __delitem__(self, key: str) -> None:
        """Raises KeyError when there is none."""

    def __iter__(self) -> Iterator[Any]:
        """All keys, those of others, too."""


class Statistics(NamedTuple):
    """Calls in this process: those that found a result, also one that another process had to compute first, and those
    that computed it.
    """

    hits: int
    misses: int


class Memoized:
    """A function with a memory. Call it as the function; ``__wrapped__`` is the function itself.

    ``ignore`` names parameters that do not count, or what the code refers to by a name (a lock, a log); ``version`` is
    any value, to be changed when results should be computed anew.
    """

    __parts_that_count__ = ("__wrapped__", "_version", "_ignore")  # of one that another function refers to
    __wrapped__: Any
    __module__: str
    __qualname__: str

    def __init__(
        self,
        function: Any,
        store: Store,
        ignore: Collection[str] = (),
        ttl: float | None = None,
        version: Any = None,
    ) -> None:
        self._kind: Any = type(function)
        if isinstance(function, (staticmethod, classmethod)):
            function = function.__func__
        if not callable(function):
            raise TypeError(f"only functions can be memoized, not a {type(function).__name__}")
        if inspect.isgeneratorfunction(function) or inspect.isasyncgenfunction(function):
            raise TypeError(f"{_name(function)} is a generator, whose values are used up: have it return a list")
        functools.update_wrapper(self, function, updated=["__dict__"] if isinstance(function, FunctionType) else [])
        self._name = _name(function)
        self._store = store
        self._ignore = frozenset([ignore] if isinstance(ignore, str) else ignore)
        self._ttl = ttl
        self._version = version
        self._awaits = inspect.iscoroutinefunction(function)
        if self._awaits and sys.version_info >= (3, 12):
            inspect.markcoroutinefunction(self)
        self._start()
        self._binding  # noqa: B018 - raises now, if the function has no signature

    def _start(self) -> None:
        """What is of this process."""
        self._code = Code(self.__wrapped__, self._ignore)
        self._prefix: tuple[bytes, str] = b"", ""
        if self._awaits:
            from localcluster.cache.coroutines import UnderWay  # few programs need it, and asyncio takes long to load

            self._under_way = UnderWay()
        self._lock = threading.Lock()
        self._hits = self._misses = 0

    @functools.cached_property
    def _binding(self) -> Binding:
        return Binding(self.__wrapped__, self._ignore)

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        key = self.key(*args, **kwargs)
        function = functools.partial(self.__wrapped__, *args, **kwargs)
        return self._find_awaited(key, function) if self._awaits else self._find(key, function)

    def call(self, *args: Any, **kwargs: Any) -> Any:
        """Compute it whether it is there or not, and keep what came out. As in `joblib.Memory`."""
        key = self.key(*args, **kwargs)
        value = self.__wrapped__(*args, **kwargs)
        return self._put_awaited(key, value) if self._awaits else self._put(key, value)

    def key(self, *args: Any, **kwargs: Any) -> str:
        """Under what the result of such a call is kept.

        Raises UnstableContentError when an argument, or what the function refers to, has no lasting content.
        """
        try:
            digest = self._code.digest()
        except UnstableContentError as error:
            raise _with_hint(error) from error
        made, prefix = self._prefix
        if digest != made:
            prefix = self._prefix_for(digest)
            self._prefix = digest, prefix
        return prefix + self._binding.digest(args, kwargs).hex()

    def is_cached(self, *args: Any, **kwargs: Any) -> bool:
        return self.key(*args, **kwargs) in self._store

    check_call_in_cache = is_cached  # as in `joblib.Memory`

    def forget(self, *args: Any, **kwargs: Any) -> None:
        """Remove the result of one such call."""
        with suppress(KeyError):
            del self._store[self.key(*args, **kwargs)]

    def clear(self, warn: bool = True) -> None:
        """Remove all results of this function, those of its former code, too. ``warn`` is there for programs that were
        written for `joblib.Memory`, and means nothing.
        """
        for key in [*self._store]:
            if isinstance(key, str) and key.startswith(f"{self._name}/"):
                with suppress(KeyError):
                    del self._store[key]

    def statistics(self) -> Statistics:
        with self._lock:
            return Statistics(self._hits, self._misses)

    def _prefix_for(self, digest: bytes) -> str:
        unknown = self._ignore - self._code.ignored - {*self._binding.parameters}
        if unknown:
            names = ", ".join(sorted(unknown))
            raise ValueError(f"ignore: {names}: no parameter of {self._name}, and no name in its code")
        return f"{self._name}/{xxh3_128_digest(digest + content_digest(self._version)).hex()}/"

    def _find(self, key: str, function: Callable[[], Any]) -> Any:
        computed = False

        def compute() -> Any:
            nonlocal computed
            computed = True
            return function()

        value = self._store.get_or_compute(key, compute, ttl=self._ttl)
        with self._lock:
            self._misses += computed
            self._hits += not computed
        return value

    async def _find_awaited(self, key: str, function: Callable[[], Any]) -> Any:
        with suppress(KeyError, DeserializationError):
            value = self._store[key]
            with self._lock:
                self._hits += 1
            return value
        return await self._under_way.find(key, self._find, function)

    def _put(self, key: str, value: Any) -> Any:
        self._store.put(key, value, ttl=self._ttl)
        return self._store.as_found(key, value)

    async def _put_awaited(self, key: str, value: Any) -> Any:
        return self._put(key, await value)

    def __get__(self, instance: Any, owner: type | None = None) -> Any:
        if self._kind is classmethod:
            return BoundMemoized(self, type(instance) if owner is None else owner)
        return self if instance is None or self._kind is staticmethod else BoundMemoized(self, instance)

    def __repr__(self) -> str:
        return f"<memoized {self._name}>"

    def __getstate__(self) -> dict[str, Any]:
        of_this_process = ("_code", "_prefix", "_under_way", "_lock", "_hits", "_misses", "_binding")
        return {name: value for name, value in self.__dict__.items() if name not in of_this_process}

    def __setstate__(self, state: dict[str, Any]) -> None:
        self.__dict__.update(state)
        self._start()

    def __reduce__(self) -> Any:
        """By name if others can import it, as functions are; else by value, whatever pickler asks."""
        return self._importable() or (pickle.loads, (by_value.dumps(self),))

    def _importable(self) -> str | None:
        if self.__module__ in (*MAINS, *only_here()):
            return None
        try:
            named = functools.reduce(getattr, self.__qualname__.split("."), sys.modules[self.__module__])
        except (AttributeError, KeyError):
            return None
        return self.__qualname__ if named is self else None  # type: ignore[comparison-overlap]


class BoundMemoized:
    """A memoized method of an instance, or of a class: what `Memoized` has, with that as the first argument."""

    __parts_that_count__ = ("__func__", "__self__")

    def __init__(self, function: Memoized, instance: Any) -> None:
        self.__func__ = function
        self.__self__ = instance
        self.__wrapped__ = MethodType(function.__wrapped__, instance)
        for name in ("call", "key", "is_cached", "check_call_in_cache", "forget"):
            setattr(self, name, functools.partial(getattr(function, name), instance))
        self.clear, self.statistics = function.clear, function.statistics

    def __call__(self, *args: Any, **kwargs: Any) -> Any:
        return self.__func__(self.__self__, *args, **kwargs)

    def __reduce__(self) -> Any:
        return BoundMemoized, (self.__func__, self.__self__)


def _with_hint(error: UnstableContentError) -> UnstableContentError:
    """What the code refers to by a name may be ignored: the innermost name that leads to what has no content."""
    named = (re.match(r"'([^\W\d][\w.]*)' of ", place) for place in reversed(error.places))
    name = next((found[1] for found in named if found), None)
    if name is None:
        return error
    return UnstableContentError(f"{error.what}. If the result does not depend on it: ignore=[{name!r}]", *error.places)


def _name(function: Any) -> str:
    while isinstance(function, functools.partial):
        function = function.func
    named = function if hasattr(function, "__qualname__") else type(function)
    return f"{module_of(named)}.{named.__qualname__}"


def _reduce_by_value(memoized: Memoized) -> Any:
    """In a pickler that takes functions by value, too: functions that refer to it, and it to them, stay together."""
    return memoized._importable() or (copyreg.__newobj__, (Memoized,), memoized.__getstate__())  # type: ignore[attr-defined]


by_value.Pickler.dispatch_table[Memoized] = _reduce_by_value
