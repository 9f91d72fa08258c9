"""Evaluation of runs: finished ones as learning curves, statistics over seeds and tasks, and
comparisons; those that go on, live.
"""

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
from rlpyt.evaluation.comparison import Comparison, compare_runs
from rlpyt.evaluation.dashboard import Dashboard
from rlpyt.evaluation.live import LiveView, Snapshot
from rlpyt.evaluation.normalization import (
    ATARI_SCORES,
    CONTROL_SCORES,
    normalize,
    reference_scores,
)
from rlpyt.evaluation.plot import plot_runs
from rlpyt.evaluation.report import write_report
from rlpyt.evaluation.run_scores import RunScores, ScoreRule, collect_scores
from rlpyt.evaluation.runs import find_runs, read_progress
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
    "ATARI_SCORES",
    "CONTROL_SCORES",
    "Comparison",
    "Dashboard",
    "Interval",
    "LiveView",
    "RunScores",
    "ScoreRule",
    "Snapshot",
    "aggregate_iqm",
    "aggregate_mean",
    "aggregate_median",
    "aggregate_optimality_gap",
    "bootstrap",
    "bootstrap_interval",
    "collect_scores",
    "compare_runs",
    "find_runs",
    "improvement_interval",
    "mean_rank",
    "normalize",
    "performance_profile",
    "plot_runs",
    "probability_of_improvement",
    "profile_interval",
    "rank_distribution",
    "rank_interval",
    "read_progress",
    "reference_scores",
    "sample_efficiency",
    "write_report",
]
