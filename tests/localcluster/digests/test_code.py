"""The digest of a function's code: another one when anything changes that it refers to, and only then."""

from __future__ import annotations

import os
import pickle
import subprocess
import sys
import textwrap
from collections.abc import Callable, Iterator
from pathlib import Path
from types import ModuleType
from typing import Any

import numpy as np
import pytest

from localcluster.digests.code import Code, code_digest
from localcluster.digests.content import content_digest
from protocol import by_value
from protocol.errors import UnstableContentError
from tests.localcluster.digests import things
from tests.localcluster.digests.digests_elsewhere import ROOT, in_another_process


def loaded(source: str, **names: Any) -> dict[str, Any]:
    """What a script has after it ran, with a function `f`."""
    script: dict[str, Any] = {"__name__": "__main__", **names}
    exec(compile(textwrap.dedent(source), "/home/user/job.py", "exec", dont_inherit=True), script)
    return script


def digest_of(source: str, **names: Any) -> bytes:
    return code_digest(loaded(source, **names)["f"])


@pytest.fixture
def module(monkeypatch: pytest.MonkeyPatch) -> Callable[[str, str], ModuleType]:
    """Makes a module of the program."""

    def make(name: str, source: str) -> ModuleType:
        made = ModuleType(name)
        made.__file__ = f"/home/user/{name}.py"
        exec(compile(textwrap.dedent(source), made.__file__, "exec"), vars(made))
        monkeypatch.setitem(sys.modules, name, made)
        return made

    return make


SAME = {
    "comments": ("def f(x):\n    return x + 1", "def f(x):  # adds\n    # one\n\n    return x + 1  # so"),
    "formatting": (
        "def f(x, y=1):\n    z = [x, y]\n    return max(z, key=lambda a: -a)",
        (
            "def f(\n    x,\n    y = 1,\n):\n    z = [\n        x,\n        y,\n    ]\n"
            "    return max(\n        z,\n        key=lambda a: (\n            -a\n        ),\n"
            "    )"
        ),
    ),
    "conditions over lines": (
        "def f(x, y):\n    if x and y or not x:\n        return x if y else (x, y)",
        (
            "def f(x, y):\n    if (\n        x\n        and y\n        or not x\n    ):\n"
            "        return (\n            x\n            if y\n            else (x, y)\n        )"
        ),
    ),
    "pass": (
        "def f(x):\n    while x:\n        try:\n            x -= 1\n        finally:\n            x -= 1\n    return x",
        (
            "def f(x):\n    pass\n    while x:\n\n        try:\n            pass\n"
            "            x -= 1\n        finally:\n            # done\n            x -= 1\n"
            "    return x"
        ),
    ),
    "place in the file": ("def f(x): return x", "import math\n\n\ndef g(): pass\n\n\ndef f(x): return x"),
    "docstring": ("def f(x):\n    return x, 'a', 2", "def f(x):\n    '''Doc.'''\n    return x, 'a', 2"),
    "docstring of a helper": (
        "def g(x): return 7\ndef f(x): return g(x)",
        "def g(x):\n    'Doc.'\n    return 7\ndef f(x): return g(x)",
    ),
    "annotations": ("def f(x, *, y=1): return x", "def f(x: int, *, y: 'int' = 1) -> int: return x"),
    "what it does not name": (
        "a = 1\ndef g(): return 1\ndef f(x): return x",
        "a = 2\ndef g(): return 2\ndef f(x): return x",
    ),
    "how it is compiled": ("def f(x): return x", "from __future__ import annotations\ndef f(x): return x"),
    "order of functions": ("def g(): return 1\ndef f(): return g()", "def f(): return g()\ndef g(): return 1"),
    "lines of try": (
        "def f(x):\n    try: return x[0]\n    except KeyError: return 1",
        "def f(x):\n    try:\n        return x[0]\n    except KeyError:\n        return 1",
    ),
    "order of methods": (
        "class C:\n    def a(self): return 1\n    def b(self): return 2\ndef f(): return C().a()",
        "class C:\n    'Doc.'\n    def b(self): return 2\n    def a(self): return 1\ndef f(): return C().a()",
    ),
}

