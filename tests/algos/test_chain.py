"""V of a two-state chain with a time limit, in closed form.

Start at 0, step to 1 for nothing; each step from 1 gives 1. Either that step terminates (V(1) = 1),
or the chain stays at 1 until a time limit truncates, which is no end of the task:
V(1) = 1 / (1 - γ). In both, V(0) = γ V(1).
"""

from functools import partial

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from toy_envs import make

from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.impala import IMPALA
from rlpyt.algos.pg.ppo import PPO
from rlpyt.envs.build import EnvConfig

DISCOUNT = 0.8


class Chain(gymnasium.Env):
    observation_space = spaces.Box(0.0, 1.0, (2,), np.float32)
    action_space = spaces.Discrete(2)

    def __init__(self, ends):
        self.ends = ends

    def observe(self):
        return np.eye(2, dtype=np.float32)[self.state]

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.state = 0
        return self.observe(), {}

    def step(self, action):
        reward, terminated = float(self.state), self.ends and self.state == 1
        self.state = 1
        return self.observe(), reward, terminated, False, {}


ALGOS = {
    "a2c": (A2C(discount=DISCOUNT, learning_rate=0.05, learning_rate_schedule="linear"), 900),
    "a2c_td": (
        A2C(
            discount=DISCOUNT,
            gae_lambda=0.0,
            learning_rate=0.05,
            learning_rate_schedule="linear",
        ),
        900,
    ),
    "impala": (
        IMPALA(discount=DISCOUNT, learning_rate=0.05, OptimCls=torch.optim.Adam, optim_kwargs={}),
        900,
    ),
    "appo": (
        APPO(
            discount=DISCOUNT,
            learning_rate=0.05,
            learning_rate_schedule="linear",
            minibatches=1,
            clip_grad_norm=None,
        ),
        400,
    ),
    "ppo": (
        PPO(
            discount=DISCOUNT,
            learning_rate=0.05,
            learning_rate_schedule="linear",
            minibatches=1,
            clip_grad_norm=None,
        ),
        400,
    ),
}


ALL_WAYS = ("a2c", "ppo")  # of the others, one way of each kind; all with the marker slow
CASES = [
    pytest.param(
        algo,
        ends,
        mid_batch_reset,
        marks=pytest.mark.slow if ends == mid_batch_reset and algo not in ALL_WAYS else (),
    )
    for algo in ALGOS
    for ends in (True, False)
    for mid_batch_reset in (True, False)
]


@pytest.mark.parametrize(("algo", "ends", "mid_batch_reset"), CASES)
def test_values_reach_the_closed_form(algo, ends, mid_batch_reset):
    algo, n_itr = ALGOS[algo]
    env = EnvConfig(id=partial(Chain, ends), time_limit=4)
    agent, sampler = make(
        algo, env, T=6, B=2, n_itr=n_itr, mid_batch_reset=mid_batch_reset, hidden_sizes=()
    )
    for itr in range(n_itr):
        samples, _trajs = sampler.obtain_samples(itr)
        algo.optimize_agent(itr, samples)
    sampler.shutdown()
    assert samples.terminated.any() == ends
    assert samples.truncated.any() != ends
    with torch.no_grad():
        found = agent.model.value_head(torch.eye(2)).flatten().tolist()
    last = 1.0 if ends else 1.0 / (1.0 - DISCOUNT)
    assert found == pytest.approx([DISCOUNT * last, last], abs=1e-2)
