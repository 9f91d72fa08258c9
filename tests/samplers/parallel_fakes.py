"""What workers are given in tests: environments, a small image model, and runs to compare.

Workers import this module by name.
"""

import hashlib
from dataclasses import dataclass, field, replace
from typing import Any, Self

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from sampler_fakes import CPU, CountTrajInfo, WalkEnv, as_lists, copy_samples
from torch import Tensor, nn

from rlpyt.agents.pearl import PearlAgent
from rlpyt.agents.pg import PgAgent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.impala import IMPALA
from rlpyt.algos.pg.ppo import PPO
from rlpyt.checkpoint.tree import flatten
from rlpyt.data import NoState, TrajInfo
from rlpyt.distributions.factory import distribution_for
from rlpyt.envs.build import EnvConfig
from rlpyt.models.base import Model, PgOutputs
from rlpyt.models.conv2d import Conv2d
from rlpyt.models.rnn import Recurrent
from rlpyt.runners.evaluator import Evaluator
from rlpyt.samplers import (
    AlternatingSampler,
    BaseSampler,
    CpuSampler,
    GpuSampler,
    SerialSampler,
)
from rlpyt.utils.buffer import leaves

FEW_CPUS = "ignore:.*share .* usable CPU:RuntimeWarning"
"""A test runs more workers than the machine may have CPUs."""

LAYOUTS: dict[str, tuple[type[BaseSampler], dict[str, Any]]] = {
    "serial": (SerialSampler, {}),
    "cpu1": (CpuSampler, {"n_workers": 1}),
    "cpu2": (CpuSampler, {"n_workers": 2}),
    "cpu4": (CpuSampler, {"n_workers": 4}),
    "gpu1": (GpuSampler, {"n_workers": 1}),
    "gpu2": (GpuSampler, {"n_workers": 2}),
    "alternating2": (AlternatingSampler, {"n_workers": 2}),
    "alternating4": (AlternatingSampler, {"n_workers": 4}),
}
PARALLEL = [name for name in LAYOUTS if name != "serial"]


