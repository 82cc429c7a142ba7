"""`portable_hash`: the hash that places keys, the same in the driver and in all executors of a run, and PySpark's.

Python's own hash differs between processes in two ways. That of strings and bytes depends on a seed; executors have a
fixed one (``PYTHONHASHSEED``, else 0), the driver of library mode may have another. That of None is an address before
Python 3.12, and so is what is computed from it. So what Python's hash is in an executor is computed here, by Python's
own algorithms, where it is another one in this process. The hashes of a program's own classes cannot be known:
`hashes_like_executors` tells which can.
"""

from __future__ import annotations

import os
import sys
from collections.abc import Callable, Hashable
from functools import lru_cache
from typing import Any

_MASK = 2 * sys.maxsize + 1
_HASH_OF_NONE = 0xFCA86420  # Python's, from 3.12 on
_ROUNDS = {"siphash13": (1, 3), "siphash24": (2, 4)}.get(sys.hash_info.algorithm)  # for each word, at the end

_seed = 0  # of executors
_seed_differs = False  # from this process's own
_plain: set[type] = set()  # types whose hash is the same here and there


def portable_hash(x: Hashable) -> int:
    """Hash of a key, the same in all processes of a run and the same as PySpark's ``portable_hash``.

    Raises TypeError when the key is not hashable.

    >>> portable_hash((None, 1)) & 0xFFFFFFFF
    219750521
    """
    if type(x) in _plain:
        return hash(x)
    if x is None:
        return 0
    if isinstance(x, tuple):
        result = 0x345678
        for item in x:
            result = ((result ^ portable_hash(item)) * 1000003) & sys.maxsize
        result ^= len(x)
        return -2 if result == -1 else result
    return _hash_in_executors(x)


def hashes_like_executors(key: object) -> bool:
    """Whether `portable_hash` of this key is certainly the same in this process and in executors."""
    return all(map(hashes_like_executors, key)) if isinstance(key, tuple) else _is_known(key)


def expect_seed(seed: str) -> None:
    """Executors hash by this ``PYTHONHASHSEED``, a number."""
    global _seed, _seed_differs
    _seed = int(seed)
    _seed_differs = _ROUNDS is not None and _siphash(b"probe") != hash(b"probe")
    _plain.clear()
    _plain.update({bool, int, float, complex})
    if not _seed_differs:
        _plain.update({str, bytes})
        if sys.version_info >= (3, 12):
            _plain.update({frozenset, range})


def seed_of_executors() -> str:
    """The ``PYTHONHASHSEED`` of executors of a context that starts now: the driver's, if it has one."""
    seed = os.environ.get("PYTHONHASHSEED", "")
    return seed if seed.isdecimal() else "0"


def _is_known(x: object) -> bool:
    """Whether `_hash_in_executors` is right."""
    kind = type(x)
    if kind.__hash__ in (tuple.__hash__, frozenset.__hash__):
        return all(map(_is_known, x))  # type: ignore[call-overload]
    if kind.__hash__ in (str.__hash__, bytes.__hash__):
        return _ROUNDS is not None
    if kind.__module__ == "datetime":  # its hashes are those of bytes
        return not _seed_differs
    if kind.__hash__ in (int.__hash__, float.__hash__, complex.__hash__) or _is_librarys_number(x):
        return bool(x == x)  # the hash of NaN is an address
    return x is None or kind is range


def _is_librarys_number(x: object) -> bool:
    from numbers import Number  # few programs have such keys

    return type(x).__module__ in ("decimal", "fractions", "numpy") and isinstance(x, Number)


def _hash_in_executors(x: Any) -> int:
    """What ``hash(x)`` is there; if it is not known, what it is here."""
    if x is None:
        return _HASH_OF_NONE
    return _HASHES.get(type(x).__hash__, hash)(x)


def _hash_of_str(text: str) -> int:
    if not _seed_differs:
        return hash(text)
    largest = ord(max(text, default="\0"))
    encoding = "latin-1" if largest < 1 << 8 else "utf-16-le" if largest < 1 << 16 else "utf-32-le"
    return _siphash(text.encode(encoding, "surrogatepass"))  # as Python keeps the text


