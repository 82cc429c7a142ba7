"""Which closures all tasks of a stage may share: only those that certainly hold no state.

Each closure is pickled by value and loaded again, as an executor does it, before the question is asked.
"""

from __future__ import annotations

import math
import operator
import os
import pickle
import random
import sys
from collections import defaultdict
from collections.abc import Callable
from functools import partial
from types import ModuleType
from typing import Any

import cloudpickle
import pytest

from localcluster.executor.stateless import is_stateless
from localcluster.rdd.dependency import NarrowDependency
from localcluster.shuffle.aggregator import Aggregator
from localcluster.shuffle.hashing import portable_hash
from localcluster.shuffle.partitioner import Partitioner
from localcluster.shuffle.shuffle import Shuffle
from localcluster.task.accumulators import INT_ACCUMULATOR_PARAM, Accumulator
from localcluster.task.broadcast import _RemoteBroadcast


def travelled(source: str, **given: Any) -> Any:
    """What the name ``it`` is after running the source as a job script's, once it has been pickled and loaded."""
    script = ModuleType("__main__")
    script.__dict__.update(given)
    real = sys.modules["__main__"]
    sys.modules["__main__"] = script
    try:
        exec(source, script.__dict__)
        return pickle.loads(cloudpickle.dumps(script.__dict__["it"]))
    finally:
        sys.modules["__main__"] = real


STATELESS = {
    "a lambda": "it = lambda x: x + 1",
    "a closure over atoms": "def make(n, s):\n  return lambda x: (x + n, s)\nit = make(3, 'text')",
    "a closure over a tuple of atoms": "t = (1, ('a', None), b'', range(3), 2.5, 1j)\nit = lambda x: t",
    "a closure over a frozenset": "t = frozenset([1, 2])\nit = lambda x: x in t",
    "nested functions": "def it(x):\n  def inner(y):\n    return y + x\n  return inner(1)",
    "a function that calls another": "def f(x):\n  return x\ndef it(x):\n  return f(x)",
    "a recursive function": "def it(n):\n  return 1 if n < 2 else n * it(n - 1)",
    "mutually recursive functions": "def a(n):\n  return b(n)\ndef b(n):\n  return n and a(n - 1)\nit = a",
    "a recursive closure": "def make():\n  def it(n):\n    return n and it(n - 1)\n  return it\nit = make()",
    "a module": "import math\nit = lambda x: math.sqrt(x)",
    "a module's function": "from os.path import join\nit = lambda x: join(x)",
    "a builtin": "it = len",
    "an importable class": "from collections import Counter\nit = lambda x: Counter(x)",
    "a partial": "from functools import partial\nimport operator\nit = partial(operator.add, 1)",
    "a getter": "import operator\nit = operator.itemgetter(1, 2)",
    "defaults that are atoms": "def it(x, n=3, *, m='a'):\n  return x",
    "locals that change": "def it(x):\n  total = []\n  for y in x:\n    total.append(y)\n  return total",
    "a local that an inner function reads": "def it(x):\n  n = 1\n  n = 2\n  return [n + y for y in x], lambda: n",
    "a global that is shadowed": "state = []\ndef it(x):\n  return x",
}

