"""The exceptions that a plan names: found by their names, and made."""

from __future__ import annotations

import builtins
import importlib

from protocol.errors import FaultPlanError

ON_PURPOSE = "a fault on purpose"
"""What the texts of exceptions begin with that plans raise."""


def make_exception(name: str, text: str) -> BaseException:
    """One that says ``text``, of a builtin class or of ``module.Class``.

    Raises FaultPlanError when there is none of this name, or it is not made of a text.
    """
    kind = _class(name)
    try:
        return kind(text)
    except Exception as error:
        raise FaultPlanError(
            f"exception={name} cannot be made of one text ({error}): derive a class from it, in a module, whose "
            "__init__ takes one text and passes on what this one wants"
        ) from error


def _class(name: str) -> type[BaseException]:
    module, _, last = name.rpartition(".")
    try:
        found = getattr(importlib.import_module(module) if module else builtins, last)
    except (ImportError, AttributeError) as error:
        raise FaultPlanError(f"exception={name} cannot be found: {error}") from error
    if not (isinstance(found, type) and issubclass(found, BaseException)):
        raise FaultPlanError(f"exception={name} is no exception, but {found!r}")
    return found
