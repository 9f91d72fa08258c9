"""What algorithms refuse, and that a diverged run is told as one."""

from dataclasses import fields, replace
from typing import Any, Literal, Self, get_args, get_origin

import pytest
import torch
from gymnasium import Space
from torch import Tensor, nn

from rlpyt import algos
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.dqn import DQN, IQN, QRDQN, R2D1, Agent57
from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.impala import IMPALA
from rlpyt.algos.pg.ppo import PPO
from rlpyt.algos.qpg import SAC, TD3, DrQV2
from rlpyt.data import BatchSpec
from rlpyt.distributions.factory import distribution_for
from rlpyt.models.base import Model, PgOutputs
from rlpyt.rewards import RND
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


def kinds() -> list[type[RlAlgorithm]]:
    found = [getattr(algos, name) for name in algos.__all__]
    return [
        cls
        for cls in found
        if isinstance(cls, type) and issubclass(cls, RlAlgorithm) and cls is not RlAlgorithm
    ]


def choices() -> list[tuple[type[RlAlgorithm], str, tuple[str, ...]]]:
    """Every algorithm's settings that are one of several words."""
    found = []
    for cls in kinds():
        for field in fields(cls):
            options = (field.type, *get_args(field.type))
            words = [get_args(option) for option in options if get_origin(option) is Literal]
            found += [(cls, field.name, words[0])] if words else []
    return found


@pytest.mark.parametrize(
    ("AlgoCls", "name", "known"), choices(), ids=lambda part: getattr(part, "__name__", str(part))
)
def test_a_word_that_is_no_choice_is_refused_with_those_that_are(AlgoCls, name, known):
    algo = replace(AlgoCls(), **{name: known[0] + "x"})
    with pytest.raises(RlpytError, match=rf"algo\.{name}") as caught:
        algo.initialize(None, n_itr=1, batch_spec=BatchSpec(2, 2), seed=0)
    assert caught.value.code == "config"
    assert all(word in str(caught.value) for word in known)


def test_choices_of_every_algorithm_are_looked_at():
    assert {cls for cls, _name, _known in choices()} == set(kinds())
    assert ("PEARL", "context_sampling") in {(cls.__name__, name) for cls, name, _ in choices()}


PARTS = ("augmentation", "intrinsic", "replay", "temperature")


@pytest.mark.parametrize(
    ("AlgoCls", "name"),
    [(cls, field.name) for cls in kinds() for field in fields(cls) if field.name in PARTS],
    ids=lambda part: getattr(part, "__name__", part),
)
@pytest.mark.parametrize("value", [RND, {}, 0.5], ids=str)
def test_what_is_no_component_of_its_type_is_refused_by_name(AlgoCls, name, value):
    algo = replace(AlgoCls(), **{name: value})
    with pytest.raises(RlpytError, match=rf"algo\.{name} takes .*, not ") as caught:
        algo.initialize(None, n_itr=1, batch_spec=BatchSpec(2, 2), seed=0)
    assert caught.value.code == "config"
    assert "give an object: " in caught.value.hint


@pytest.mark.parametrize(
    ("AlgoCls", "setting"),
    [
        (DQN, {"clip_grad_norm": 0.0}),
        (DQN, {"delta_clip": 0.0}),
        (IQN, {"n_fractions": 0}),
        (IQN, {"n_target_fractions": 0}),
        (QRDQN, {"kappa": -1.0}),
        (R2D1, {"value_scale_eps": -1e-3}),
        (SAC, {"clip_grad_norm": 0.0}),
        (TD3, {"target_noise_clip": -0.5}),
        (DrQV2, {"noise_clip": -0.3}),
        (Agent57, {"bandit_window": 0}),
    ],
    ids=str,
)
def test_settings_of_a_replays_learner_are_refused_by_name(AlgoCls, setting):
    name = next(iter(setting))
    with pytest.raises(RlpytError, match=rf"algo\.{name}") as caught:
        AlgoCls(**setting).initialize(None, n_itr=1, batch_spec=BatchSpec(2, 2), seed=0)
    assert caught.value.code == "config"


def test_threads_are_put_back():
    before = torch.get_num_threads()
    run = runner(A2C())
    run.torch_threads = before + 1
    run.train()
    assert torch.get_num_threads() == before
