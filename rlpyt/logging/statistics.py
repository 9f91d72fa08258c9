"""Five statistics of a list of values, as columns, and what the name of a column says."""

import math
from collections.abc import Sequence

import numpy as np

__all__ = ["STATISTICS", "five_statistics", "scalar_tag", "split_statistic"]

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


def split_statistic(column: str) -> tuple[str, str | None]:
    """Quantity and statistic of a column: ``ReturnAverage`` → ``("Return", "Average")``; no
    statistic for the column of a single number.
    """
    for statistic in STATISTICS:
        quantity = column.removesuffix(statistic)
        if quantity not in ("", column):
            return quantity, statistic
    return column, None


def scalar_tag(column: str) -> str:
    """What TensorBoard and services call a column: ``ReturnAverage`` → ``Return/Average``, a group
    per quantity. A column that has a group, such as ``Diagnostics/CumSteps``, keeps its name.
    """
    quantity, statistic = split_statistic(column)
    return column if statistic is None or "/" in column else f"{quantity}/{statistic}"
