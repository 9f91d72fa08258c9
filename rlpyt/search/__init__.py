"""Search of settings: random, successive halving or Optuna's, over groups of seeds."""

from rlpyt.search.experiment import search
from rlpyt.search.plan import SearchPlan, plan_search
from rlpyt.search.results import SearchResult, TrialResult
from rlpyt.search.space import Choice, IntUniform, LogUniform, Uniform

__all__ = [
    "Choice",
    "IntUniform",
    "LogUniform",
    "SearchPlan",
    "SearchResult",
    "TrialResult",
    "Uniform",
    "plan_search",
    "search",
]
