"""Spark's ``XORShiftRandom``, needed to begin dealing out records at the partition where Spark begins.

A 64-bit xor-shift generator (Marsaglia) whose seed is scrambled by MurmurHash3; `next_int` draws as Java's ``Random``
does.
"""

from __future__ import annotations

_MASK32 = 0xFFFFFFFF
_MASK64 = 0xFFFFFFFFFFFFFFFF
_ARRAY_SEED = 0x3C074A61  # the seed with which Scala's library hashes arrays


class XorShiftRandom:
    def __init__(self, seed: int) -> None:
        data = (seed & _MASK64).to_bytes(8, "big")
        low = _murmur3(data, _ARRAY_SEED)
        self._state = _murmur3(data, low) << 32 | low

    def _next(self, bits: int) -> int:
        state = self._state
        state ^= state << 21 & _MASK64
        state ^= state >> 35
        state ^= state << 4 & _MASK64
        self._state = state
        return state & ((1 << bits) - 1)

    def next_int(self, bound: int) -> int:
        """A number from 0 up to, not with, ``bound`` (at least 1)."""
        if bound & (bound - 1) == 0:
            return bound * self._next(31) >> 31
        while True:
            drawn = self._next(31)
            if drawn - drawn % bound + bound - 1 <= 0x7FFFFFFF:  # else drawn from the incomplete last interval
                return drawn % bound


def _murmur3(data: bytes, seed: int) -> int:
    """MurmurHash3 (32 bits, x86) of whole little-endian words."""
    value = seed
    for start in range(0, len(data), 4):
        word = int.from_bytes(data[start : start + 4], "little") * 0xCC9E2D51 & _MASK32
        value ^= _rotate(word, 15) * 0x1B873593 & _MASK32
        value = (_rotate(value, 13) * 5 + 0xE6546B64) & _MASK32
    value ^= len(data)
    value = (value ^ value >> 16) * 0x85EBCA6B & _MASK32
    value = (value ^ value >> 13) * 0xC2B2AE35 & _MASK32
    return value ^ value >> 16


def _rotate(word: int, bits: int) -> int:
    return (word << bits | word >> (32 - bits)) & _MASK32
