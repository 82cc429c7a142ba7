"""Modules under another name: ``import old.name`` gives the module `new.name`, the same object.

Two copies would have two of everything.
"""

from __future__ import annotations

import importlib
import importlib.util
import sys
from collections.abc import Mapping, Sequence
from importlib.machinery import ModuleSpec
from types import CodeType, ModuleType
from typing import Any


class AliasFinder:
    """``aliases`` is {alias: module or package that it stands for}; what lies below a package has the alias, too.

    A finder and a loader without their base classes in ``importlib.abc``, by which every process would load all of
    ``importlib.resources``.
    """

    def __init__(self, aliases: Mapping[str, str]) -> None:
        self._aliases = aliases

    def find_spec(
        self, fullname: str, path: Sequence[str] | None, target: ModuleType | None = None
    ) -> ModuleSpec | None:
        name = self._real_name(fullname)
        if name is None or importlib.util.find_spec(name) is None:
            return None
        return ModuleSpec(fullname, self)  # type: ignore[arg-type]

    def create_module(self, spec: ModuleSpec) -> None:
        """As Python makes it."""

    def exec_module(self, module: ModuleType) -> None:
        # The import system takes what is in sys.modules after this, not what it passed. Returning the real module from
        # create_module would have it write another spec into that module.
        name = self._real_name(module.__name__)
        assert name is not None
        sys.modules[module.__name__] = importlib.import_module(name)

    def get_code(self, fullname: str) -> CodeType | None:
        """What ``python -m`` asks for."""
        name = self._real_name(fullname)
        assert name is not None
        spec: Any = importlib.util.find_spec(name)
        return spec.loader.get_code(name)  # type: ignore[no-any-return]

    def _real_name(self, name: str) -> str | None:
        alias, below = name, ""
        while alias:
            if alias in self._aliases:
                return self._aliases[alias] + below
            alias, dot, last = alias.rpartition(".")
            below = dot + last + below
        return None
