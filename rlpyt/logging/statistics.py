"""Five statistics of a list of values, as columns."""

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["STATISTICS", "five_statistics"]

STATISTICS = ("Average", "Std", "Median", "Min", "Max")
"""Suffixes of the columns that stand for a list of values."""


def five_statistics(name: str, values: Sequence[float]) -> dict[str, float]:
    """``{nameAverage, nameStd, nameMedian, nameMin, nameMax}``, in float64.

    Std is the population's: the root of the mean squared deviation, 0 for one value. All are NaN
    without values, and where one value is NaN.
    """
    data = np.asarray(values, dtype=np.float64)
    if not data.size or np.isnan(data).any():
        return {f"{name}{statistic}": math.nan for statistic in STATISTICS}
    with np.errstate(all="ignore"):  # a diverged run has infinities, and should be able to log them
        numbers = (data.mean(), data.std(), np.median(data), data.min(), data.max())
    return {f"{name}{key}": float(number) for key, number in zip(STATISTICS, numbers, strict=True)}
