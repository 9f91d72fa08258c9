"""The networks of an actor-critic: the policy checked, the critics built to go with it and with the
replay.
"""

from collections.abc import Iterable, Mapping
from typing import Any

import torch
from torch import nn

from rlpyt.agents.base import Agent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.models.critic import CriticModel
from rlpyt.models.policy import PolicyKind
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import seeded_init
from rlpyt.utils.world import World

__all__ = ["build_critic", "checked_agent", "share_statistics"]


def checked_agent(name: str, agent: Agent, policy: PolicyKind) -> QpgAgent:
    """``agent``, which the algorithm ``name`` can learn.

    Raises:
        RlpytError: ``config``, where it is another one than ``QpgAgent(policy=policy)``.
    """
    if not isinstance(agent, QpgAgent) or agent.policy != policy:
        kind = agent.policy if isinstance(agent, QpgAgent) else type(agent).__name__
        hint = f"use QpgAgent(policy={policy!r})"
        raise RlpytError("config", f"{name} does not learn agent {kind!r}", hint=hint)
    return agent


def share_statistics(networks: Iterable[nn.Module], world: World) -> None:
    """Running averages of batches become all processes' mean; other statistics are exact."""
    for network in networks:
        for buffer in network.buffers():
            if buffer.dtype == torch.float32:
                world.mean_(buffer)


def build_critic(
    name: str,
    agent: QpgAgent,
    kwargs: Mapping[str, Any],
    *,
    n_critics: int,
    sequences: bool,
    batch_renorm: bool,
    seed: int,
) -> CriticModel:
    """``n_critics`` critics for what ``agent`` sees and does, on its device.

    Args:
        name: of the algorithm, for errors.
        agent: whose policy climbs them.
        kwargs: of :meth:`CriticModel.from_spaces`.
        n_critics: how many.
        sequences: whether the replay hands out sequences.
        batch_renorm: whether the algorithm learns by statistics of batches.
        seed: of their parameters.

    Raises:
        RlpytError: ``config``, where critics, policy, replay and algorithm do not go together.
    """
    build, spaces = CriticModel.from_spaces, agent.env_spaces
    checked = checked_arguments(
        build,
        dict(kwargs),
        "algo.critic_kwargs",
        positional=2,
        given={"n_critics": "algo.n_critics"},
    )
    with seeded_init(seed):
        critic = build(spaces.observation, spaces.action, n_critics=n_critics, **checked)
    memory = {
        "agent.model_kwargs.recurrent": agent.recurrent,
        "algo.critic_kwargs.recurrent": critic.recurrent,
        "algo.replay.sequence_length": sequences,
    }
    if len(set(memory.values())) != 1:
        given = [name for name, there in memory.items() if there]
        missing = [name for name, there in memory.items() if not there]
        what = f"{' and '.join(given)} without {' and '.join(missing)}"
        raise RlpytError("config", what, hint="set all three, or none")
    if critic.batch_renorm != batch_renorm:
        what = f"{name} with algo.critic_kwargs.batch_renorm={critic.batch_renorm}"
        raise RlpytError("config", what, hint="only CrossQ has it, and must")
    if agent.model.batch_renorm and not batch_renorm:
        what = f"{name} with agent.model_kwargs.batch_renorm=True"
        raise RlpytError("config", what, hint="only CrossQ can learn it")
    return critic.to(agent.device)
