"""`text_of`: a code object without what does not count, and the names that it looks up outside of itself.

What counts are its instructions, with constants in place of their numbers, its signature and the names of its
variables; not lines, comments, formatting, docstrings (unless the code loads them), annotations, the name of its file.
Instructions are those of this minor version of Python, which counts: another one is a miss. Rejected: the source. It
may be gone, or another than what runs, when the file was edited meanwhile: then results of the old code would be kept
under the new code's key. (So formatting does count where the compiler does other things for other lines, as Python 3.12
does for the condition of a comprehension.)
"""

from __future__ import annotations

import dis
import marshal
import re
import sys
import weakref
from bisect import bisect_left
from collections.abc import Callable
from functools import partial
from inspect import (
    CO_ASYNC_GENERATOR,
    CO_COROUTINE,
    CO_GENERATOR,
    CO_ITERABLE_COROUTINE,
    CO_VARARGS,
    CO_VARKEYWORDS,
)
from types import CodeType
from typing import Any, NamedTuple, TypeVar

from xxhash import xxh3_128_digest

from localcluster.digests.code_imports import ATTRIBUTES, Import, imports_of

T = TypeVar("T")

_LOOKUPS = {"LOAD_GLOBAL", "LOAD_NAME", "LOAD_FROM_DICT_OR_GLOBALS"}
_LOOKUPS_IN_CLOSURE = {"LOAD_DEREF", "LOAD_CLASSDEREF", "LOAD_FROM_DICT_OR_DEREF"}
_TWO = re.compile("((?:LOAD|STORE)_FAST)_((?:LOAD|STORE)_FAST)$")
_NOTHING = {"NOP", "EXTENDED_ARG", "CACHE"}
_FLAGS = CO_VARARGS | CO_VARKEYWORDS | CO_GENERATOR | CO_COROUTINE | CO_ITERABLE_COROUTINE | CO_ASYNC_GENERATOR
"""What a code object is; the others say how it was compiled."""
_CONSTANTS, _JUMPS = set(dis.hasconst), {*dis.hasjrel, *dis.hasjabs}


class CodeText(NamedTuple):
    """What is kept of a code object, that of the functions inside of it included."""

    digest: bytes
    names: tuple[tuple[str, ...], ...]
    """Global names that it looks up, with the attributes that it takes of each at once: ("np", "linalg", "norm")."""
    free: tuple[tuple[str, ...], ...]
    """The same of names of its closure: ("helper", "rate")."""
    imports: tuple[Import, ...]


_kept: dict[int, tuple[weakref.ref[CodeType], CodeText]] = {}


def text_of(code: CodeType) -> CodeText:
    kept = _kept.get(id(code))
    if kept is not None and kept[0]() is code:
        return kept[1]
    text = _read(code)
    key = id(code)
    _kept[key] = weakref.ref(code, lambda _: _kept.pop(key, None)), text
    return text


def _read(code: CodeType) -> CodeText:
    instructions = [part for each in dis.get_instructions(code) if each.opname not in _NOTHING for part in _parts(each)]
    offsets = [each.offset for each in instructions]
    places = partial(bisect_left, offsets)  # the number of the first instruction that is not left out
    inside: list[CodeType] = []
    steps = [(each.opcode, _argument(code, each, places, inside)) for each in instructions]
    table = [(places(start), places(end), places(target), depth) for start, end, target, depth in _handlers(code)]
    signature = (
        code.co_name,
        code.co_argcount,
        code.co_posonlyargcount,
        code.co_kwonlyargcount,
        code.co_flags & _FLAGS,
    )
    variables = (code.co_names, code.co_varnames, code.co_freevars, code.co_cellvars)
    text = marshal.dumps((sys.version_info[:2], signature, variables, steps, table), 2)
    names, free = _names(instructions, _LOOKUPS), _names(instructions, _LOOKUPS_IN_CLOSURE)
    imports = imports_of(code, instructions)
    for each in map(text_of, inside):
        names += each.names
        free += each.free
        imports += each.imports
    return CodeText(xxh3_128_digest(text), _unique(names), _unique(free), _unique(imports))


def _unique(found: list[T]) -> tuple[T, ...]:
    return tuple(dict.fromkeys(found))


def _parts(each: dis.Instruction) -> list[dis.Instruction]:
    """The compiler of Python 3.13 makes one instruction of two when they are of one line."""
    names = _TWO.match(each.opname)
    if names is None or each.arg is None:
        return [each]
    return [
        each._replace(opname=names[1], opcode=dis.opmap[names[1]], arg=each.arg >> 4),
        each._replace(opname=names[2], opcode=dis.opmap[names[2]], arg=each.arg & 15),
    ]


def _argument(code: CodeType, each: dis.Instruction, places: Callable[[int], int], inside: list[CodeType]) -> Any:
    if each.opcode in _CONSTANTS:
        return _constant(code.co_consts[each.arg or 0], inside)
    return places(each.argval) if each.opcode in _JUMPS else each.arg


def _constant(value: Any, inside: list[CodeType]) -> Any:
    """Something that marshal writes the same everywhere."""
    if isinstance(value, CodeType):
        inside.append(value)
        return "code", text_of(value).digest
    if isinstance(value, tuple):
        return "tuple", [_constant(each, inside) for each in value]
    if isinstance(value, frozenset):
        return "frozenset", sorted(marshal.dumps(_constant(each, inside), 2) for each in value)
    return value


def _handlers(code: CodeType) -> list[tuple[int, int, int, int]]:
    """Which instructions are in ``try`` blocks; up to Python 3.10 instructions say so."""
    parse = getattr(dis, "_parse_exception_table", None)
    if parse is None:
        return []
    return [(each.start, each.end, each.target, 2 * each.depth + each.lasti) for each in parse(code)]


def _names(instructions: list[dis.Instruction], lookups: set[str]) -> list[tuple[str, ...]]:
    found: list[tuple[str, ...]] = []
    chain = False
    for each in instructions:
        if each.opname in lookups:
            found.append((each.argval,))
        elif chain and each.opname in ATTRIBUTES:
            found[-1] = (*found[-1], each.argval)
        chain = each.opname in lookups or (chain and each.opname in ATTRIBUTES)
    return found
