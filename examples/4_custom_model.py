"""A network of your own: one trunk with layer normalisation for both the policy and the value.

A model is an ``nn.Module`` with two methods. ``from_spaces`` builds it for an environment, from the
keyword arguments that the agent holds in ``model_kwargs``. ``forward`` takes one step ``[B, ...]``
or a batch ``[T, B, ...]`` and returns the policy's parameters and the value.

An argument sets the number of environment steps.
"""

import sys
from typing import Any, Self

from gymnasium import Space, spaces
from torch import Tensor, nn

from rlpyt.agents import PgAgent
from rlpyt.algos import PPO
from rlpyt.distributions import distribution_for
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.models import Model, PgOutputs
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler


class NormedTrunk(Model):
    """Linear, layer norm, SiLU, ``depth`` times; then a linear layer each for policy and value."""

    def __init__(self, input_size: int, param_size: int, width: int, depth: int) -> None:
        super().__init__()
        layers: list[nn.Module] = []
        for n_in in [input_size, *[width] * (depth - 1)]:
            layers += [nn.Linear(n_in, width), nn.LayerNorm(width), nn.SiLU()]
        self.trunk = nn.Sequential(*layers)
        self.policy_head = nn.Linear(width, param_size)
        self.value_head = nn.Linear(width, 1)
        nn.init.orthogonal_(self.policy_head.weight, gain=0.01)  # a first policy close to uniform

    @classmethod
    def from_spaces(
        cls,
        observation_space: Space[Any],
        action_space: Space[Any],
        *,
        width: int = 64,
        depth: int = 2,
    ) -> Self:
        """Build for a vector observation and any action space."""
        if not isinstance(observation_space, spaces.Box) or len(observation_space.shape) != 1:
            raise TypeError(f"NormedTrunk takes a vector observation, found {observation_space}")
        param_size = distribution_for(action_space).param_size
        return cls(observation_space.shape[0], param_size, width, depth)

    def forward(
        self, observation: Tensor, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> tuple[PgOutputs, Any]:
        """Policy parameters [..., param_size] and value [...]; the state returns as it came."""
        features = self.trunk(observation)
        value = self.value_head(features).squeeze(-1)
        return PgOutputs(self.policy_head(features), value), state


def build(n_steps: int) -> MinibatchRl:
    """The runner, not yet started."""
    return MinibatchRl(
        algo=PPO(
            discount=0.98,
            gae_lambda=0.8,
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            epochs=10,
            minibatches=2,
        ),
        agent=PgAgent(ModelCls=NormedTrunk, model_kwargs={"width": 64, "depth": 2}),
        sampler=SerialSampler(env="CartPole-v1", batch_T=32, batch_B=8),
        n_steps=n_steps,
        seed=0,
    )


if __name__ == "__main__":
    runner = build(int(sys.argv[1]) if sys.argv[1:] else 100_000)
    with logger_context(default_log_dir("custom_model"), 0, "custom_model") as logger:
        runner.train(logger)
