"""Classes and functions of a program, that other processes can import."""

from __future__ import annotations

import enum
import threading
from dataclasses import dataclass, field
from functools import cached_property, lru_cache, partial
from typing import Any, NamedTuple


class Colour(enum.Enum):
    RED = 1
    BLUE = "b"


class Access(enum.Flag):
    READ = 1
    WRITE = 2


class Point(NamedTuple):
    x: Any
    y: Any = 0


@dataclass
class Record:
    name: str
    values: list[Any] = field(default_factory=list)


@dataclass(frozen=True)
class Frozen:
    a: Any


class Node:
    """Refers to itself."""

    def __init__(self, name: str) -> None:
        self.name = name
        self.others: list[Node] = [self]


class Slotted:
    __slots__ = ("left", "right")

    def __init__(self, left: Any, right: Any) -> None:
        self.left = left
        self.right = right


class Words(set[str]):
    """A set of a class of its own."""


class Locked:
    def __init__(self) -> None:
        self.lock = threading.Lock()


class Machine:
    limit = 3

    def run(self, x: int) -> int:
        return helper(x) + self.limit

    @property
    def half(self) -> float:
        return self.limit / 2

    @cached_property
    def twice(self) -> int:
        return 2 * self.limit

    @staticmethod
    def still(x: int) -> int:
        return x

    @classmethod
    def made(cls) -> Machine:
        return cls()


def helper(x: int) -> int:
    return x + 1 if x < 10 else other(x)


def other(x: int) -> int:
    return helper(x - 1)


@lru_cache
def cached(x: int) -> int:
    return helper(x)


add_one = partial(helper, 1)
