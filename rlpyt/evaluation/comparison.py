"""A comparison of algorithms from their runs: every statistic with its interval."""

import warnings
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from itertools import combinations
from pathlib import Path
from typing import Any, final

import numpy as np

from rlpyt.evaluation.bootstrap import (
    FEW_RUNS,
    Interval,
    bootstrap_interval,
    improvement_interval,
    profile_interval,
    rank_interval,
    sample_efficiency,
)
from rlpyt.evaluation.normalization import Normalization
from rlpyt.evaluation.run_scores import RunScores, ScoreRule, collect_scores
from rlpyt.evaluation.statistics import AGGREGATES, Array

__all__ = ["Comparison", "Pair", "compare_runs"]

_THRESHOLDS = 101  # of the performance profile
_GAP = "optimality gap"
_NAMED = 4  # algorithms in a note


@final
@dataclass(frozen=True, kw_only=True)
class Pair:
    """The probability that a run of ``better`` has a higher score than one of ``other``."""

    better: str
    other: str
    probability: Interval


@final
@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All that a report shows. Algorithms are in order of their IQM, the highest first."""

    algorithms: Sequence[str]
    data: RunScores
    rule: ScoreRule
    normalization: Normalization
    confidence: float
    replications: int
    seed: int
    scores: Mapping[str, Array]  # [runs, tasks], normalised
    aggregates: Mapping[str, Mapping[str, Interval]]  # by algorithm, by statistic
    ranks: Mapping[str, Interval]  # empty for one algorithm
    pairs: Sequence[Pair]
    thresholds: Array  # [K]
    profiles: Mapping[str, Interval]  # [K]
    curves: Mapping[str, Interval]  # [points], of the IQM; empty where runs have too few points
    notes: Sequence[str]

    @property
    def statistics(self) -> list[str]:
        """Names of the aggregates; the optimality gap is of normalised scores only."""
        identity = self.normalization.is_identity
        return [name for name in AGGREGATES if not (identity and name == _GAP)]

    @property
    def n_runs(self) -> str:
        """``3``, or ``3 to 5`` where tasks or algorithms have different numbers of runs."""
        counts = np.concatenate([(~np.isnan(s)).sum(axis=0) for s in self.scores.values()])
        low, high = int(counts.min()), int(counts.max())
        return str(low) if low == high else f"{low} to {high}"

    def as_dict(self) -> dict[str, Any]:
        """For JSON: what was compared, all intervals as ``[value, low, high]``, the notes."""
        return {
            "algorithms": list(self.algorithms),
            "tasks": list(self.data.tasks),
            "steps": list(self.data.ends),
            "score": self.rule.text,
            "normalization": self.normalization.text or None,
            "confidence": self.confidence,
            "replications": self.replications,
            "seed": self.seed,
            "aggregates": {
                algorithm: {name: _numbers(of_one[name]) for name in self.statistics}
                for algorithm, of_one in self.aggregates.items()
            },
            "ranks": {algorithm: _numbers(rank) for algorithm, rank in self.ranks.items()},
            "improvement": [
                {"better": p.better, "other": p.other, "probability": _numbers(p.probability)}
                for p in self.pairs
            ],
            "runs": [{**vars(run), "run_dir": str(run.run_dir)} for run in self.data.runs],
            "notes": list(self.notes),
        }


def _numbers(interval: Interval) -> list[float]:
    return [float(each) for each in interval]


def compare_runs(
    paths: Iterable[Path | str],
    *,
    rule: ScoreRule | None = None,
    normalize: str = "auto",
    replications: int = 10_000,
    confidence: float = 0.95,
    seed: int = 0,
) -> Comparison:
    """Compare all runs in or below ``paths``.

    Args:
        paths: runs, or folders of runs.
        rule: what of a run is its score; the mean return at the end unless given.
        normalize: ``auto``, ``none``, ``reference``, ``range``, or a JSON file of scores
            (:class:`~rlpyt.evaluation.normalization.Normalization`).
        replications: of each bootstrap.
        confidence: that the intervals have.
        seed: of the resampling; the same runs and seed give the same intervals.

    Raises:
        RlpytError: for runs that do not compare, with what is wrong with them.
    """
    rule = rule or ScoreRule()
    data = collect_scores(paths, rule)
    normalization = Normalization.choose(normalize, data.tasks, list(data.scores.values()))
    scores = {name: normalization.apply(each) for name, each in data.scores.items()}
    names = sorted(scores, key=lambda name: -float(AGGREGATES["IQM"](scores[name])))
    scores = {name: scores[name] for name in names}
    settings = _Settings(np.random.default_rng(seed), replications, confidence)
    thresholds = _thresholds(list(scores.values()), normalization)
    with warnings.catch_warnings():
        warnings.filterwarnings("ignore", r"\d+ runs? of a task", UserWarning)  # it is in the notes
        return Comparison(
            algorithms=names,
            data=data,
            rule=rule,
            normalization=normalization,
            confidence=confidence,
            replications=replications,
            seed=seed,
            scores=scores,
            aggregates=settings.aggregates(scores),
            ranks=settings.ranks(scores),
            pairs=settings.pairs(scores),
            thresholds=thresholds,
            profiles=settings.profiles(scores, thresholds),
            curves=settings.curves(names, data, normalization),
            notes=[*data.notes, *_scale_notes(data, normalize, normalization), *_few(scores, data)],
        )


@final
class _Settings:
    """The bootstrap's settings, and each statistic under them."""

    def __init__(self, rng: np.random.Generator, replications: int, confidence: float) -> None:
        self._rng = rng
        self._replications = replications
        self._confidence = confidence

    def aggregates(self, scores: Mapping[str, Array]) -> dict[str, dict[str, Interval]]:
        def all_of_them(x: Array) -> Array:
            return np.stack([statistic(x) for statistic in AGGREGATES.values()], axis=-1)

        found = {}
        for name, each in scores.items():
            together = bootstrap_interval(
                each,
                all_of_them,
                self._rng,
                replications=self._replications,
                confidence=self._confidence,
            )
            columns = np.stack(together, axis=-1)  # [statistics, 3]
            found[name] = {s: Interval(*c) for s, c in zip(AGGREGATES, columns, strict=True)}
        return found

    def ranks(self, scores: Mapping[str, Array]) -> dict[str, Interval]:
        if len(scores) < 2:
            return {}
        together = rank_interval(
            list(scores.values()),
            self._rng,
            replications=self._replications,
            confidence=self._confidence,
        )
        columns = np.stack(together, axis=-1)  # [algorithms, 3]
        return {name: Interval(*c) for name, c in zip(scores, columns, strict=True)}

    def pairs(self, scores: Mapping[str, Array]) -> list[Pair]:
        return [
            Pair(
                better=better,
                other=other,
                probability=improvement_interval(
                    scores[better],
                    scores[other],
                    self._rng,
                    replications=self._replications,
                    confidence=self._confidence,
                ),
            )
            for better, other in combinations(scores, 2)
        ]

    def profiles(self, scores: Mapping[str, Array], thresholds: Array) -> dict[str, Interval]:
        return {
            name: profile_interval(
                each,
                thresholds,
                self._rng,
                replications=self._replications,
                confidence=self._confidence,
            )
            for name, each in scores.items()
        }

    def curves(
        self, names: Sequence[str], data: RunScores, normalization: Normalization
    ) -> dict[str, Interval]:
        found = {}
        for name in names if data.curves else []:
            curves = np.moveaxis(normalization.apply(np.moveaxis(data.curves[name], -1, 0)), 0, -1)
            found[name] = sample_efficiency(
                curves,
                self._rng,
                replications=min(self._replications, 2_000),
                confidence=self._confidence,
            )
        return found


