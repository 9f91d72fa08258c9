"""What policy-gradient algorithms refuse, and that a diverged run is told as one."""

from typing import Any, Self

import pytest
import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.impala import IMPALA
from rlpyt.algos.pg.ppo import PPO
from rlpyt.distributions.factory import distribution_for
from rlpyt.models.base import Model, PgOutputs
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError


class PreviousModel(Model):
    """Feed-forward, and looks at the reward before."""

    def __init__(self, size: int, param_size: int) -> None:
        super().__init__()
        self.body = nn.Linear(size + 1, param_size + 1)

    @classmethod
    def from_spaces(cls, observation_space: Space[Any], action_space: Space[Any]) -> Self:
        return cls(observation_space.shape[0], distribution_for(action_space).param_size)

    def forward(
        self, observation: Tensor, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> tuple[PgOutputs, Any]:
        before = prev_reward.masked_fill(reset, 0.0).unsqueeze(-1)
        out = self.body(torch.cat([observation, before], dim=-1))
        return PgOutputs(out[..., :-1], out[..., -1]), state


def runner(algo: A2C | APPO | IMPALA | PPO, agent: PgAgent | None = None) -> MinibatchRl:
    sampler = SerialSampler(env="CartPole-v1", batch_T=8, batch_B=4)
    return MinibatchRl(algo=algo, agent=agent or PgAgent(), sampler=sampler, n_steps=96)


@pytest.mark.parametrize("algo", [A2C(), APPO(), IMPALA(), PPO()], ids=lambda a: type(a).__name__)
def test_a_feed_forward_model_may_read_the_previous_reward(algo):
    run = runner(algo, PgAgent(ModelCls=PreviousModel))
    run.train()
    assert run.cum_steps == 96


@pytest.mark.parametrize("AlgoCls", [A2C, APPO, IMPALA, PPO])
def test_a_diverged_run_ends_with_an_error(AlgoCls):
    algo = AlgoCls(learning_rate=1e38, clip_grad_norm=None, normalize_reward=False)
    with pytest.raises(RlpytError, match=r"gradient's norm is (nan|inf).*learning_rate") as caught:
        runner(algo).train()
    assert caught.value.code == "diverged"


@pytest.mark.parametrize(
    ("AlgoCls", "setting"),
    [
        (A2C, {"discount": 2.0}),
        (A2C, {"clip_grad_norm": 0.0}),
        (PPO, {"learning_rate": -1.0}),
        (PPO, {"gae_lambda": -0.1}),
        (PPO, {"ratio_clip": 0.0}),
        (PPO, {"epochs": 0}),
        (PPO, {"minibatches": 0}),
        (PPO, {"optim_kwargs": {"lr": 1.0}}),
        (PPO, {"OptimCls": torch.optim.Adafactor, "optim_kwargs": {}}),
        (PPO, {"optim_kwargs": {"foreach": True, "fused": True}}),
    ],
    ids=str,
)
def test_settings_out_of_range_are_refused_by_name(AlgoCls, setting):
    name = next(iter(setting))
    with pytest.raises(RlpytError, match=rf"algo\.{name}") as caught:
        runner(AlgoCls(**setting)).train()
    assert caught.value.code == "config"


def test_threads_are_put_back():
    before = torch.get_num_threads()
    run = runner(A2C())
    run.torch_threads = before + 1
    run.train()
    assert torch.get_num_threads() == before
