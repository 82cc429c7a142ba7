"""`imports_of`: the modules that a code object imports while it runs, and what it takes of them.

Of ``import helpers`` and ``helpers.clean(x)`` that is `clean`, as it would be of a global name. Where the variable is
used in any other way (handed on, looked into by a text, bound in a closure), and where it is not used, it is all of it.
"""

from __future__ import annotations

import dis
from itertools import takewhile
from types import CodeType
from typing import NamedTuple

ATTRIBUTES = frozenset(("LOAD_ATTR", "LOAD_METHOD"))

_Chain = tuple[str, ...]


class Import(NamedTuple):
    module: str
    level: int
    """Dots before the name."""
    of_top: bool
    """Whether it is ``import a.b``, which binds `a`; the chains are of that, else of the module."""
    chains: tuple[_Chain, ...]
    """Attributes that are taken, of each the attributes of it; an empty one is the module as a whole."""


def imports_of(code: CodeType, instructions: list[dis.Instruction]) -> list[Import]:
    uses = _uses(code, instructions)
    found = []
    for place, each in enumerate(instructions):
        if each.opname == "IMPORT_NAME":
            level, names = instructions[place - 2].argval, instructions[place - 1].argval
            behind = instructions[place + 1 :]
            if names:
                variables = [_variable(code, store) for store in behind[1 : 2 * len(names) : 2]]
                pairs = zip(names, variables, strict=True)
                chains = {(name, *chain) for name, variable in pairs for chain in uses.get(variable, [()])}
            else:
                store = next(step for step in behind if step.opname.startswith("STORE_"))
                chains = {*uses.get(_variable(code, store), [()])}
            of_top = not names and behind[0].opname != "IMPORT_FROM"  # which is in ``import a.b as c``
            if of_top:
                chains |= _unreached(each.argval, chains)
            found.append(Import(each.argval, level, of_top, tuple(sorted(chains))))
    return found


def _unreached(module: str, chains: set[_Chain]) -> set[_Chain]:
    """The module that was imported, if it was for what it does then: no attribute is taken by way of it."""
    _, *path = module.split(".")
    return set() if any(chain[: len(path)] == (*path,) for chain in chains) else {(*path,)}


def _uses(code: CodeType, instructions: list[dis.Instruction]) -> dict[str | None, set[_Chain]]:
    """The attributes that are taken of each local variable."""
    uses: dict[str | None, set[_Chain]] = {}
    for place, each in enumerate(instructions):
        if each.opname.startswith("LOAD_FAST"):
            behind = takewhile(lambda step: step.opname in ATTRIBUTES, instructions[place + 1 :])
            uses.setdefault(_variable(code, each), set()).add(tuple(step.argval for step in behind))
    uses.pop(None, None)
    return uses


def _variable(code: CodeType, each: dis.Instruction) -> str | None:
    """A local variable that no function inside looks at; None if it is another one."""
    names = code.co_varnames
    if "_FAST" not in each.opname or each.arg is None or each.arg >= len(names):
        return None
    return None if names[each.arg] in code.co_cellvars else names[each.arg]