def _hash_of_bytes(data: bytes) -> int:
    return _siphash(data) if _seed_differs else hash(data)


def _siphash(data: bytes) -> int:
    """As Python has it, on a little-endian machine."""
    if not data:
        return 0
    assert _ROUNDS is not None
    for_word, at_end = _ROUNDS
    key0, key1 = _siphash_keys(_seed)
    state = key0 ^ 0x736F6D6570736575, key1 ^ 0x646F72616E646F6D, key0 ^ 0x6C7967656E657261, key1 ^ 0x7465646279746573
    padded = data.ljust(len(data) // 8 * 8 + 7, b"\0") + bytes([len(data) & 0xFF])
    for start in range(0, len(padded), 8):
        word = int.from_bytes(padded[start : start + 8], "little")
        v0, v1, v2, v3 = _siphash_rounds(for_word, state[0], state[1], state[2], state[3] ^ word)
        state = v0 ^ word, v1, v2, v3
    v0, v1, v2, v3 = _siphash_rounds(at_end, state[0], state[1], state[2] ^ 0xFF, state[3])
    return _signed(v0 ^ v1 ^ v2 ^ v3, -2)


def _siphash_rounds(rounds: int, a: int, b: int, c: int, d: int) -> tuple[int, int, int, int]:
    for _ in range(rounds):
        a, c = (a + b) & _MASK, (c + d) & _MASK
        b, d = _rotated(b, 13) ^ a, _rotated(d, 16) ^ c
        a = _rotated(a, 32)
        c, a = (c + b) & _MASK, (a + d) & _MASK
        b, d = _rotated(b, 17) ^ c, _rotated(d, 21) ^ a
        c = _rotated(c, 32)
    return a, b, c, d


@lru_cache(maxsize=1)
def _siphash_keys(seed: int) -> tuple[int, int]:
    """As Python makes them from PYTHONHASHSEED."""
    if seed == 0:
        return 0, 0
    secret = bytearray()
    for _ in range(16):
        seed = (seed * 214013 + 2531011) & 0xFFFFFFFF
        secret.append((seed >> 16) & 0xFF)
    return int.from_bytes(secret[:8], "little"), int.from_bytes(secret[8:], "little")


def _hash_of_tuple(items: tuple[Any, ...]) -> int:
    """xxHash, as Python has it."""
    prime1, prime2, prime5 = 11400714785074694791, 14029467366897019727, 2870177450012600261
    result = prime5
    for item in items:
        result = (result + _hash_in_executors(item) * prime2) & _MASK
        result = _rotated(result, 31) * prime1 & _MASK
    result = (result + (len(items) ^ prime5 ^ 3527539)) & _MASK
    return 1546275796 if result == _MASK else _signed(result, -1)


def _hash_of_frozenset(items: frozenset[Any]) -> int:
    result = 1927868237 * (len(items) + 1) & _MASK
    for item in items:
        value = _hash_in_executors(item) & _MASK
        result ^= (value ^ (value << 16) ^ 89869747) * 3644798167 & _MASK
    result ^= (result >> 11) ^ (result >> 25)
    return _signed((result * 69069 + 907133923) & _MASK, 590923713)


def _hash_of_range(numbers: range) -> int:
    size = len(numbers)
    return _hash_of_tuple((size, numbers.start if size else None, numbers.step if size > 1 else None))


_HASHES: dict[Any, Callable[[Any], int]] = {
    str.__hash__: _hash_of_str,
    bytes.__hash__: _hash_of_bytes,
    tuple.__hash__: _hash_of_tuple,
    frozenset.__hash__: _hash_of_frozenset,
    range.__hash__: _hash_of_range,
}


def _rotated(x: int, bits: int) -> int:
    return ((x << bits) | (x >> (64 - bits))) & _MASK


def _signed(x: int, for_minus_one: int) -> int:
    """Of 64 bits; -1 is no hash."""
    x -= (_MASK + 1) * (x > sys.maxsize)
    return for_minus_one if x == -1 else x


expect_seed(seed_of_executors())
