"""Evaluation of finished runs: learning curves, statistics over seeds and tasks, comparisons."""

from rlpyt.evaluation.bootstrap import (
    Interval,
    bootstrap,
    bootstrap_interval,
    improvement_interval,
    profile_interval,
    rank_distribution,
    rank_interval,
    sample_efficiency,
)
from rlpyt.evaluation.plot import find_runs, plot_runs, read_progress
from rlpyt.evaluation.statistics import (
    AGGREGATES,
    aggregate_iqm,
    aggregate_mean,
    aggregate_median,
    aggregate_optimality_gap,
    mean_rank,
    performance_profile,
    probability_of_improvement,
)

__all__ = [
    "AGGREGATES",
    "Interval",
    "aggregate_iqm",
    "aggregate_mean",
    "aggregate_median",
    "aggregate_optimality_gap",
    "bootstrap",
    "bootstrap_interval",
    "find_runs",
    "improvement_interval",
    "mean_rank",
    "performance_profile",
    "plot_runs",
    "probability_of_improvement",
    "profile_interval",
    "rank_distribution",
    "rank_interval",
    "read_progress",
    "sample_efficiency",
]
