"""Values that Optuna's tree-structured Parzen estimator asks for (Bergstra et al. 2011)."""

import importlib
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from rlpyt.search.space import Choice, Dimension, IntUniform, LogUniform, Space, rounded
from rlpyt.utils.errors import RlpytError

__all__ = ["ask_optuna", "check_optuna"]


def check_optuna() -> Any:
    """The module.

    Raises:
        RlpytError: ``config``, where it is not installed, or an older one than 4.
    """
    try:
        optuna = importlib.import_module("optuna")
    except ImportError as error:
        hint = 'pip install "rlpyt[optuna]"'
        raise RlpytError("config", "optuna is not installed", hint=hint) from error
    if int(str(optuna.__version__).partition(".")[0]) < 4:
        what = f"optuna {optuna.__version__} is too old"
        raise RlpytError("config", what, hint='pip install "rlpyt[optuna]"')
    return optuna


def ask_optuna(
    space: Space,
    finished: Sequence[tuple[Mapping[str, Any], float]],
    *,
    seed: int,
    number: int,
) -> dict[str, Any]:
    """The values of trial ``number``, from the values and objectives (higher is better) of those
    that are finished.

    The study lives for this one question: the answer depends on the arguments alone, so that a
    search that goes on after an interruption asks as it would have. Trials that have not finished
    are unknown to it.
    """
    optuna = check_optuna()
    optuna.logging.set_verbosity(optuna.logging.WARNING)  # it would tell of every study made
    children = np.random.SeedSequence([seed, number]).generate_state(1)
    sampler = optuna.samplers.TPESampler(seed=int(children[0]))
    study = optuna.create_study(direction="maximize", sampler=sampler)
    distributions = {path: _distribution(optuna, one) for path, one in space.items()}
    for values, objective in finished:
        params = {path: _param(one, values[path]) for path, one in space.items()}
        study.add_trial(
            optuna.trial.create_trial(params=params, distributions=distributions, value=objective)
        )
    asked = study.ask(distributions).params
    return {path: _value(one, asked[path]) for path, one in space.items()}


def _distribution(optuna: Any, dimension: Dimension) -> Any:
    known = optuna.distributions
    if isinstance(dimension, Choice):  # by number: it takes no lists
        return known.CategoricalDistribution(list(range(len(dimension.values))))
    low, high = dimension.edges
    if isinstance(dimension, IntUniform):
        return known.IntDistribution(low, high)
    return known.FloatDistribution(low, high, log=isinstance(dimension, LogUniform))


def _param(dimension: Dimension, value: Any) -> Any:
    return dimension.data.index(value) if isinstance(dimension, Choice) else value


def _value(dimension: Dimension, param: Any) -> Any:
    if isinstance(dimension, Choice):
        return dimension.data[param]
    if isinstance(dimension, IntUniform):
        return int(param)
    return rounded(param, *dimension.edges)
