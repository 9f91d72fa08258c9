"""A world in which every observation is met once, a learner of it in float64, and what n-step
targets are by the log of all that happened.

Rewards and discount are short binary fractions: the replay's float32 returns are exact.
"""

from dataclasses import dataclass, field
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from torch import Tensor
from toy_envs import CPU, copied

from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.algos.dqn.base import QAlgorithm
from rlpyt.data import Samples
from rlpyt.envs.build import EnvConfig
from rlpyt.ops.categorical import categorical_support
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.buffer import buffer_map

N_ACTIONS = 3
DISCOUNT = 0.75


class Once(gymnasium.Env):
    """Random observations, no two alike; ends of both kinds by chance.

    They are dicts, for which a model casts the numbers to its own dtype.
    """

    def __init__(self, masked: bool = False) -> None:
        self.action_space = spaces.Discrete(N_ACTIONS)
        fields = {"vector": spaces.Box(-np.inf, np.inf, (3,), np.float32)}
        masks = {"action_mask": spaces.MultiBinary(N_ACTIONS)} if masked else {}
        self.masked = masked
        self.observation_space = spaces.Dict({**masks, **fields})

    def observe(self) -> Any:
        vector = self.np_random.standard_normal(3, dtype=np.float32)
        if not self.masked:
            return {"vector": vector}
        mask = self.np_random.integers(0, 2, N_ACTIONS, dtype=np.int8)
        mask[self.np_random.integers(N_ACTIONS)] = 1
        return {"action_mask": mask, "vector": vector}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def step(self, action):
        reward = float(self.np_random.integers(-8, 9)) / 4 + float(action)
        ended, cut = self.np_random.random(2) < 0.12
        return self.observe(), reward, bool(ended), bool(cut), {}


@dataclass
class Learner:
    """Agent, algorithm and sampler, initialised, the model in float64; and the log."""

    algo: QAlgorithm
    model_kwargs: dict[str, Any] = field(default_factory=dict)
    masked: bool = False
    seed: int = 0
    T: int = 10
    B: int = 4
    agent: DqnAgent = field(init=False)
    log: Samples = field(init=False)  # all samples, [time, B]

    def __post_init__(self) -> None:
        env = EnvConfig(id=partial(Once, self.masked))
        self.sampler = SerialSampler(env=env, batch_T=self.T, batch_B=self.B)
        self.agent = DqnAgent(
            model_kwargs={"hidden_sizes": (8, 8), **self.model_kwargs},
            epsilon=EpsilonGreedy(initial=0.5, final=0.5),
            value_range=(-4.0, 4.0),
        )
        self.agent.initialize(self.sampler.env_spaces(), seed=self.seed, device=CPU)
        self.agent.model.double()
        if self.agent.support is not None:
            n_atoms = len(self.agent.support)
            self.agent.support = categorical_support(-4.0, 4.0, n_atoms, dtype=torch.float64)
        self.sampler.initialize(self.agent, seed=self.seed)
        self.algo.initialize(
            self.agent, n_itr=100, batch_spec=self.sampler.batch_spec, seed=self.seed
        )

    def collect(self, n_itr: int) -> Samples:
        """So many batches as one, [time, B]; the sampler is done with."""
        batches = []
        for itr in range(n_itr):
            samples, _trajs = self.sampler.obtain_samples(itr)
            batches.append(copied(samples))
        self.sampler.shutdown()
        self.log = buffer_map(lambda *parts: torch.cat(parts), *batches)
        return self.log

    def fill(self, n_itr: int) -> None:
        """Collect, and append to the replay."""
        log = self.collect(n_itr)
        for itr in range(n_itr):
            self.algo.replay.append(log[itr * self.T : (itr + 1) * self.T])

    def perturb_target(self) -> None:
        """Let the target network be another than the online one."""
        rng = np.random.default_rng(self.seed + 1)
        for parameter in self.algo.target.parameters():
            parameter.add_(torch.tensor(rng.standard_normal(parameter.shape)), alpha=0.3)

    def parameters(self) -> dict[str, Tensor]:
        """The online network's, by name."""
        return dict(self.agent.model.named_parameters())

    def places(self, observation: Any) -> list[tuple[int, int]]:
        """When and in which environment each observation [N, ...] was made."""
        vectors = self.log.observation.vector.tolist()
        known = {tuple(v): (t, b) for t, row in enumerate(vectors) for b, v in enumerate(row)}
        return [known[tuple(v)] for v in observation.vector.tolist()]


@dataclass
class Target:
    """n steps on from (t, b), by the log."""

    return_: float
    discount: float
    next_observation: Any
    steps: int


def target_at(log: Samples, t: int, b: int, n_step: int) -> Target:
    """Step by step: rewards up to the first end; a truncation goes on from its final
    observation.
    """
    total, power = 0.0, 1.0
    for k in range(1, n_step + 1):
        total += power * float(log.reward[t, b])
        power *= DISCOUNT
        if log.terminated[t, b]:
            return Target(total, 0.0, log.observation[t, b], k)
        if log.truncated[t, b]:
            return Target(total, power, log.final_observation[t, b], k)
        t += 1
    return Target(total, power, log.observation[t, b], n_step)


def end_of(log: Samples, place: tuple[int, int]) -> str:
    """How the transition ended that was made there."""
    if log.terminated[place]:
        return "terminated"
    return "truncated" if log.truncated[place] else "goes on"


def stacked(trees: list[Any]) -> Any:
    """[N, ...] from N trees."""
    return buffer_map(lambda *parts: torch.stack(parts), *trees)
