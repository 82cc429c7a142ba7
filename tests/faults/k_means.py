"""K-means on cached arrays, as a job and in plain numpy: Lloyd's steps over three blobs of points."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import numpy as np

from localcluster import StorageLevel

if TYPE_CHECKING:
    from localcluster import SparkContext

BLOCKS, POINTS, STEPS = 4, 240, 4
START = [[0.0, 0.0], [1.0, 1.0], [2.0, 2.0]]


def k_means(sc: SparkContext) -> list[list[float]]:
    """The centres. The points are off heap, and each step reads them again."""
    blocks = sc.parallelize(range(BLOCKS), BLOCKS).map(points).persist(StorageLevel.OFF_HEAP)
    centres = np.array(START)
    for _ in range(STEPS):
        variable = sc.broadcast(centres)
        sums = blocks.flatMap(_sums_of_nearest(variable)).reduceByKey(_add_both, 2).collectAsMap()
        centres = np.array([sums[n][0] / sums[n][1] if n in sums else centres[n] for n in range(len(START))])
    return _rounded(centres)


def plain_k_means() -> list[list[float]]:
    """The same without a cluster."""
    everything = np.concatenate([points(block) for block in range(BLOCKS)])
    centres = np.array(START)
    for _ in range(STEPS):
        nearest = _nearest(everything, centres)
        of = [everything[nearest == n] for n in range(len(START))]
        centres = np.array([each.mean(axis=0) if len(each) else centres[n] for n, each in enumerate(of)])
    return _rounded(centres)


def points(block: int) -> Any:
    """Whole numbers in floats, so that sums do not depend on their order."""
    rng = np.random.default_rng(block)
    blobs = np.repeat([[0, 0], [500, 0], [0, 500]], POINTS // 3, axis=0)
    return (blobs + rng.integers(-50, 50, size=(POINTS, 2))).astype(float)


def _sums_of_nearest(variable: Any) -> Callable[[Any], list[tuple[int, tuple[Any, int]]]]:
    def sums(block: Any) -> list[tuple[int, tuple[Any, int]]]:
        nearest = _nearest(block, variable.value)
        return [(int(n), (block[nearest == n].sum(axis=0), int((nearest == n).sum()))) for n in np.unique(nearest)]

    return sums


def _nearest(block: Any, centres: Any) -> Any:
    return ((block[:, None, :] - centres[None, :, :]) ** 2).sum(axis=2).argmin(axis=1)


def _add_both(one: tuple[Any, int], other: tuple[Any, int]) -> tuple[Any, int]:
    return one[0] + other[0], one[1] + other[1]


def _rounded(centres: Any) -> list[list[float]]:
    rounded: list[list[float]] = np.round(centres, 6).tolist()
    return rounded