DIFFERENT = {
    "constant": ("def f(x): return x + 1", "def f(x): return x + 2"),
    "type of a constant": ("def f(x): return 1", "def f(x): return 1.0"),
    "True for 1": ("def f(x): return x == 1", "def f(x): return x == True"),
    "set of constants": ("def f(x): return x in {1, 2, 3}", "def f(x): return x in {1, 2, 4}"),
    "tuple of constants": ("def f(x): return (1, (2, 3))", "def f(x): return (1, (2, 4))"),
    "operator": ("def f(x, y): return x + y", "def f(x, y): return x - y"),
    "comparison": ("def f(x, y): return x < y", "def f(x, y): return x <= y"),
    "names of parameters": ("def f(x, y): return x - y", "def f(y, x): return x - y"),
    "kinds of parameters": ("def f(x, y): return x", "def f(x, *, y): return x"),
    "default": ("def f(x=1): return x", "def f(x=2): return x"),
    "default of a keyword": ("def f(*, x=1): return x", "def f(*, x=2): return x"),
    "mutable default": ("def f(x=[1]): return x", "def f(x=[2]): return x"),
    "builtin": ("def f(x): return min(x)", "def f(x): return max(x)"),
    "attribute": ("def f(x): return x.a", "def f(x): return x.b"),
    "name": ("def f(x): return x", "def g(x): return x\nf = g"),
    "global": ("a = 1\ndef f(x): return a", "a = 2\ndef f(x): return a"),
    "global in a lambda": (
        "a = 1\ndef f(x): return sorted(x, key=lambda y: a)",
        "a = 2\ndef f(x): return sorted(x, key=lambda y: a)",
    ),
    "global in a comprehension": ("a = 1\ndef f(x): return [a for y in x]", "a = 2\ndef f(x): return [a for y in x]"),
    "global in a class inside": (
        "a = 1\ndef f(x):\n    class C:\n        b = a\n    return C",
        "a = 2\ndef f(x):\n    class C:\n        b = a\n    return C",
    ),
    "global list": ("a = [1]\ndef f(x): return a", "a = [2]\ndef f(x): return a"),
    "global hides a builtin": ("def f(x): return len(x)", "def len(x): return 1\ndef f(x): return len(x)"),
    "missing global": ("def f(x): return a", "a = None\ndef f(x): return a"),
    "helper": ("def g(x): return x\ndef f(x): return g(x)", "def g(x): return -x\ndef f(x): return g(x)"),
    "helper's helper": (
        "def h(x): return x\ndef g(x): return h(x)\ndef f(x): return g(x)",
        "def h(x): return -x\ndef g(x): return h(x)\ndef f(x): return g(x)",
    ),
    "helper in a table": (
        "def g(x): return x\nTABLE = {'g': g}\ndef f(x): return TABLE[x]",
        "def g(x): return -x\nTABLE = {'g': g}\ndef f(x): return TABLE[x]",
    ),
    "helpers that call each other": (
        "def g(x): return h(x)\ndef h(x): return g(x)\ndef f(x): return g(x)",
        "def g(x): return h(x)\ndef h(x): return g(-x)\ndef f(x): return g(x)",
    ),
    "closure": (
        "def make(a):\n    def f(x): return a\n    return f\nf = make(1)",
        "def make(a):\n    def f(x): return a\n    return f\nf = make(2)",
    ),
    "function in a closure": (
        "def make(a):\n    def f(x): return a(x)\n    return f\nf = make(lambda x: x)",
        "def make(a):\n    def f(x): return a(x)\n    return f\nf = make(lambda x: -x)",
    ),
    "decorated helper": (
        (
            "import functools\ndef d(g):\n    @functools.wraps(g)\n    def w(x): return g(x)\n"
            "    return w\n@d\ndef g(x): return x\ndef f(x): return g(x)"
        ),
        (
            "import functools\ndef d(g):\n    @functools.wraps(g)\n    def w(x): return g(x)\n"
            "    return w\n@d\ndef g(x): return -x\ndef f(x): return g(x)"
        ),
    ),
    "decorator": (
        (
            "import functools\ndef d(g):\n    @functools.wraps(g)\n    def w(x): return g(x)\n"
            "    return w\n@d\ndef f(x): return x"
        ),
        (
            "import functools\ndef d(g):\n    @functools.wraps(g)\n    def w(x): return g(-x)\n"
            "    return w\n@d\ndef f(x): return x"
        ),
    ),
    "cached helper": (
        "import functools\n@functools.lru_cache\ndef g(x): return x\ndef f(x): return g(x)",
        "import functools\n@functools.lru_cache\ndef g(x): return -x\ndef f(x): return g(x)",
    ),
    "decorated by a library": (
        "import contextlib\n@contextlib.contextmanager\ndef g(x): yield x\ndef f(x): return g(x)",
        "import contextlib\n@contextlib.contextmanager\ndef g(x): yield -x\ndef f(x): return g(x)",
    ),
    "single dispatch": (
        (
            "import functools\n@functools.singledispatch\ndef g(x): pass\n@g.register\n"
            "def _(x: int): return 1\ndef f(x): return g(x)"
        ),
        (
            "import functools\n@functools.singledispatch\ndef g(x): pass\n@g.register\n"
            "def _(x: int): return 2\ndef f(x): return g(x)"
        ),
    ),
    "partial": (
        "import functools\ndef h(x, y): return x\ng = functools.partial(h, 1)\ndef f(x): return g(x)",
        "import functools\ndef h(x, y): return y\ng = functools.partial(h, 1)\ndef f(x): return g(x)",
    ),
    "method": (
        "class C:\n    def a(self): return 1\ndef f(): return C().a()",
        "class C:\n    def a(self): return 2\ndef f(): return C().a()",
    ),
    "method of a base": (
        "class B:\n    def a(self): return 1\nclass C(B): pass\ndef f(): return C().a()",
        "class B:\n    def a(self): return 2\nclass C(B): pass\ndef f(): return C().a()",
    ),
    "property": (
        "class C:\n    @property\n    def a(self): return 1\ndef f(): return C().a",
        "class C:\n    @property\n    def a(self): return 2\ndef f(): return C().a",
    ),
    "class method": (
        "class C:\n    @classmethod\n    def a(cls): return 1\ndef f(): return C.a()",
        "class C:\n    @classmethod\n    def a(cls): return 2\ndef f(): return C.a()",
    ),
    "attribute of a class": ("class C:\n    a = 1\ndef f(): return C.a", "class C:\n    a = 2\ndef f(): return C.a"),
    "class of an instance": (
        "class C:\n    def a(self): return 1\nc = C()\ndef f(): return c.a()",
        "class C:\n    def a(self): return 2\nc = C()\ndef f(): return c.a()",
    ),
    "fields of a dataclass": (
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    a: int\n    b: int\ndef f(): return C(1, 2)",
        "from dataclasses import dataclass\n@dataclass\nclass C:\n    b: int\n    a: int\ndef f(): return C(1, 2)",
    ),
    "member of an enum": (
        "import enum\nclass E(enum.Enum):\n    A = 1\ndef f(): return E.A",
        "import enum\nclass E(enum.Enum):\n    A = 2\ndef f(): return E.A",
    ),
    "order of an enum": (
        "import enum\nclass E(enum.Enum):\n    A = 1\n    B = 2\ndef f(): return list(E)",
        "import enum\nclass E(enum.Enum):\n    B = 2\n    A = 1\ndef f(): return list(E)",
    ),
    "super": (
        "class B:\n    def a(self): return 1\nclass C(B):\n    def f(self): return super().a()\nf = C.f",
        "class B:\n    def a(self): return 2\nclass C(B):\n    def f(self): return super().a()\nf = C.f",
    ),
    "attribute of a function": (
        "def g(): pass\ng.a = 1\ndef f(): return g.a",
        "def g(): pass\ng.a = 2\ndef f(): return g.a",
    ),
    "attribute of a function in a closure": (
        "def make(g):\n    g.a = 1\n    def f(): return g.a\n    return f\nf = make(lambda: 0)",
        "def make(g):\n    g.a = 2\n    def f(): return g.a\n    return f\nf = make(lambda: 0)",
    ),
    "attribute of a function in a closure, asked for inside": (
        "def make(g):\n    g.a = 1\n    def f(): return [g.a for _ in 'x']\n    return f\nf = make(lambda: 0)",
        "def make(g):\n    g.a = 2\n    def f(): return [g.a for _ in 'x']\n    return f\nf = make(lambda: 0)",
    ),
    "attribute of a cached function": (
        "import functools\n@functools.lru_cache\ndef g(): pass\ng.a = 1\ndef f(): return g.a",
        "import functools\n@functools.lru_cache\ndef g(): pass\ng.a = 2\ndef f(): return g.a",
    ),
    "docstring that is used": (
        "def f():\n    'Doc.'\n    return f.__doc__",
        "def f():\n    'Other.'\n    return f.__doc__",
    ),
    "what is in try": (
        (
            "def f(x):\n    try:\n        a = x[0]\n        b = x[1]\n    except KeyError:\n"
            "        return 1\n    return a, b"
        ),
        "def f(x):\n    try:\n        a = x[0]\n    except KeyError:\n        return 1\n    b = x[1]\n    return a, b",
    ),
    "generator": ("def f(x): return (i for i in x)", "def f(x): return [i for i in x]"),
    "async": ("async def f(x): return x", "def f(x): return x"),
}


