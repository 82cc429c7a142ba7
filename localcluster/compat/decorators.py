"""Decorators that PySpark offers to libraries written for it: `since` and `keyword_only`."""

from __future__ import annotations

import re
from collections.abc import Callable
from functools import wraps
from typing import Any, TypeVar

F = TypeVar("F", bound=Callable[..., Any])


def since(version: str | float) -> Callable[[F], F]:
    """Adds to a function's docstring since which version there is the function."""

    def decorate(function: F) -> F:
        text = function.__doc__
        assert text is not None, "there is no docstring to add to"
        margin = min(re.findall(r"\n( +)", text), key=len, default="")
        function.__doc__ = f"{text.rstrip()}\n\n{margin}.. versionadded:: {version}"
        return function

    return decorate


def keyword_only(func: F) -> F:
    """Makes a method take keyword arguments only, and keep those given as ``self._input_kwargs``."""

    @wraps(func)
    def wrapper(self: Any, *args: Any, **kwargs: Any) -> Any:
        if args:
            raise TypeError(f"Method {func.__name__} forces keyword arguments.")
        self._input_kwargs = kwargs
        return func(self, **kwargs)

    return wrapper  # type: ignore[return-value]
