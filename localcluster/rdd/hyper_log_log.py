"""`HyperLogLog`: about how many distinct values there are, in little memory, mergeable.

Few values are kept as they are and counted exactly; more of them become registers. The number is computed by Ertl's
estimator ("New cardinality estimation algorithms for HyperLogLog sketches", 2017), which needs no tables and is as good
for few values as for many.
"""

from __future__ import annotations

import math
from collections import Counter, defaultdict
from collections.abc import Iterable

HASH_BITS = 64
LEAST_PRECISION = 14  # 16 KiB of registers; a standard deviation of 0.8 %
MOST_IN_ARRAY = 20  # precision of a megabyte of registers; of more registers, those seen are kept
EXACT = 512  # distinct values that are counted exactly


class HyperLogLog:
    """``relative_sd`` is the standard deviation of the estimate, relative to the true number, that it may have."""

    def __init__(self, relative_sd: float, values: Iterable[int] = ()) -> None:
        """``values`` are of 64 bits, another one for each thing that is counted."""
        self._precision = max(LEAST_PRECISION, math.ceil(2 * math.log2(1.054 / relative_sd)))
        self._values: set[int] | None = set()  # None once there are registers
        self._registers: bytearray | defaultdict[int, int]  # the largest rank seen by each
        remaining = iter(values)
        for value in remaining:
            self._values.add(value)
            if len(self._values) > EXACT:
                self._make_registers()
                self._add(remaining)

    def merge(self, other: HyperLogLog) -> HyperLogLog:
        """Count the values of a sketch of the same precision, too."""
        if self._values is not None and other._values is not None:
            self._values |= other._values
            if len(self._values) > EXACT:
                self._make_registers()
            return self
        self._make_registers()
        if other._values is not None:
            self._add(other._values)
        elif isinstance(other._registers, bytearray):
            self._registers = bytearray(map(max, self._registers, other._registers))
        else:
            for register, rank in other._registers.items():
                self._registers[register] = max(self._registers[register], rank)
        return self

    def _make_registers(self) -> None:
        if self._values is not None:
            in_array = self._precision <= MOST_IN_ARRAY
            self._registers = bytearray(1 << self._precision) if in_array else defaultdict(int)
            values, self._values = self._values, None
            self._add(values)

    def _add(self, values: Iterable[int]) -> None:
        from hashlib import blake2b  # few programs count so, and it takes much memory

        registers = self._registers
        rest_bits = HASH_BITS - self._precision
        for value in values:
            hashed = int.from_bytes(blake2b(value.to_bytes(8, "little"), digest_size=HASH_BITS // 8).digest(), "little")
            register = hashed >> rest_bits
            rank = rest_bits - (hashed & ((1 << rest_bits) - 1)).bit_length() + 1
            if registers[register] < rank:
                registers[register] = rank

    def estimate(self) -> int:
        """How many distinct values were seen: exactly for up to EXACT, else about."""
        if self._values is not None:
            return len(self._values)
        registers = 1 << self._precision
        most = HASH_BITS - self._precision
        seen = self._registers if isinstance(self._registers, bytearray) else self._registers.values()
        ranks = Counter(seen)
        del ranks[0]
        total = registers * _tau(1 - ranks[most + 1] / registers)
        for rank in range(most, 0, -1):
            total = (total + ranks[rank]) / 2
        total += registers * _sigma(1 - ranks.total() / registers)
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