def _thresholds(scores: Sequence[Array], normalization: Normalization) -> Array:
    """From the lowest score, or 0 of normalised ones, to the highest."""
    low = min(float(np.nanmin(each)) for each in scores)
    high = max(float(np.nanmax(each)) for each in scores)
    if not normalization.is_identity:
        low, high = min(low, 0.0), max(high, 1.0)
    margin = 0.02 * (high - low) or 1.0
    return np.linspace(low - margin, high + margin, _THRESHOLDS)


def _scale_notes(data: RunScores, asked: str, normalization: Normalization) -> list[str]:
    if normalization.is_identity and len(data.tasks) > 1:
        what = (
            "scores of several environments are not on one scale: statistics over them say little"
        )
        return [f"{what} (--normalize)"]
    if asked == "auto" and not normalization.is_identity:
        return [f"scores are normalised: {normalization.text} (--normalize)"]
    return []


def _few(scores: Mapping[str, Array], data: RunScores) -> list[str]:
    """Which algorithms have too few runs of which task."""
    found = []
    for name, each in scores.items():
        counts = (~np.isnan(each)).sum(axis=0)
        n = int(counts.min())
        if n < FEW_RUNS:
            found.append(f"{name} ({n} of {data.tasks[int(counts.argmin())]})")
    if not found:
        return []
    which = ", ".join(found[:_NAMED]) + (f" and {len(found) - _NAMED} more" * (len(found) > _NAMED))
    what = f"fewer than {FEW_RUNS} seeds make intervals too narrow, and one seed none at all"
    return [f"{what}: {which}; train more before you conclude"]
