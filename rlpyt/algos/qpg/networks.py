"""The critics of an actor-critic, built and checked to go with its policy and its replay."""

from collections.abc import Mapping
from typing import Any

from rlpyt.agents.qpg import QpgAgent
from rlpyt.models.critic import CriticModel
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import seeded_init

__all__ = ["build_critic"]


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
    checked = checked_arguments(build, dict(kwargs), "algo.critic_kwargs", positional=2)
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
