"""Evaluation of finished runs: learning curves."""

from rlpyt.evaluation.plot import find_runs, plot_runs, read_progress

__all__ = ["find_runs", "plot_runs", "read_progress"]
