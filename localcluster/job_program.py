"""What ``run`` runs: a script or, with ``-m``, a module; and how it becomes ``__main__``, as Python itself does it."""

from __future__ import annotations

import os
import sys
from types import CodeType, ModuleType
from typing import Any, NamedTuple

_ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))  # where the three packages lie


class NoModule(Exception):
    """The module to run is not there, or is none that can be run."""


class JobProgram(NamedTuple):
    """The program that a `run` is of: a script or a module.

    ``name`` is the script's path, or the module's name, as it was given.
    """

    name: str
    is_module: bool
    arguments: tuple[str, ...]

    @property
    def directory(self) -> str:
        """What the program's imports are looked for in first."""
        return os.getcwd() if self.is_module else os.path.dirname(os.path.abspath(self.name))

    @property
    def problem(self) -> str | None:
        """Why it cannot be run, as far as that can be told before it is."""
        if not self.is_module and not os.path.isfile(self.name):
            return f"there is no job script {os.path.abspath(self.name)}"
        if os.path.samefile(self.directory, _ROOT):
            return None
        for package in ("localcluster", "protocol", "storage"):
            for name in (f"{package}.py", os.path.join(package, "__init__.py")):
                path = os.path.join(self.directory, name)
                if os.path.exists(path):
                    return (
                        f"{path} has the name of a package that localcluster itself needs; rename it, or move the job "
                        f"to another directory"
                    )
        return None

    def load(self) -> tuple[CodeType, dict[str, Any]]:
        """Make this process's ``__main__`` the program's; its code, and the variables to run it with.

        Raises NoModule, and whatever the packages around a module or the script's syntax raise.
        """
        main = ModuleType("__main__")
        main.__builtins__ = __builtins__  # type: ignore[attr-defined]
        sys.modules["__main__"] = sys.modules["__mp_main__"] = main  # the latter is multiprocessing's name for it
        sys.path[0] = self.directory
        if _ROOT not in sys.path:
            sys.path.append(_ROOT)  # it was found by the current directory, which Python does not search for a script
        sys.argv = ["-m" if self.is_module else self.name, *self.arguments]
        code = self._find_module(main) if self.is_module else self._compile(main)
        return code, main.__dict__

    def _compile(self, main: ModuleType) -> CodeType:
        main.__file__ = os.path.abspath(self.name)
        with open(main.__file__, "rb") as file:
            return compile(file.read(), main.__file__, "exec", dont_inherit=True)

    def _find_module(self, main: ModuleType) -> CodeType:
        import runpy  # few programs need it

        _, spec, code = runpy._get_module_details(self.name, NoModule)  # type: ignore[attr-defined]
        main.__spec__, main.__loader__, main.__package__ = spec, spec.loader, spec.parent
        main.__file__, main.__cached__ = spec.origin, spec.cached  # type: ignore[attr-defined]
        sys.argv[0] = spec.origin
        return code  # type: ignore[no-any-return]
