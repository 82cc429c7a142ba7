"""`HyperLogLog`: about how many distinct values there are, in little memory, mergeable.

The registers are a dict, so that a sketch is never larger than what it has seen. The number is computed by Ertl's
estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), which needs no tables and is as good
for few values as for many.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterable
from hashlib import blake2b

HASH_BITS = 64
LEAST_PRECISION = 4


class HyperLogLog:
    """``relative_sd`` is the wanted standard deviation of the estimate, relative to the true number."""

    def __init__(self, relative_sd: float, values: Iterable[int] = ()) -> None:
        """``values`` are of 32 bits, as by ``portable_hash(record) & 0xFFFFFFFF``."""
        self._precision = max(LEAST_PRECISION, math.ceil(2 * math.log2(1.054 / relative_sd)))
        self._registers: dict[int, int] = {}  # {number: largest rank seen}; those not there are 0
        rest_bits = HASH_BITS - self._precision
        for value in values:
            hashed = int.from_bytes(blake2b(value.to_bytes(4, "little"), digest_size=HASH_BITS // 8).digest(), "little")
            self._raise(hashed >> rest_bits, rest_bits - (hashed & ((1 << rest_bits) - 1)).bit_length() + 1)

    def merge(self, other: HyperLogLog) -> HyperLogLog:
        """Count the values of a sketch of the same precision, too."""
        for register, rank in other._registers.items():
            self._raise(register, rank)
        return self

    def _raise(self, register: int, rank: int) -> None:
        if self._registers.get(register, 0) < rank:
            self._registers[register] = rank

    def estimate(self) -> int:
        """About how many distinct values were seen."""
        registers = 1 << self._precision
        most = HASH_BITS - self._precision
        ranks = Counter(self._registers.values())
        total = registers * _tau(1 - ranks[most + 1] / registers)
        for rank in range(most, 0, -1):
            total = (total + ranks[rank]) / 2
        total += registers * _sigma(1 - len(self._registers) / registers)
        return round(registers * registers / (2 * math.log(2) * total))


def _sigma(share: float) -> float:
    """Corrects for registers that are 0, ``share`` of all."""
    if share == 1:
        return math.inf
    total, power, step = share, share, 1.0
    while True:
        power *= power
        before = total
        total += power * step
        step += step
        if total == before:
            return total


def _tau(share: float) -> float:
    """Corrects for registers that are full; ``share`` of all are not."""
    if share in (0.0, 1.0):
        return 0.0
    total, power, step = 1 - share, share, 1.0
    while True:
        power = math.sqrt(power)
        before = total
        step /= 2
        total -= (1 - power) ** 2 * step
        if total == before:
            return total / 3
