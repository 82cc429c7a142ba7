"""Decorators for libraries written for PySpark."""

from __future__ import annotations

from typing import Any

import pytest

from localcluster.compat.decorators import keyword_only, since


def test_since_adds_to_the_docstring_at_its_margin() -> None:
    def function() -> None: ...

    function.__doc__ = "One.\n\n    Two.\n    "
    assert since("1.2")(function) is function
    assert function.__doc__ == "One.\n\n    Two.\n\n    .. versionadded:: 1.2"

    def short() -> None:
        """One."""

    assert since(3)(short).__doc__ == "One.\n\n.. versionadded:: 3"


class Params:
    _input_kwargs: dict[str, Any]

    @keyword_only
    def set(self, a: int = 0, b: int = 0) -> tuple[int, int]:
        return a, b


def test_keyword_only_keeps_what_was_given() -> None:
    params = Params()
    assert params.set(b=2) == (0, 2)
    assert params._input_kwargs == {"b": 2}


def test_keyword_only_refuses_positions() -> None:
    with pytest.raises(TypeError, match="Method set forces keyword arguments"):
        Params().set(1)
