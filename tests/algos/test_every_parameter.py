"""Over all algorithms of the package: every trainable parameter receives a gradient and moves."""

import inspect
from collections.abc import Iterator
from dataclasses import fields, is_dataclass, replace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from pixel_fakes import awaken
from toy_envs import CPU, copied

from rlpyt import algos
from rlpyt.agents import QpgAgent
from rlpyt.algos import PEARL, PPG, IntrinsicRewards, RlAlgorithm
from rlpyt.algos.dqn import FamilyAlgorithm, QAlgorithm
from rlpyt.algos.qpg import QpgAlgorithm
from rlpyt.cli.presets import ALGORITHMS, default_runner
from rlpyt.envs import EnvConfig
from rlpyt.replays import TaskReplay
from rlpyt.rewards import RE3, RND, IntrinsicReward, RewardWeight

N_ITR = 20


class Varied(gymnasium.Env):
    """Random observations and rewards; one end in ten."""

    def __init__(self, box: bool) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.action_space: spaces.Space[Any] = spaces.Discrete(3)
        if box:
            self.action_space = spaces.Box(-1.0, 1.0, (2,), np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.np_random.standard_normal(3, dtype=np.float32), {}

    def step(self, action: Any) -> Any:
        observation, reward = self.np_random.standard_normal((2, 3), dtype=np.float32)
        return observation, float(reward[0]), bool(self.np_random.random() < 0.1), False, {}


class VariedTasks(Varied):
    """With tasks that make no difference."""

    def __init__(self) -> None:
        super().__init__(box=True)

    def sample_tasks(self, n: int, rng: np.random.Generator) -> list[dict[str, Any]]:
        return [{"number": float(i)} for i in range(n)]

    def set_task(self, task: Any) -> None:
        """There is none."""

    def get_task(self) -> dict[str, Any]:
        return {"number": 0.0}


def with_tasks() -> gymnasium.Env:
    return gymnasium.wrappers.TimeLimit(VariedTasks(), 10)


class Noise(Varied):
    """Images of nothing."""

    def __init__(self, box: bool) -> None:
        super().__init__(box)
        self.observation_space = spaces.Box(0, 255, (3, 20, 20), np.uint8)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self.np_random.integers(0, 256, (3, 20, 20), np.uint8), {}

    def step(self, action: Any) -> Any:
        _observation, *rest = super().step(action)
        return self.np_random.integers(0, 256, (3, 20, 20), np.uint8), *rest


def noisy_pixels() -> gymnasium.Env:
    return Noise(box=True)


def noisy_game() -> gymnasium.Env:
    return Noise(box=False)


def box() -> gymnasium.Env:
    return Varied(box=True)


def discrete() -> gymnasium.Env:
    return Varied(box=False)


PIXELS = ("drqv2", "rad_sac")
CONTINUOUS_ONLY = ("crossq", "ddpg", "redq", "td3", "tqc")
CASES = [
    *[
        (name, discrete, "none")
        for name in ALGORITHMS
        if name not in (*CONTINUOUS_ONLY, *PIXELS, "pearl")
    ],
    *[(name, noisy_pixels, "none") for name in PIXELS],
    ("pearl", with_tasks, "none"),
    *[(name, box, "none") for name in ("a2c", "appo", "impala", "ppo", "sac", *CONTINUOUS_ONLY)],
    *[(name, box, "none") for name in ("daac", "drac", "drdaac", "ppg")],
    *[(name, discrete, "lstm") for name in ("a2c", "appo", "drac", "impala", "ppo", "pqn")],
    *[(name, box, "gru") for name in ("ddpg", "td3", "sac")],
]


def small(name: str, env: Any, recurrent: Any) -> tuple[Any, Any, Any]:
    """The preset with layers of a few units, and a replay that is learned from at once."""
    runner = default_runner(name, EnvConfig(id=env), recurrent)
    algo: Any = runner.algo
    agent = runner.agent
    if isinstance(algo, PEARL):
        return small_pearl(algo, runner)
    sizes: dict[str, Any] = {"hidden_sizes": (16, 16), "nonlinearity": "tanh"}
    if agent.model_kwargs.get("recurrent", "none") != "none":
        sizes["rnn_size"] = 8
    agent = replace(agent, model_kwargs={**agent.model_kwargs, **sizes})
    if isinstance(algo, FamilyAlgorithm):
        agent = replace(agent, n_arms=2)  # all are tried
    if isinstance(algo, QAlgorithm | QpgAlgorithm | FamilyAlgorithm):
        replay = replace(algo.replay, size=2_000)
        if replay.sequence_length:
            replay = replace(replay, sequence_length=6, burn_in=2, rnn_state_interval=2)
        learned = replay.sequence_length or 1
        algo = replace(
            algo,
            replay=replay,
            batch_size=8,
            min_steps_learn=200,
            replay_ratio=2.0 * learned,
            clip_grad_norm=None,
            learning_rate=1e-4 if name in PIXELS else 1e-2,  # larger steps rectify all to zero
        )
    if isinstance(algo, QpgAlgorithm):
        algo = replace(algo, critic_kwargs={**algo.critic_kwargs, **sizes})
    if hasattr(algo, "minibatches"):
        algo = replace(algo, minibatches=1, epochs=2)
    if isinstance(algo, PPG):
        algo = replace(algo, policy_iterations=3, auxiliary_epochs=1)
    return algo, agent, replace(runner.sampler, batch_T=10, batch_B=4)


def small_pearl(algo: PEARL, runner: Any) -> tuple[Any, Any, Any]:
    algo = replace(
        algo,
        replay=TaskReplay(size=2_000),
        batch_size=8,
        train_steps=2,
        nonlinearity="tanh",
        min_steps_learn=0,
        hidden_sizes=(16, 16),
        learning_rate=1e-2,
    )
    agent = replace(
        runner.agent,
        policy=QpgAgent(model_kwargs={"hidden_sizes": (16, 16), "nonlinearity": "tanh"}),
        encoder_kwargs={"hidden_sizes": (16,), "nonlinearity": "tanh"},
    )
    return algo, agent, replace(runner.sampler, batch_T=20, batch_B=2)


def start(algo: Any, agent: Any, sampler: Any) -> None:
    """Initialise all three."""
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    sampler.initialize(agent, seed=0, discount=algo.discount, bootstrap_value=algo.bootstrap_value)
    algo.initialize(agent, n_itr=N_ITR, batch_spec=sampler.batch_spec, seed=0)


def modules(value: Any, depth: int = 0) -> Iterator[torch.nn.Module]:
    """What an algorithm or agent learns with, wherever it keeps it."""
    if isinstance(value, torch.nn.Module):
        yield value
    elif depth < 3 and hasattr(value, "__dict__") and type(value).__module__.startswith("rlpyt"):
        for inner in vars(value).values():
            yield from modules(inner, depth + 1)


def trainable(*owners: Any) -> dict[str, torch.nn.Parameter]:
    found: dict[int, tuple[str, torch.nn.Parameter]] = {}
    for owner in owners:
        for module in modules(owner):
            for name, parameter in module.named_parameters():
                if parameter.requires_grad:
                    found[id(parameter)] = (f"{type(module).__name__}.{name}", parameter)
    return {f"{name} #{n}": parameter for n, (name, parameter) in enumerate(found.values())}


def cls_of(name: str, env: Any) -> type[RlAlgorithm]:
    return type(default_runner(name, EnvConfig(id=env)).algo)


def test_all_algorithms_are_here() -> None:
    exported = {getattr(algos, name) for name in algos.__all__}
    final = {
        cls
        for cls in exported
        if inspect.isclass(cls) and issubclass(cls, RlAlgorithm) and not inspect.isabstract(cls)
    }
    assert final == {cls_of(name, env) for name, env, _recurrent in CASES}
    assert len(final) >= 18


@pytest.mark.parametrize(
    ("name", "env", "recurrent"),
    CASES,
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_trainable_parameter_gets_a_gradient_and_moves(
    name: str, env: Any, recurrent: Any
) -> None:
    algo, agent, sampler = small(name, env, recurrent)
    assert is_dataclass(algo)
    assert fields(algo)
    start(algo, agent, sampler)
    if name in PIXELS:
        awaken(agent.model.trunk.encoder)
    for module in modules(algo):
        if isinstance(module, IntrinsicReward):
            awaken(module)
    parameters = trainable(agent, algo)
    assert len(parameters) >= 4
    before = {key: parameter.detach().clone() for key, parameter in parameters.items()}
    reached: set[str] = set()
    for itr in range(N_ITR):
        algo.optimize_agent(itr, copied(sampler.obtain_samples(itr)[0]))
        reached |= {
            key
            for key, parameter in parameters.items()
            if parameter.grad is not None and parameter.grad.any()
        }
    sampler.shutdown()
    assert reached == set(parameters)
    for key, parameter in parameters.items():
        share = (parameter.detach() != before[key]).double().mean().item()
        assert share > 0.99, f"{key}: {share:.1%} of its numbers moved"


@pytest.mark.parametrize("name", ["drac", "ppg"])
def test_networks_of_images_move_too(name: str) -> None:
    """Deep ones, of which not every unit wakes in a few steps."""
    algo, agent, sampler = small(name, noisy_game, "none")
    start(algo, agent, sampler)
    parameters = trainable(agent, algo)
    before = {key: parameter.detach().clone() for key, parameter in parameters.items()}
    for itr in range(3):
        algo.optimize_agent(itr, copied(sampler.obtain_samples(itr)[0]))
    sampler.shutdown()
    for key, parameter in parameters.items():
        assert not torch.equal(parameter, before[key]), key
        assert parameter.isfinite().all(), key


def learned_with(name: str, env: Any, recurrent: Any, intrinsic: IntrinsicRewards | None) -> Any:
    """The agent's parameters after a few iterations, and what was reported."""
    algo, agent, sampler = small(name, env, recurrent)
    algo = replace(algo, intrinsic=intrinsic)
    start(algo, agent, sampler)
    reports: dict[str, list[float]] = {}
    for itr in range(8):
        for key, values in algo.optimize_agent(itr, sampler.obtain_samples(itr)[0]).items():
            reports.setdefault(key, []).extend(values)
    sampler.shutdown()
    return dict(agent.model.named_parameters()), reports


OWN_REWARDS = ("pearl", "ngu", "agent57")


@pytest.mark.parametrize(
    ("name", "env", "recurrent"),
    [case for case in CASES if case[0] not in OWN_REWARDS],
    ids=lambda value: getattr(value, "__name__", value),
)
def test_every_algorithm_learns_from_an_intrinsic_reward_alone(
    name: str, env: Any, recurrent: Any
) -> None:
    """And from one without weight as if there were none, to the last bit."""
    plain, _report = learned_with(name, env, recurrent, None)
    nothing = IntrinsicRewards(RewardCls=RE3, weight=RewardWeight(beta=0.0))
    without_weight, _report = learned_with(name, env, recurrent, nothing)
    assert all(torch.equal(without_weight[key], plain[key]) for key in plain)
    alone = IntrinsicRewards(RewardCls=RND, weight=RewardWeight(beta=1.0), extrinsic_weight=0.0)
    found, report = learned_with(name, env, recurrent, alone)
    assert any(not torch.equal(found[key], plain[key]) for key in plain)
    assert all(parameter.isfinite().all() for parameter in found.values())
    assert max(report["intrinsicReward"]) > 0.0
    assert max(report["intrinsicLoss"]) > 0.0
