"""What ``breakpoint()`` does in a task: an executor has no terminal, so pdb would end at once and not say why."""

from __future__ import annotations

import os
import sys
from typing import Any

from protocol.errors import ContextError


def refuse_breakpoints() -> None:
    """Unless somebody has set up a debugger of another kind, here or by PYTHONBREAKPOINT."""
    if sys.breakpointhook is sys.__breakpointhook__:
        sys.breakpointhook = _refuse


def _refuse(*args: Any, **kwargs: Any) -> Any:
    if os.environ.get("PYTHONBREAKPOINT"):
        return sys.__breakpointhook__(*args, **kwargs)
    raise ContextError(
        "breakpoint() in a task, which has no terminal: call the function in the driver, f(rdd.first()) say, or name a "
        "debugger that listens on a port in PYTHONBREAKPOINT (0: pass over breakpoints)"
    )
