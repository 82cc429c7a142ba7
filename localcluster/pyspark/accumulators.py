"""PySpark's module of this name."""

from localcluster.task.accumulators import (
    COMPLEX_ACCUMULATOR_PARAM,
    FLOAT_ACCUMULATOR_PARAM,
    INT_ACCUMULATOR_PARAM,
    Accumulator,
    AccumulatorParam,
    AddingAccumulatorParam,
    _accumulatorRegistry,
)

__all__ = ["Accumulator", "AccumulatorParam"]
