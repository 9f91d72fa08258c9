"""Parameters put into our models, each checked against the shape that it has there."""

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from gymnasium import spaces
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.convert.source import Parameter, Plan, convert_error
from rlpyt.data import EnvSpaces
from rlpyt.models.critic import CriticModel

__all__ = ["critic_of", "fill", "n_critics", "refuse_other_bounds"]


def fill(agent: Agent, plan: Plan, where: Path) -> None:
    """Give the parameters to ``agent``, which is initialised.

    Raises:
        RlpytError: ``convert``, with the first parameter that does not fit, and both shapes.
    """
    own = agent.state_dict()["model"]
    agent.load_state_dict({"model": _fitted(own, plan.parameters, where)})


def critic_of(plan: Plan, env_spaces: EnvSpaces, where: Path) -> CriticModel | None:
    """The critics with their parameters; None where the plan has none.

    Raises:
        RlpytError: as :func:`fill` does.
    """
    if not plan.critic:
        return None
    critic = CriticModel.from_spaces(
        env_spaces.observation, env_spaces.action, n_critics=n_critics(plan), **plan.critic_kwargs
    )
    critic.load_state_dict(_fitted(critic.state_dict(), plan.critic, where))
    return critic


def n_critics(plan: Plan) -> int:
    """How many critics there are."""
    return len(next(iter(plan.critic.values())).tensor)


def refuse_other_bounds(plan: Plan, env_spaces: EnvSpaces, where: Path) -> None:
    """Raise where the policy's actions are within ±1 and the environment's are not.

    Raises:
        RlpytError: ``convert``, with the bounds.
    """
    action = env_spaces.action
    if not plan.unit_actions or not isinstance(action, spaces.Box):
        return
    if not (np.all(action.low == -1) and np.all(action.high == 1)):
        what = f"its actions are within ±1, the environment's within {action}"
        hint = "give an environment with those bounds (gymnasium.wrappers.RescaleAction)"
        raise convert_error(what, where, hint)


def _fitted(
    own: Mapping[str, Any], parameters: Mapping[str, Parameter], where: Path
) -> dict[str, Tensor]:
    """``parameters`` in the dtypes of ``own``, which has the same names and shapes."""
    for name, (origin, tensor) in parameters.items():
        there = f"parameter {origin} {tuple(tensor.shape)}"
        if name not in own:
            raise convert_error(f"{there} has no counterpart ({name}) for this environment", where)
        if own[name].shape != tensor.shape:
            what = f"{there} does not fit {name} {tuple(own[name].shape)}"
            raise convert_error(f"{what} for this environment", where)
    for name, tensor in own.items():
        if name not in parameters:
            raise convert_error(f"nothing in the file is {name} {tuple(tensor.shape)}", where)
    return {name: tensor.to(own[name].dtype) for name, (_origin, tensor) in parameters.items()}
