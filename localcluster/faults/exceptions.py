"""The exceptions that a plan names: found by their names, and made."""

from __future__ import annotations

import builtins
import importlib

from protocol.errors import FaultPlanError


def exception_class(name: str) -> type[BaseException]:
    """A builtin, or ``module.Class``. Raises FaultPlanError when there is none of this name."""
    module, _, last = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else builtins, last)
    except (ImportError, AttributeError) as error:
        raise FaultPlanError(f"exception={name} cannot be found: {error}") from error
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise FaultPlanError(f"exception={name} is no exception, but {found!r}")
    return found


def make_exception(name: str, text: str) -> BaseException:
    """One of this class that says ``text``, whatever its constructor wants. Raises as `exception_class`."""
    kind = exception_class(name)
    try:
        return kind(text)
    except TypeError:
        error = kind.__new__(kind)
        error.args = (text,)
        return error