STATEFUL = {
    "a list": "state = []\nit = lambda x: state.append(x)",
    "a dict": "state = {}\nit = lambda x: state.get(x)",
    "a set": "state = set()\nit = lambda x: state.add(x)",
    "a bytearray": "state = bytearray()\nit = lambda x: state",
    "a list in a tuple": "state = (1, [])\nit = lambda x: state[1]",
    "a list in a closure": "def make(state):\n  return lambda x: state.append(x)\nit = make([])",
    "a list that is a default": "def it(x, seen=[]):\n  seen.append(x)\n  return seen",
    "a list that is a keyword-only default": "def it(x, *, seen=[]):\n  return seen",
    "a list in a function that is called": "s = []\ndef f(x):\n  s.append(x)\ndef it(x):\n  return f(x)",
    "a list in nested code": "s = []\ndef it(x):\n  def inner():\n    return s\n  return inner()",
    "a list in a comprehension": "s = []\ndef it(x):\n  return [len(s) for _ in range(x)]",
    "a generator of random numbers": "import random\nr = random.Random(1)\nit = lambda x: r.random()",
    "a bound method of one": "import random\nit = random.Random(1).random",
    "a bound method of a list": "it = [].append",
    "a partial with a list": "from functools import partial\nit = partial(max, [])",
    "a partial with a dict by name": "from functools import partial\nit = partial(max, default={})",
    "a counter": "import itertools\nc = itertools.count()\nit = lambda x: next(c)",
    "a defaultdict": "from collections import defaultdict\nd = defaultdict(int)\nit = lambda x: d[x]",
    "a class of the script": "class C:\n  seen = []\nit = lambda x: C.seen",
    "an instance of one": "class C:\n  pass\nc = C()\nit = lambda x: c",
    "a bound method of an instance of one": "class C:\n  def f(self, x):\n    return x\nit = C().f",
    "a class made in a function": "def make():\n  class C:\n    n = 0\n  return C\nit = make()",
    "an instance of a library's class": "from decimal import Context\nc = Context()\nit = lambda x: c",
    "a function attribute that is a list": "def it(x):\n  return it.seen\nit.seen = []",
    "a function attribute that changes": "def it(x):\n  it.calls += 1\n  return it.calls\nit.calls = 0",
    "a function attribute that is set by name": "def it(x):\n  setattr(it, 'seen', x)",
    "a global number that changes": "n = 0\ndef it(x):\n  global n\n  n += 1\n  return n",
    "a global number that nested code changes": "n = 0\ndef it(x):\n  def f():\n    global n\n    n += 1\n  f()",
    "a global that appears": "def it(x):\n  global n\n  n = x",
    "a global that is deleted": "n = 0\ndef it(x):\n  global n\n  del n",
    "globals by name": "n = 0\ndef it(x):\n  globals()['n'] = x\n  return n",
    "code made at run time": "n = 0\ndef it(x):\n  exec('global n; n = 1')",
    "a closed-over number that changes": "def make():\n  n = 0\n  def f(x):\n    nonlocal n\n    n += 1\n    return n\n"
    "  return f\nit = make()",
    "a closed-over number that nested code changes": "def make():\n  n = 0\n  def f(x):\n    def g():\n"
    "      nonlocal n\n      n += 1\n    g()\n  return f\nit = make()",
    "a module that cannot be imported": "from types import ModuleType\nm = ModuleType('made_up_here')\nm.seen = []\n"
    "it = lambda x: m.seen",
    "a lazy value": "from functools import lru_cache\n@lru_cache\ndef it(x):\n  return x",
}


@pytest.mark.parametrize("source", STATELESS.values(), ids=STATELESS.keys())
def test_functions_without_state_are_shared(source: str) -> None:
    assert is_stateless(travelled(source))


@pytest.mark.filterwarnings("ignore:Pickle, copy, and deepcopy support:DeprecationWarning")  # from 3.12 on
@pytest.mark.parametrize("source", STATEFUL.values(), ids=STATEFUL.keys())
def test_functions_that_may_hold_state_are_not_shared(source: str) -> None:
    assert not is_stateless(travelled(source))


def test_an_open_file_is_state() -> None:
    with open(os.devnull) as file:
        assert not is_stateless(file)
        assert not is_stateless(file.read)


def test_an_iterator_is_state() -> None:
    assert not is_stateless(iter([1]))
    assert not is_stateless(x for x in "ab")


def test_broadcasts_are_shared_and_accumulators_are_not() -> None:
    assert is_stateless(_RemoteBroadcast(1))
    assert is_stateless(travelled("it = lambda x: b.value", b=_RemoteBroadcast(1)))
    assert not is_stateless(Accumulator(0, 0, INT_ACCUMULATOR_PARAM))
    assert not is_stateless(travelled("it = lambda x: a.add(x)", a=Accumulator(0, 0, INT_ACCUMULATOR_PARAM)))


class OfAUser(NarrowDependency):
    """A class that is not ours, though its parent is."""


def test_our_own_objects_are_as_stateless_as_what_they_hold() -> None:
    assert is_stateless(Partitioner(3, portable_hash))
    assert not is_stateless(Partitioner(3, random.Random(1).randrange))
    assert is_stateless(NarrowDependency(Partitioner(3, hash)))  # type: ignore[arg-type]
    assert not is_stateless(OfAUser(Partitioner(3, hash)))  # type: ignore[arg-type]


def test_shuffles_are_as_stateless_as_their_functions() -> None:
    shuffle = Shuffle(0, Partitioner(2, portable_hash), Aggregator(abs, max, min))
    assert is_stateless(pickle.loads(pickle.dumps(shuffle)))
    assert not is_stateless(shuffle._replace(aggregator=Aggregator(abs, max, [].append)))  # type: ignore[arg-type]


def test_one_stateful_value_among_many_decides() -> None:
    assert is_stateless(1, "a", math.sqrt)
    assert not is_stateless(1, [], math.sqrt)
    assert is_stateless()


def test_a_chain_thousands_deep_is_followed_to_its_end() -> None:
    def chain(end: Callable[..., Any]) -> Callable[..., Any]:
        for _ in range(5000):
            end = partial(partial, (end,))  # inner partials would be merged
        return end

    assert is_stateless(chain(operator.neg))
    assert not is_stateless(chain(defaultdict(int).__getitem__))


def test_a_cell_that_is_not_filled_is_in_doubt() -> None:
    def make() -> Callable[[], Any]:
        def function() -> Any:
            return later

        if not function:
            later = 1
        return function

    assert not is_stateless(make())
