"""How the RDDs that another one is computed from are found, and pickled for executors; why a closure that holds an RDD
is not.

An RDD pickles only while a lineage is being pickled: everything else that tries to pickle one is a closure, a broadcast
or a record that refers to it, and an RDD is of no use there. Functions are therefore pickled first, with the gate shut;
the RDDs that hold them come after, by the same pickler, so they refer to the functions pickled already.
"""

from __future__ import annotations

import io
import pickle
import threading
from collections.abc import Callable, Hashable, Iterable, Iterator
from contextlib import contextmanager
from types import FunctionType
from typing import TYPE_CHECKING, Any, TypeVar

from localcluster.rdd.dependency import NarrowDependency, ShuffleDependency
from protocol import by_value
from protocol.errors import RDDError, SerializationError, SparkException

if TYPE_CHECKING:
    from localcluster.rdd.core import RDDCore

Node = TypeVar("Node", bound=Hashable)
_gate = threading.local()


# --- what is behind an RDD --------------------------------------------------------------------------------------------


def walk(start: Node, parents: Callable[[Node], Iterable[Node]]) -> Iterator[Node]:
    """``start`` and what is behind it, each once, children before parents, the last parent's side first. The parents of
    a node are asked for after it was given out.

    Iterative: lineages can be thousands deep, and a parent may be reached by a great many paths.
    """
    seen: set[Node] = set()
    todo = [start]
    while todo:
        node = todo.pop()
        if node not in seen:
            seen.add(node)
            yield node
            todo.extend(parents(node))


def parents_first(nodes: Iterable[Node], parents: Callable[[Node], Iterable[Node]]) -> Iterator[Node]:
    """``nodes`` and what is behind them, each once, after its parents. Iterative, like `walk`."""
    given: set[Node] = set()
    path: list[tuple[Node | None, Iterator[Node]]] = [(None, iter(nodes))]  # a node, and those of its parents to come
    while path:
        node, rest = path[-1]
        parent = next((parent for parent in rest if parent not in given), None)
        if parent is not None:
            path.append((parent, iter(parents(parent))))
            continue
        path.pop()
        if node is not None:
            given.add(node)
            yield node


def narrow_parents(rdd: RDDCore[Any]) -> list[RDDCore[Any]]:
    """What ``rdd`` is computed from inside the same stage, directly."""
    return [d.rdd for d in rdd.dependencies if not isinstance(d, ShuffleDependency)]


def narrow_lineage(rdd: RDDCore[Any]) -> Iterator[RDDCore[Any]]:
    """``rdd`` and everything it is computed from inside the same stage."""
    return walk(rdd, narrow_parents)


def read_with(partition: tuple[RDDCore[Any], int]) -> list[tuple[RDDCore[Any], int]]:
    """The partitions that the task of a partition, named by RDD and index, reads for it. For the driver only."""
    rdd, index = partition
    narrow = [dependency for dependency in rdd.dependencies if isinstance(dependency, NarrowDependency)]
    return [(dependency.rdd, parent) for dependency in narrow for parent in dependency.parents(index)]


# --- pickling ---------------------------------------------------------------------------------------------------------


@contextmanager
def lineage_pickling() -> Iterator[None]:
    """While this is open, RDDs pickle in this thread."""
    _gate.open = True
    try:
        yield
    finally:
        _gate.open = False


def require_lineage_pickling() -> None:
    """Raises RDDError unless a lineage is being pickled in this thread."""
    if not getattr(_gate, "open", False):
        raise RDDError(errorClass="RDD_TRANSFORM_ONLY_VALID_ON_DRIVER")


def dump_lineage(rdd: RDDCore[Any], action: Any) -> bytes:
    """Pickle ``rdd``, all it is computed from within its stage, and ``action`` (anything; RDDs in it are refused).

    Raises SerializationError when a function cannot be pickled: it names that and its RDD, and ``__cause__`` says why,
    an RDDError or a ContextError when it refers to an RDD or to the context. Raises SparkException when it holds a
    broadcast that was destroyed.
    """
    lineage = list(parents_first([rdd], narrow_parents))  # not even pickling the list recurses along the lineage
    functions = [function for _, function in _functions_of(lineage)]
    buffer = io.BytesIO()
    pickler = _Pickler(buffer, protocol=5)
    try:
        pickler.dump((functions, action))
    except (SerializationError, SparkException):  # the latter: a broadcast that was destroyed
        raise
    except Exception as error:
        text = f"Could not serialize object: {type(error).__name__}: {error} (in {_culprit(lineage, action)})"
        if pickler.taken:
            names = ", ".join(sorted(pickler.taken))
            text += (
                f". What {names} defines goes by value, as executors cannot import it; addPyFile or --py-files let them"
            )
        raise SerializationError(text) from error
    with lineage_pickling():
        pickler.dump(lineage)
    return buffer.getvalue()


class _Pickler(by_value.Pickler):
    """Takes our own classes and functions by reference without the search that cloudpickle makes for each of them,
    which costs more than all the rest of a small lineage.
    """

    def reducer_override(self, obj: Any) -> Any:
        if isinstance(obj, (type, FunctionType)) and _is_ours(obj):
            return NotImplemented
        return super().reducer_override(obj)


def _is_ours(obj: type | FunctionType) -> bool:
    name = obj.__qualname__
    return str(obj.__module__).startswith(("localcluster.", "storage.")) and "<" not in name


def load_lineage(data: bytes | memoryview) -> tuple[RDDCore[Any], Any]:
    """The RDD and the action that `dump_lineage` pickled, as new objects. Raises whatever unpickling the functions
    raises.
    """
    unpickler = pickle.Unpickler(io.BytesIO(data))
    _, action = unpickler.load()
    return unpickler.load()[-1], action


def _culprit(lineage: list[RDDCore[Any]], action: Any) -> str:
    for member, function in _functions_of(lineage):
        try:
            by_value.dumps(function)
        except Exception:
            return f"{function!r} of {member!r}"
    return repr(action)


def _functions_of(lineage: list[RDDCore[Any]]) -> Iterator[tuple[RDDCore[Any], Any]]:
    """The functions that travel: nothing of how a checkpointed RDD was computed does."""
    for member in lineage:
        if member._checkpoint_rdd is None:
            for function in member._functions():
                yield member, function