@pytest.mark.parametrize(("one", "other"), SAME.values(), ids=SAME)
def test_these_changes_do_not_count(one: str, other: str) -> None:
    assert digest_of(one) == digest_of(one) == digest_of(other)


@pytest.mark.parametrize(("one", "other"), DIFFERENT.values(), ids=DIFFERENT)
def test_these_changes_count(one: str, other: str) -> None:
    assert digest_of(one) == digest_of(one)
    assert digest_of(one) != digest_of(other)


@pytest.mark.parametrize("source", [source for pair in (*SAME.values(), *DIFFERENT.values()) for source in pair])
def test_what_was_changed_under_way_is_seen(source: str) -> None:
    """All that a script has is replaced by what it has in the other version, one after another."""
    script = loaded(source)
    code = Code(script["f"])
    before = code.digest()
    assert code.digest() == before
    for name, value in [*script.items()]:
        if not name.startswith("__") and name != "f":
            script[name] = b"something else"
            after = code.digest()
            assert after == Code(script["f"]).digest()
            script[name] = value
            assert code.digest() == before


def test_modules_of_the_program_by_the_attributes_that_are_named(module: Callable[[str, str], ModuleType]) -> None:
    module("helpers", "a = 1\ndef g(x): return x + a\ndef h(): pass")
    job = "import helpers\ndef f(x): return helpers.g(x)"
    code = Code(loaded(job)["f"])
    before = code.digest()
    module("helpers", "a = 1\ndef g(x): return x + a\ndef h(): return 1")
    assert digest_of(job) == before, "it does not name h"
    module("helpers", "a = 2\ndef g(x): return x + a\ndef h(): pass")
    assert digest_of(job) != before
    assert code.digest() == before, "it has the module that it imported"


