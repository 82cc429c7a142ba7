"""`Binding`: a call's arguments as one tuple, however they were passed, with defaults, and without ignored ones.

The order of keyword arguments does not count, not even where the function takes them as a dictionary.
"""

from __future__ import annotations

import inspect
from collections.abc import Callable, Collection, Mapping
from inspect import Parameter
from typing import Any

from xxhash import xxh3_128_digest

from localcluster.digests.content import digest_of_arguments

_STARS = {Parameter.VAR_POSITIONAL: "*", Parameter.VAR_KEYWORD: "**"}


class Binding:
    """Of a function: what Python itself does when it calls one, by a lambda with the same parameters. To bind by
    `inspect.Signature` would take longer than all the rest of a hit. A decorator that takes whatever it is called with
    is bound as the function that it wraps.
    """

    def __init__(self, function: Callable[..., Any], ignore: Collection[str]) -> None:
        parameters, self._wraps = _parameters(function)
        self._ignore = ignore
        self.parameters = tuple(parameters)
        self.names = tuple(name for name in parameters if name not in ignore)
        self._has_keywords = any(parameters[name].kind is Parameter.VAR_KEYWORD for name in self.names)
        self._defaults = [p.default for name, p in parameters.items() if name in self.names]
        self.bind: Any = eval(f"lambda {_text(parameters)}: ({''.join(f'{name},' for name in self.names)})")
        self.bind.__name__ = self.bind.__qualname__ = getattr(function, "__name__", "function")
        given = [p for p in parameters.values() if p.default is not Parameter.empty]
        self.bind.__defaults__ = tuple(p.default for p in given if p.kind is not Parameter.KEYWORD_ONLY)
        self.bind.__kwdefaults__ = {p.name: p.default for p in given if p.kind is Parameter.KEYWORD_ONLY}

    def digest(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Raises TypeError as a call would, and UnstableContentError when an argument has no lasting content."""
        try:
            values = self.bind(*args, **kwargs)
        except TypeError:
            if not self._wraps:
                raise
            return self._digest_unbound(args, kwargs)
        if self._has_keywords:
            values = (*values[:-1], _sorted(values[-1]))
        return digest_of_arguments(self.names, values, self._defaults)

    def _digest_unbound(self, args: tuple[Any, ...], kwargs: dict[str, Any]) -> bytes:
        """Of arguments that a decorator takes for itself, or will not take: calling it shows which."""
        kept = _sorted({name: value for name, value in kwargs.items() if name not in self._ignore})
        digest = digest_of_arguments(("the others", "keywords"), (args, kept), (None, None))
        return xxh3_128_digest(b"unbound" + digest)


def _sorted(keywords: dict[str, Any]) -> dict[str, Any]:
    """In one order, whatever order they were passed in."""
    return dict(sorted(keywords.items()))


def _parameters(function: Callable[..., Any]) -> tuple[Mapping[str, Parameter], bool]:
    """And whether they are those of another function, which this one wraps."""
    wrapped = inspect.signature(function).parameters
    try:
        own = inspect.signature(function, follow_wrapped=False).parameters
    except ValueError:  # written in C, as `lru_cache` is
        return wrapped, False
    named = any(parameter.kind not in _STARS for parameter in own.values())
    return (own, False) if named else (wrapped, own != wrapped)


def _text(parameters: Any) -> str:
    """The parameters as a lambda has them; defaults are put in later."""
    found: list[str] = []
    before = None
    for parameter in parameters.values():
        kind = parameter.kind
        if before is Parameter.POSITIONAL_ONLY and kind is not before:
            found.append("/")
        if kind is Parameter.KEYWORD_ONLY and before not in (kind, Parameter.VAR_POSITIONAL):
            found.append("*")
        given = "" if parameter.default is Parameter.empty else "=None"
        found.append(_STARS.get(kind, "") + parameter.name + given)
        before = kind
    return ", ".join([*found, *["/"] * (before is Parameter.POSITIONAL_ONLY)])