class DotEnv(gymnasium.Env):
    """A dot on a uint8 image that the actions move; reaching the border ends the episode."""

    action_space = spaces.Discrete(4)

    def __init__(self, size: int = 12) -> None:
        self.size = size
        self.observation_space = spaces.Box(0, 255, (size, size, 1), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.at = self.np_random.integers(3, self.size - 3, 2)
        self.t = 0
        return self._image(), {}

    def step(self, action):
        self.t += 1
        self.at += [(0, 1), (1, 0), (0, -1), (-1, 0)][action]
        self.at += self.np_random.integers(-1, 2, 2)
        over = self.at.min() <= 0 or self.at.max() >= self.size - 1
        self.at = self.at.clip(0, self.size - 1)
        reward = float(self.at[0] - self.size / 2) / self.size
        return self._image(), reward, bool(over), self.t >= 15, {"t": float(self.t)}

    def _image(self) -> Any:
        image = self.np_random.integers(0, 30, self.observation_space.shape, np.uint8)
        image[tuple(self.at)] = 255
        return image


class DotModel(Model):
    """A small convolution, with or without memory."""

    def __init__(self, shape: Any, param_size: int, recurrent: str) -> None:
        super().__init__()
        self.conv = Conv2d(
            shape, channels=[3], kernel_sizes=[4], strides=[3], paddings=[0], feature_size=12
        )
        self.rnn = None if recurrent == "none" else Recurrent(recurrent, 12, 6)
        size = 12 if self.rnn is None else 6
        self.policy, self.value_head = nn.Linear(size, param_size), nn.Linear(size, 1)

    @classmethod
    def from_spaces(
        cls, observation_space: Any, action_space: Any, *, recurrent: str = "none"
    ) -> Self:
        size = distribution_for(action_space).param_size
        return cls(observation_space.shape, size, recurrent)

    def forward(
        self, observation: Any, prev_action: Any, prev_reward: Tensor, reset: Tensor, state: Any
    ) -> tuple[PgOutputs, Any]:
        features = self.conv(observation / 255)
        if self.rnn is not None:
            features, state = self.rnn(features, reset, state)
        return PgOutputs(self.policy(features), self.value_head(features).squeeze(-1)), state

    def initial_state(self, B: int) -> Any:
        return NoState() if self.rnn is None else self.rnn.initial_state(B)


class NestedEnv(WalkEnv):
    """Observes a dict of a tuple, bytes and numbers that count from 2."""

    def __init__(self, action_space: Any = None) -> None:
        super().__init__(action_space=action_space)
        self.observation_space = spaces.Dict(
            pair=spaces.Tuple([WalkEnv.observation_space, spaces.Discrete(5, start=2)]),
            bits=spaces.MultiBinary(3),
        )

    def reset(self, *, seed=None, options=None):
        x, info = super().reset(seed=seed)
        return self._nested(x), info

    def step(self, action):
        x, *rest = super().step(action)
        return self._nested(x), *rest

    def _nested(self, x):
        bits = self.np_random.integers(0, 2, 3, np.int8)
        return {"pair": (x, np.int64(2 + self.np_random.integers(5))), "bits": bits}


@dataclass(kw_only=True)
class PeakTrajInfo(TrajInfo):
    """Looks at fields of the samples that others do not."""

    Peak: float = -1e9
    LastT: float = 0.0
    Ended: int = 0
    _values: list[float] = field(default_factory=list)  # not logged

    def extend(self, fragment: Any) -> None:
        super().extend(fragment)
        assert isinstance(fragment.agent_info.value, np.ndarray)
        self.Peak = max(self.Peak, float(fragment.observation.max()))
        self.LastT = float(fragment.env_info.t[-1])
        self.Ended += int(fragment.terminated.sum())
        self._values.append(float(fragment.agent_info.value.sum()))


def walk(action_space: Any = None) -> gymnasium.Env:
    """A factory for "parallel_fakes:walk"."""
    return WalkEnv(action_space=action_space)


ENVS = {
    "cartpole": EnvConfig(id="CartPole-v1", time_limit=23),
    "image": EnvConfig(id="parallel_fakes:DotEnv", info_keys=("t",)),
    "box": EnvConfig(
        id="parallel_fakes:walk", kwargs={"action_space": spaces.Box(-1, 1, (2,), np.float32)}
    ),
}


@dataclass(frozen=True, kw_only=True)
class Case:
    """One run of sampling and learning, whatever the sampler."""

    env: str = "cartpole"
    algo: str = "ppo"
    recurrent: str = "none"
    wait: bool = False  # mid_batch_reset=False
    extras: bool = False  # decorrelation; observations and rewards normalised
    image: str = "dot"  # model of images
    shared: bool | None = None  # trunk
    seed: int = 0
    n_itr: int = 20

    @property
    def name(self) -> str:
        """For pytest."""
        words = [self.env, self.algo, self.recurrent]
        words += [word for word in ("wait", "extras") if getattr(self, word)]
        words += [self.image] if self.image != "dot" else []
        words += ["shared"] if self.shared else []
        return "-".join([*words, *([f"seed{self.seed}"] if self.seed else [])])

    def agent(self) -> PgAgent:
        """Not yet initialised."""
        if self.env == "image" and self.image == "dot":
            return PgAgent(ModelCls=DotModel, model_kwargs={"recurrent": self.recurrent})
        kwargs: dict[str, Any] = {"recurrent": self.recurrent, "rnn_size": 6}
        kwargs |= {"hidden_sizes": [16]} if self.env != "image" else {"image": self.image}
        kwargs |= {"normalize_observation": True} if self.extras and self.env != "image" else {}
        kwargs |= {} if self.shared is None else {"shared_trunk": self.shared}
        return PgAgent(model_kwargs=kwargs)

    def algorithm(self) -> PPO | A2C | APPO | IMPALA:
        """With a learning rate that moves the parameters."""
        common = {"learning_rate": 1e-2, "normalize_reward": self.extras}
        if self.algo in ("ppo", "appo"):
            cls = PPO if self.algo == "ppo" else APPO
            return cls(epochs=2, minibatches=2, **common)
        return A2C(**common) if self.algo == "a2c" else IMPALA(**common)

    def sampler(self, layout: str, **settings: Any) -> BaseSampler:
        """Eight environments in groups of two."""
        cls, own = LAYOUTS[layout]
        config = ENVS[self.env]
        if self.image != "dot":
            config = replace(config, kwargs={"size": 36})
        common: dict[str, Any] = {
            "env": config,
            "batch_T": 10,
            "batch_B": 8,
            "group_size": 2,
            "mid_batch_reset": not self.wait,
            "max_decorrelation_steps": 15 if self.extras else 0,
            "TrajInfoCls": CountTrajInfo,
            "poison": True,
        }
        return cls(**{**common, **own, **settings})


@dataclass
class Result:
    """What a run gave: everything that any other must give too."""

    samples: list[Any] = field(default_factory=list)  # after each iteration
    trajs: list[Any] = field(default_factory=list)
    evaluations: list[Any] = field(default_factory=list)
    parameters: dict[str, Any] = field(default_factory=dict)
    optimizer: Any = None
    state: Any = None  # the sampler's


def known(samples: Any) -> Any:
    """A copy, without what is not meaningful: final observations where no episode ended."""
    copy = copy_samples(samples)
    done = copy.done
    for leaf in leaves(copy.final_observation):
        leaf[~done] = 0
    return copy


def run_case(
    case: Case, layout: str, *, evaluator: Evaluator | None = None, **settings: Any
) -> Result:
    """Sample and learn as a runner does, keeping all of it."""
    sampler, agent, algo = case.sampler(layout, **settings), case.agent(), case.algorithm()
    agent.initialize(sampler.env_spaces(), seed=case.seed, device=CPU)
    found = Result()
    try:
        has_value = not isinstance(agent, QpgAgent | PearlAgent)
        sampler.initialize(agent, seed=case.seed, discount=0.9, bootstrap_value=has_value)
        algo.initialize(agent, n_itr=case.n_itr, batch_spec=sampler.batch_spec, seed=case.seed)
        if evaluator is not None:
            evaluator.initialize(agent, sampler, seed=case.seed, discount=0.9)
        for itr in range(case.n_itr):
            if evaluator is not None and itr % 5 == 0:
                found.evaluations.append(evaluator.evaluate(itr))
            samples, trajs = sampler.obtain_samples(itr)
            found.samples.append(known(samples))
            found.trajs.append(trajs)
            algo.optimize_agent(itr, samples)
        found.state = as_lists(sampler.state_dict())
        flat, _skeleton = flatten(agent.state_dict())
        found.parameters = {k.removeprefix("model/"): v.clone() for k, v in flat.items()}
        found.optimizer = as_lists(algo.state_dict())
    finally:
        if evaluator is not None:
            evaluator.shutdown()
        sampler.shutdown()
    return found


def sampled(
    sampler: BaseSampler,
    *,
    agent: PgAgent | None = None,
    seed: int = 3,
    rank: int = 0,
    n_batches: int = 4,
    state: Any = None,
) -> list[Any]:
    """Batches without learning, each with its episodes, and the sampler's state at the end."""
    agent = PgAgent() if agent is None else agent
    agent.initialize(sampler.env_spaces(), seed=seed, device=CPU)
    try:
        sampler.initialize(agent, seed=seed, bootstrap_value=True, rank=rank, discount=0.9)
        if state is not None:
            sampler.load_state_dict(state)
        found = []
        for itr in range(n_batches):
            samples, trajs = sampler.obtain_samples(itr)
            found.append((known(samples), trajs))
        return [*found, sampler.state_dict()]
    finally:
        sampler.shutdown()


def assert_same_batches(expected: list[Any], found: list[Any]) -> None:
    """What :func:`sampled` gave, twice."""
    *batches, state = expected
    for itr, ((x, trajs), (y, others)) in enumerate(zip(batches, found[:-1], strict=True)):
        assert_bitwise(x, y, f"batch {itr}: samples")
        assert trajs == others, f"batch {itr}: episodes"
    assert as_lists(state) == as_lists(found[-1])


def tensors(tree: Any, name: str = "") -> dict[str, Tensor]:
    """Every leaf of a tree, by its path."""
    if tree is None:
        return {}
    if isinstance(tree, tuple):
        fields = zip(tree._fields, tree, strict=True)
        return {k: v for n, part in fields for k, v in tensors(part, f"{name}.{n}").items()}
    return {name: tree}


def assert_bitwise(one: Any, other: Any, where: str = "") -> None:
    """Equal trees: types, shapes, every bit."""
    a, b = tensors(one), tensors(other)
    assert a.keys() == b.keys(), where
    for name, leaf in a.items():
        assert leaf.dtype == b[name].dtype, (where, name)
        same = torch.equal(leaf, b[name]) or digest(leaf) == digest(b[name])  # NaN equals NaN
        assert same, f"{where}{name}: first at {first_difference(leaf, b[name])}"


def digest(tensor: Tensor) -> str:
    return hashlib.sha256(tensor.contiguous().numpy().tobytes()).hexdigest()


def first_difference(one: Tensor, other: Tensor) -> list[int]:
    return (one != other).nonzero()[0].tolist()


def assert_same_result(one: Result, other: Result) -> None:
    """One result: samples, episodes in order, evaluations, parameters, optimizer, state."""
    for itr, (x, y) in enumerate(zip(one.samples, other.samples, strict=True)):
        assert_bitwise(x, y, f"iteration {itr}: samples")
        assert one.trajs[itr] == other.trajs[itr], f"iteration {itr}: episodes"
    assert one.evaluations == other.evaluations
    assert one.parameters.keys() == other.parameters.keys()
    for name, parameter in one.parameters.items():
        assert torch.equal(parameter, other.parameters[name]), name
    assert one.optimizer == other.optimizer
    assert one.state == other.state
