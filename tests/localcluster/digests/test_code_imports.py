"""Modules that a function imports while it runs, and modules as values: what they have counts, in each new process."""

from __future__ import annotations

import importlib
import subprocess
import sys
import textwrap
from pathlib import Path

import pytest

from localcluster.digests.code import Code
from tests.localcluster.digests.digests_elsewhere import ROOT

FILES = {
    "pkg/__init__.py": "def top(x): return {top}",
    "pkg/sub.py": "from . import deep\ndef g(x): return deep.h(x) + {sub}",
    "pkg/deep.py": "def h(x): return {deep}",
    "pkg/inside.py": "def f(x):\n    from . import sub\n    return sub.g(x)",
    "pkg/late.py": "def f(x):\n    import pkg.sub\n    return pkg.sub.g(x)",
}

SUBMODULES = {
    "from package": "def f(x):\n    from pkg import sub\n    return sub.g(x)",
    "from package, under another name": "def f(x):\n    from pkg import sub as s\n    return s.g(x)",
    "from module": "def f(x):\n    from pkg.sub import g\n    return g(x)",
    "relative": "from pkg.inside import f",
    "in a helper": "def h(x):\n    from pkg import sub\n    return sub.g(x)\ndef f(x): return h(x)",
    "in a method": "class C:\n    def m(self, x):\n        from pkg import sub\n        return sub.g(x)\nf = C.m",
    "in a lambda's function": "def f(x):\n    from pkg import sub\n    return (lambda: sub.g(x))()",
    "by its full name": "from pkg.late import f",
    "under another name": "def f(x):\n    import pkg.sub as s\n    return s.g(x)",
    "of a package that is bound": "import pkg.sub\ndef f(x):\n    import pkg\n    return pkg.sub.g(x)",
    "that somebody else imports": "import pkg\ndef f(x):\n    __import__('pkg.sub')\n    return pkg.sub.g(x)",
    "for what it does": "def f(x):\n    import pkg.sub\n    return x",
    "by an alias": "import pkg.sub\np = pkg\ndef f(x): return p.sub.g(x)",
    "by an alias inside": "import pkg.sub\ndef f(x):\n    p = pkg\n    return p.sub.g(x)",
    "in a tuple": "import pkg.sub\nMODULES = (pkg,)\ndef f(x): return MODULES[0].sub.g(x)",
    "in a default": "import pkg.sub\ndef f(x, m=pkg): return m.sub.g(x)",
    "handed on": "def f(x):\n    import pkg.sub\n    return (lambda m: m.sub.g(x))(pkg)",
    "by a text": "def f(x):\n    import pkg.sub\n    return getattr(pkg, 'sub').g(x)",
    "in a closure": "def make():\n    import pkg.sub\n    return lambda x: pkg.sub.g(x)\nf = make()",
}
TOP = {
    "beside a module": "def f(x):\n    import pkg.sub\n    return pkg.top(x)",
    "as an attribute": "def f(x):\n    import pkg\n    return pkg.top(x)",
    "from package": "def f(x):\n    from pkg import top\n    return top(x)",
}


@pytest.fixture
def place(tmp_path: Path) -> Path:
    (tmp_path / "pkg").mkdir()
    return tmp_path


def write(place: Path, top: int = 1, sub: int = 1, deep: int = 1) -> None:
    for name, text in FILES.items():
        (place / name).write_text(text.format(top=top, sub=sub, deep=deep))


def digests(place: Path, job: str) -> tuple[str, str]:
    """Of the function in a new process: at first, and after a call."""
    (place / "job.py").write_text(
        f"{job}\nfrom localcluster.digests.code import Code\ncode = Code(f)\nfirst = code.digest().hex()\n"
        "f(*[1] * (f.__code__.co_argcount - len(f.__defaults__ or ())))\n"
        "print(first, code.digest().hex())"
    )
    command = [sys.executable, "-B", "job.py"]
    ran = subprocess.run(
        command, capture_output=True, text=True, cwd=place, env={"PYTHONPATH": f"{place}:{ROOT}"}, check=False
    )
    assert ran.returncode == 0, ran.stderr
    first, second = ran.stdout.split()
    return first, second


@pytest.mark.parametrize("job", SUBMODULES.values(), ids=SUBMODULES)
def test_an_edited_submodule_counts(place: Path, job: str) -> None:
    found = []
    for sub, deep in ((1, 1), (2, 1), (1, 2)):
        write(place, sub=sub, deep=deep)
        found.append(digests(place, job))
    assert all(first == second for first, second in found), "a call made no difference"
    assert len({*found}) == 3


@pytest.mark.parametrize("job", TOP.values(), ids=TOP)
def test_an_edited_package_counts(place: Path, job: str) -> None:
    found = []
    for top in (1, 2, 1):
        write(place, top=top)
        found.append(digests(place, job))
    assert found[0] == found[2] != found[1]


@pytest.mark.parametrize("job", ["def f(x):\n    import pkg\n    return pkg.top(x)", SUBMODULES["by its full name"]])
def test_of_a_local_name_what_is_taken_counts_and_no_more(place: Path, job: str) -> None:
    write(place)
    before = digests(place, job)
    with (place / "pkg/__init__.py").open("a") as file:
        file.write("\ndef other(): pass")
    assert digests(place, job) == before


def test_a_module_that_is_imported_anew_is_looked_at(place: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.syspath_prepend(place)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    script: dict[str, object] = {"__name__": "__main__"}
    exec(textwrap.dedent("def f(x):\n    import hot\n    return hot.g(x)"), script)
    code = Code(script["f"])
    found = []
    for text in ("1", "22"):
        sys.modules.pop("hot", None)
        (place / "hot.py").write_text(f"def g(x): return {text}")
        importlib.invalidate_caches()
        found.append(code.digest())
    sys.modules.pop("hot")
    assert len({*found}) == 2


@pytest.mark.parametrize("job", ["def f(x):\n    from pkg import gone", "import pkg\ndef f(x): return pkg.gone"])
def test_a_module_that_is_not_there_is_missing(place: Path, monkeypatch: pytest.MonkeyPatch, job: str) -> None:
    write(place)
    monkeypatch.syspath_prepend(place)
    for name in [*sys.modules]:
        if name.partition(".")[0] == "pkg":
            monkeypatch.delitem(sys.modules, name)
    script: dict[str, object] = {"__name__": "__main__"}
    exec(job, script)
    code = Code(script["f"])
    before = code.digest()
    assert code.digest() == before
    sys.modules["pkg"].gone = 1  # type: ignore[attr-defined]
    assert code.digest() != before
    del sys.modules["pkg"]
