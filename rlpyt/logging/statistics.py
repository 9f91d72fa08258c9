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
    data = np.array(values, dtype=np.float64)
    data.sort()  # NaN comes last
    n = len(data)
    if not n or math.isnan(data[-1]):
        return {f"{name}{statistic}": math.nan for statistic in STATISTICS}
    with np.errstate(all="ignore"):  # a diverged run has infinities, and should be able to log them
        median = (data[(n - 1) // 2] + data[n // 2]) / 2
        numbers = (data.mean(), data.std(), median, data[0], data[-1])
    return {f"{name}{key}": float(number) for key, number in zip(STATISTICS, numbers, strict=True)}