def test_modules_of_the_program_as_a_whole(module: Callable[[str, str], ModuleType]) -> None:
    module("helpers", "def h(): pass")
    for job in (
        "import helpers\ndef f(x): return getattr(helpers, x)",
        "def f(x):\n    import helpers\n    return getattr(helpers, x)",
    ):
        code = Code(loaded(job)["f"])
        before = code.digest()
        made = sys.modules["helpers"]
        made.h.__code__, kept = (lambda: 1).__code__, made.h.__code__
        assert code.digest() != before
        made.h.__code__ = kept
        assert code.digest() == before
        made.new = 1  # type: ignore[attr-defined]
        assert code.digest() != before
        del made.new  # type: ignore[attr-defined]


def test_modules_that_are_imported_while_it_runs(
    module: Callable[[str, str], ModuleType], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    job = "def f(x):\n    from helpers import g\n    return g(x)"
    missing = digest_of(job)
    module("helpers", "def g(x): return x\ndef h(): pass")
    before = digest_of(job)
    module("helpers", "def g(x): return x\ndef h(): return 2")
    assert digest_of(job) == before != missing
    module("helpers", "def g(x): return -x")
    assert digest_of(job) != before
    monkeypatch.delitem(sys.modules, "helpers")
    monkeypatch.syspath_prepend(tmp_path)
    (tmp_path / "helpers.py").write_text("def g(x): return x")
    assert digest_of(job) == before, "it is imported, to see what it has"


def test_a_package_and_its_modules(module: Callable[[str, str], ModuleType]) -> None:
    package = module("pack", "")
    package.inner = module("pack.inner", "def g(x): return x")  # type: ignore[attr-defined]
    job = "import pack.inner\ndef f(x): return pack.inner.g(x)"
    before = digest_of(job)
    package.inner = module("pack.inner", "def g(x): return -x")  # type: ignore[attr-defined]
    assert digest_of(job) != before


def test_libraries_by_name_and_version(monkeypatch: pytest.MonkeyPatch) -> None:
    from localcluster.digests import program

    job = "import numpy as np\ndef f(x): return np.sum(x)"
    before = digest_of(job)
    assert digest_of("import numpy as np\ndef f(x): return np.mean(x)") != before
    assert digest_of("import numpy as np\ndef f(x): return np.linalg.norm(x)") != before
    with monkeypatch.context() as patched:
        patched.setattr(program, "_version", lambda *_: "0.1")
        assert digest_of(job) != before
    code = Code(loaded(job)["f"])
    with monkeypatch.context() as patched:
        patched.setattr(np, "sum", lambda x: 1)
        assert code.digest() != before, "replaced by something of the program"
    assert code.digest() == before


def test_the_state_of_libraries_is_not_followed(monkeypatch: pytest.MonkeyPatch) -> None:
    job = "import os, sys\ndef f(x): print(sys.argv, os.environ['HOME'], file=sys.stderr)"
    before = digest_of(job)
    monkeypatch.setenv("HOME", "/elsewhere")
    monkeypatch.setattr(sys, "argv", ["x"])
    assert digest_of(job) == before


def test_logs_locks_and_marks_may_be_named() -> None:
    job = """
        import logging, threading, weakref
        log = logging.getLogger("a")
        MARK = object()
        class C:
            lock = threading.Lock()
            made = weakref.WeakSet()
            done = threading.Event()
        def f(x=MARK):
            with C.lock:
                log.info("x")
            return C()
    """
    script = loaded(job)
    code = Code(script["f"])
    before = code.digest()
    kept = script["C"]()
    script["C"].made.add(kept)
    with script["C"].lock:
        assert code.digest() == digest_of(job) == before
    script["C"].done.set()
    assert code.digest() != before


def test_a_library_that_is_imported_while_it_runs_need_not_be_loaded() -> None:
    """And it is the same whether it is."""
    program = (
        "import sys; from localcluster.digests.code import code_digest; {}\n"
        "def f():\n    import hypothesis.strategies as st, wave\n    return st, wave\n"
        "print(code_digest(f).hex(), 'hypothesis' in sys.modules)"
    )
    ran = [
        subprocess.run(
            [sys.executable, "-c", program.format(first)], capture_output=True, text=True, cwd=ROOT, check=True
        )
        for first in ("", "import hypothesis.strategies, wave")
    ]
    (unloaded, no), (loaded_, yes) = (each.stdout.split() for each in ran)
    assert unloaded == loaded_
    assert (no, yes) == ("False", "True")


def test_what_cannot_be_digested_is_named() -> None:
    job = "def g(): return next(numbers)\ndef f(): return g()"
    with pytest.raises(
        UnstableContentError, match=r"'g' of function __main__.f, 'numbers' of function __main__.g: a generator has no"
    ):
        digest_of(job, numbers=(i for i in [1]))
    code = Code(loaded(job, numbers=(i for i in [1]))["f"], ignore={"numbers", "other"})
    assert code.digest() == Code(loaded(job, numbers=(i for i in [2]))["f"], ignore={"numbers"}).digest()
    assert code.ignored == {"numbers"}


CHANGES: list[tuple[str, Callable[[dict[str, Any]], Any]]] = [
    ("a = 1\ndef f(): return a", lambda s: s.update(a=2)),
    ("a = 1\ndef f(): return a", lambda s: s.update(a=True)),
    ("a = 1\ndef f(): return a", lambda s: s.pop("a")),
    ("def f(): return a", lambda s: s.update(a=None)),
    ("def f(): return len(())", lambda s: s.update(len=max)),
    ("a = [1]\ndef f(): return a", lambda s: s["a"].append(2)),
    ("a = ([1], 2)\ndef f(): return a", lambda s: s["a"][0].append(2)),
    ("a = {'x': {'y': 1}}\ndef f(): return a", lambda s: s["a"]["x"].update(y=2)),
    ("import numpy\na = numpy.zeros(3)\ndef f(): return a", lambda s: s["a"].__setitem__(0, 1)),
    ("class C: pass\na = C()\ndef f(): return a", lambda s: setattr(s["a"], "x", 1)),
    ("class C: pass\ndef f(): return C", lambda s: setattr(s["C"], "x", 1)),
    ("class C:\n    x = [1]\ndef f(): return C", lambda s: s["C"].x.append(2)),
    ("class B: pass\nclass C(B): pass\ndef f(): return C", lambda s: setattr(s["B"], "x", 1)),
    (
        "class B: pass\nclass C(B): pass\nclass D(B): pass\ndef f(): return C()",
        lambda s: setattr(s["C"], "__bases__", (s["D"],)),
    ),
    ("def g(): pass\ndef f(): return g()", lambda s: setattr(s["g"], "__code__", (lambda: 1).__code__)),
    ("def g(x=1): pass\ndef f(): return g()", lambda s: setattr(s["g"], "__defaults__", (2,))),
    ("def g(*, x=1): pass\ndef f(): return g()", lambda s: s["g"].__kwdefaults__.update(x=2)),
    ("def g(x=[]): pass\ndef f(): return g()", lambda s: s["g"].__defaults__[0].append(2)),
    ("a = 1\ndef g(): return a\nt = {1: g}\ndef f(): return t", lambda s: s.update(a=2)),
    ("def g(): return t\nt = {1: g}\ndef f(): return g()", lambda s: s["t"].update({2: s["g"]})),
    (
        "def make(a):\n    def put(x):\n        nonlocal a\n        a = x\n    return lambda: a, put\nf, put = make(1)",
        lambda s: s["put"](2),
    ),
    (
        "def make(a):\n    def cut():\n        nonlocal a\n        del a\n    return lambda: a, cut\nf, cut = make(1)",
        lambda s: s["cut"](),
    ),
    ("def g(): pass\ng.x = 1\ndef f(): return g.x", lambda s: setattr(s["g"], "x", 2)),
    ("def g(): pass\ndef f(): return g.x", lambda s: setattr(s["g"], "x", 2)),
    ("class F:\n    n = 1\n    def __call__(self): return self.n\nf = F()", lambda s: setattr(s["f"], "n", 2)),
]


@pytest.mark.parametrize(("source", "change"), CHANGES, ids=[source for source, _ in CHANGES])
def test_a_change_between_two_calls_is_seen(source: str, change: Callable[[dict[str, Any]], Any]) -> None:
    script = loaded(source)
    code = Code(script["f"])
    before = code.digest()
    assert code.digest() == before
    change(script)
    after = code.digest()
    assert after != before
    assert Code(script["f"]).digest() == after


def test_changes_of_what_does_not_count_are_not_looked_at(monkeypatch: pytest.MonkeyPatch) -> None:
    script = loaded("def g(x): return x\na = [1]\ndef f(x): return g(x)")
    code = Code(script["f"])
    before = code.digest()
    looked: list[Any] = []
    monkeypatch.setattr("localcluster.digests.code.Walk", lambda *_: looked.append(_))
    script["a"].append(2)
    script["b"] = 1
    assert code.digest() == before
    assert looked == []


def test_the_same_in_another_process_and_by_value() -> None:
    functions = [things.helper, things.other, things.cached, things.Machine, things.Colour, things.Record, things.Point]
    assert in_another_process(functions) == [content_digest(each).hex() for each in functions]
    script = loaded(
        "K = {'a': {1, 2}}\ndef g(x): return f(x) if x else K\ndef h(x): return g(x)\n"
        "def f(x): return h(x) in {'a', 'b', 'c'}"
    )
    load = "code_digest(pickle.load(sys.stdin.buffer)).hex()"
    program = f"import pickle, sys; from localcluster.digests.code import code_digest; print({load})"
    for seed in ("1", "2"):
        ran = subprocess.run(
            [sys.executable, "-c", program],
            input=by_value.dumps(script["f"]),
            capture_output=True,
            cwd=ROOT,
            env={**os.environ, "PYTHONHASHSEED": seed, "PYTHONPATH": str(ROOT)},
        )
        assert ran.stdout.decode().strip() == code_digest(script["f"]).hex(), ran.stderr.decode()


CLASSES = """
import abc, enum, functools, typing
from dataclasses import dataclass, field
T = typing.TypeVar("T")
class Base(abc.ABC):
    x = {1, 2}
    @abc.abstractmethod
    def m(self): ...
    @property
    def p(self): return Base
class Slotted(Base):
    __slots__ = ("z",)
    def m(self): return super().m()
@dataclass(frozen=True, order=True)
class Data:
    a: int
    b: "list[int]" = field(default_factory=list)
class Kind(enum.Enum):
    A = 1
    B = "b"
    def of(self): return self.A
class Named(typing.NamedTuple):
    a: int = 1
class Generic(typing.Generic[T]):
    def g(self, x: T) -> T: return x
class Outer:
    class Inner:
        def f(self): return Outer
class Meta(type): pass
class Made(metaclass=Meta): pass
@functools.wraps(max)
def f(x): return [Slotted, Data(1), Kind.A, Named(), Generic, Outer.Inner(), Made, lambda: x]
"""


def test_classes_are_the_same_in_executors_which_get_them_by_value() -> None:
    script = loaded(CLASSES)
    names = ["Slotted", "Data", "Kind", "Named", "Generic", "Outer", "Made", "f"]
    program = "import pickle, sys; from localcluster.digests.content import content_digest as digest\n"
    program += "for pickled in pickle.load(sys.stdin.buffer): print(digest(pickle.loads(pickled)).hex())"
    values = [*(script[name] for name in names), script["Data"](1), script["Kind"].A, script["Outer"].Inner()]
    ran = subprocess.run(
        [sys.executable, "-c", program],
        input=pickle.dumps([by_value.dumps(value) for value in values]),
        capture_output=True,
        cwd=ROOT,
        env={**os.environ, "PYTHONHASHSEED": "7", "PYTHONPATH": str(ROOT)},
    )
    assert ran.stdout.decode().split() == [content_digest(value).hex() for value in values], ran.stderr.decode()


def test_a_script_is_the_same_program_in_processes_that_were_spawned() -> None:
    source = "class C: pass\ndef f(x): return C"
    assert code_digest(loaded(source, __name__="__mp_main__")["f"]) == code_digest(
        loaded(source, __name__="__main__")["f"]
    )


@pytest.fixture
def _traced() -> Iterator[None]:
    before = sys.gettrace()
    yield
    sys.settrace(before)


@pytest.mark.usefixtures("_traced")
def test_running_and_tracing_a_function_does_not_change_it() -> None:
    script = loaded("def g(x): return x + 1\ndef f(x):\n    for i in range(x):\n        g(i)\n    return x")
    before = code_digest(script["f"])
    for _ in range(50):
        script["f"](100)
    assert Code(script["f"]).digest() == before
    sys.settrace(lambda *_: lambda *_: None)  # type: ignore[arg-type,return-value]
    script["f"](100)
    from localcluster.digests import code_text

    code_text._kept.clear()
    assert Code(script["f"]).digest() == before


def test_what_python_adds_to_a_class_or_module_later_does_not_count(module: Callable[[str, str], ModuleType]) -> None:
    job = """
        import copy, helpers
        class C:
            __slots__ = ("a",)
        class D: pass
        def f(x): return C, D, getattr(helpers, x)
    """
    made = module("helpers", "import warnings\ndef g(): warnings.warn('x', UserWarning)")
    script = loaded(job)
    before = code_digest(script["f"])
    script["copy"].copy(script["C"]())
    assert script["D"].__annotations__ == {}
    with pytest.warns(UserWarning, match="x"):
        made.g()
    assert "__warningregistry__" in vars(made)
    assert "__slotnames__" in vars(script["C"])
    assert code_digest(script["f"]) == Code(script["f"]).digest() == before


def test_functions_that_are_gone_are_forgotten() -> None:
    from localcluster.digests import code_text

    script = loaded("def f(x): return x")
    Code(script["f"]).digest()
    key = id(script["f"].__code__)
    assert key in code_text._kept
    script.clear()
    assert key not in code_text._kept
