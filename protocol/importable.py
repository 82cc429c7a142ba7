"""Which modules of this process other processes cannot import: those that the import path does not lead to.

That is so of modules loaded from a file by hand, made by `runpy` or by a loader of notebooks, of pytest's
``--import-mode=importlib``, and of those whose directory has left ``sys.path`` again. The other processes of a run have
the import path of its driver. Nor may they import a module whose own body runs the job, itself or in a thread that it
waits for: they would run it again. Functions and classes of such modules are the business of `by_value`.
"""

from __future__ import annotations

import os
import sys
import threading
import weakref
from collections.abc import Mapping, Sequence
from importlib.machinery import (
    BuiltinImporter,
    ExtensionFileLoader,
    FrozenImporter,
    ModuleSpec,
    PathFinder,
    SourceFileLoader,
    SourcelessFileLoader,
)
from types import FrameType, ModuleType
from typing import Any, NamedTuple

_PACKAGES = "-packages" + os.sep  # in the paths of installed packages
_OURS = ("protocol", "storage", "localcluster")
_OF_PYTHON = (BuiltinImporter, FrozenImporter, PathFinder)
_FILE_LOADERS = (SourceFileLoader, SourcelessFileLoader, ExtensionFileLoader)


class _Verdict(NamedTuple):
    module: object  # `_identity` of the module that was judged; another one may take its name
    importable: bool
    path: Sequence[str] | None  # where others find its submodules


_verdicts: dict[str, _Verdict] = {}
_seen: tuple[
    object, ...
] = ()  # what tells that modules came or went: number of modules, name and identity of the latest
_only_here: frozenset[str] = frozenset()
_others_path: Sequence[str] = ()


def also_search(paths: Sequence[str]) -> None:
    """The other processes have these on their import paths, besides what this one has now. The list may grow."""
    global _others_path, _seen
    _others_path, _seen = paths, ()
    _verdicts.clear()


def only_here() -> frozenset[str]:
    """Names of the modules in ``sys.modules`` that other processes cannot import; without ``__main__``, which others
    have, too, but not this one.
    """
    global _seen, _only_here
    now: tuple[object, ...]
    try:
        latest, module = next(reversed(sys.modules.items()))
        now = len(sys.modules), latest, _identity(module)
    except RuntimeError:  # another thread imports
        now = ()
    if now != _seen or not now:
        running = _running_bodies()
        modules = [(name, module) for name, module in list(sys.modules.items()) if name != "__main__"]
        _only_here = frozenset(name for name, module in modules if not _judge(name, module, running).importable)
        _seen = now
    return _only_here


def _running_bodies() -> dict[int, bool]:
    """{id of the variables of a module whose body runs: whether in this thread}. One may wait in it for this thread."""
    own = threading.get_ident()
    running: dict[int, bool] = {}
    for thread, top in sys._current_frames().items():
        frame: FrameType | None = top
        while frame is not None:
            if frame.f_code.co_name == "<module>":
                running[id(frame.f_globals)] = thread == own or running.get(id(frame.f_globals), False)
            frame = frame.f_back
    return running


def _judge(name: str, module: Any, running: Mapping[int, bool]) -> _Verdict:
    verdict = _verdicts.get(name)
    if verdict is None or verdict.module != _identity(module):
        verdict = _verdicts[name] = _Verdict(_identity(module), *_look_for(name, module, running))
    return verdict


def _identity(module: Any) -> object:
    """Not its id, which a later module may have."""
    return weakref.ref(module) if isinstance(module, ModuleType) else id(module)


def _look_for(name: str, module: Any, running: Mapping[int, bool]) -> tuple[bool, Sequence[str] | None]:
    """Whether others can import the module, and where they find its submodules."""
    if not isinstance(module, ModuleType):
        return True, None
    names = object.__getattribute__(module, "__dict__")  # a lazy module's own attributes would load it
    spec, path = names.get("__spec__"), names.get("__path__")
    origin = getattr(spec, "origin", None)
    top, parent = name.partition(".")[0], name.rpartition(".")[0]
    if names.get("__name__") != name:  # a second name: what is in the module pickles with the first one
        return True, path
    if running.get(id(names), False):
        return False, None
    if top in sys.stdlib_module_names or top in _OURS or (origin is not None and _PACKAGES in origin):
        return True, path
    if id(names) in running:  # in another thread; an installed module would be one that it just happens to import
        return False, None
    search = None
    if parent:
        above = _judge(parent, sys.modules.get(parent), running)
        if not above.importable or (origin is None and path is None):
            return above.importable, path
        search = above.path
    found = _find(name, search)
    if found is None:
        return False, None
    return _leads_to(found, spec), found.submodule_search_locations


def _find(name: str, search: Sequence[str] | None) -> ModuleSpec | None:
    """What an import of the name would find by the import path, or by a finder as editable packages install them."""
    found = PathFinder.find_spec(name, [*sys.path, *_others_path] if search is None else search)
    for finder in sys.meta_path:
        if found is not None or finder in _OF_PYTHON:
            continue
        try:
            found = finder.find_spec(name, search)
        except Exception:  # whatever somebody's finder raises
            continue
        if found is not None and not isinstance(found.loader, _FILE_LOADERS):
            found = None  # of a finder that others may not have
    return found


def _leads_to(found: ModuleSpec, spec: Any) -> bool:
    """Whether what was found is what the module was loaded from."""
    origin, place = getattr(spec, "origin", None), found.origin
    if place is None:  # a namespace
        locations = set(getattr(spec, "submodule_search_locations", None) or ())
        return origin is None and bool(locations) and locations <= set(found.submodule_search_locations or ())
    if spec is None or origin == place:
        return True
    return origin is not None and os.path.exists(origin) and os.path.exists(place) and os.path.samefile(origin, place)
