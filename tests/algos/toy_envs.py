"""Small environments and the shortest way from one to an agent, a sampler and an algorithm."""

from functools import partial

import gymnasium
import numpy as np
import torch
from gymnasium import spaces

from rlpyt.agents.pg import PgAgent
from rlpyt.envs.build import EnvConfig
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.buffer import buffer_map

CPU = torch.device("cpu")
ACTIONS = {
    "discrete": spaces.Discrete(3),
    "box": spaces.Box(-1, 1, (2,), np.float32),
    "multi_discrete": spaces.MultiDiscrete([2, 3]),
    "multi_binary": spaces.MultiBinary(3),
    "dict": spaces.Dict(
        {
            "a": spaces.Box(-1, 1, (2,), np.float32),
            "b": spaces.Discrete(3),
            "c": spaces.MultiBinary(2),
        }
    ),
}
MASK_SIZES = {"discrete": 3, "multi_discrete": 5}


class Walk(gymnasium.Env):
    """Random observations and rewards; at each step the episode terminates with ``end`` chance.

    With ``masked`` the observation has an ``action_mask`` that always allows each first option.
    """

    def __init__(self, action, masked=False, end=0.1):
        self.action_space = ACTIONS[action]
        self.observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
        self.mask_size = MASK_SIZES[action] if masked else 0
        self.end = end
        if masked:
            mask = spaces.MultiBinary(self.mask_size)
            fields = {"action_mask": mask, "vector": self.observation_space}
            self.observation_space = spaces.Dict(fields)

    def observe(self):
        vector = self.np_random.standard_normal(3).astype(np.float32)
        if not self.mask_size:
            return vector
        mask = self.np_random.integers(0, 2, self.mask_size, dtype=np.int8)
        mask[[0, 2] if self.mask_size == 5 else [0]] = 1
        return {"action_mask": mask, "vector": vector}

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        return self.observe(), {}

    def step(self, action):
        reward = float(self.np_random.standard_normal())
        terminated = bool(self.np_random.random() < self.end)
        return self.observe(), reward, terminated, False, {}


def walk(action="discrete", time_limit=6, **kwargs):
    return EnvConfig(id=partial(Walk, action, **kwargs), time_limit=time_limit)


def make(
    algo,
    env,
    *,
    T,
    B,
    seed=0,
    n_itr=10,
    mid_batch_reset=True,
    double=False,
    AgentCls=PgAgent,
    **model_kwargs,
):
    """Initialised agent and sampler; ``algo`` is initialised with them."""
    sampler = SerialSampler(env=env, batch_T=T, batch_B=B, mid_batch_reset=mid_batch_reset)
    agent = AgentCls(model_kwargs=model_kwargs)
    agent.initialize(sampler.env_spaces(), seed=seed, device=CPU)
    if double:
        agent.model.double()
    algo.initialize(agent, n_itr=n_itr, batch_spec=sampler.batch_spec, seed=seed)
    sampler.initialize(agent, seed=seed, discount=algo.discount, bootstrap_value=True)
    return agent, sampler


def copied(tree):
    """A copy that the sampler's next batch does not overwrite."""
    return buffer_map(lambda leaf: leaf.clone(), tree)


def parameters(agent):
    return {name: p.detach().clone() for name, p in agent.model.named_parameters()}


def gradients(agent):
    return {name: p.grad.clone() for name, p in agent.model.named_parameters()}


def golden_numbers(agent, opt_info):
    """Sums of parameters and of their squares, and the last value of each reported number."""
    found = parameters(agent)
    assert {p.dtype for p in found.values()} == {torch.float64}
    return {
        "sums": {name: p.sum().item() for name, p in found.items()},
        "squares": {name: p.square().sum().item() for name, p in found.items()},
        "opt_info": {name: values[-1] for name, values in opt_info.items()},
    }
