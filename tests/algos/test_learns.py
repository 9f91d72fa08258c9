"""Every algorithm solves small environments whose best return is known."""

from functools import partial

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.ppo import PPO
from rlpyt.envs.build import EnvConfig
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler


class Identity(gymnasium.Env):
    """Name what is seen: an index for 1, or a number for minus the squared distance; ten times."""

    def __init__(self, continuous=False):
        self.continuous = continuous
        if continuous:
            self.observation_space = spaces.Box(-1, 1, (1,), np.float32)
            self.action_space = spaces.Box(-1, 1, (1,), np.float32)
        else:
            self.observation_space = self.action_space = spaces.Discrete(4)

    def observe(self):
        if self.continuous:
            self.target = self.np_random.uniform(-1, 1, 1).astype(np.float32)
        else:
            self.target = int(self.np_random.integers(4))
        return self.target

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.left = 10
        return self.observe(), {}

    def step(self, action):
        if self.continuous:
            reward = -float(np.square(action - self.target).sum())
        else:
            reward = float(action == self.target)
        self.left -= 1
        return self.observe(), reward, self.left == 0, False, {}


class Recall(gymnasium.Env):
    """A bit is shown once; after two steps of nothing it must be named for a reward of 1."""

    observation_space = spaces.Discrete(3)
    action_space = spaces.Discrete(2)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.bit, self.time = int(self.np_random.integers(2)), 0
        return self.bit, {}

    def step(self, action):
        self.time += 1
        last = self.time == 3
        return 2, float(last and action == self.bit), last, False, {}


A2C_RATES = {"learning_rate": 5e-3, "learning_rate_schedule": "linear", "discount": 0.9}
ALGOS = {
    "a2c": (A2C(entropy_loss_coeff=0.0, normalize_advantage=True, **A2C_RATES), 8),
    "ppo": (PPO(learning_rate=3e-3, learning_rate_schedule="linear", discount=0.9), 32),
}


def mean_return(algo, env, n_steps, **model_kwargs):
    """Train, then evaluate 200 greedy episodes."""
    algo, batch_T = ALGOS[algo]
    agent = PgAgent(model_kwargs=model_kwargs)
    sampler = SerialSampler(env=EnvConfig(id=env), batch_T=batch_T, batch_B=16)
    MinibatchRl(algo=algo, agent=agent, sampler=sampler, n_steps=n_steps, device="cpu").train()
    evaluator = Evaluator(episodes=200, n_envs=20)
    evaluator.initialize(agent, sampler, seed=1, discount=1.0)
    trajs = evaluator.evaluate(0)
    evaluator.shutdown()
    assert len(trajs) == 200
    return sum(traj.Return for traj in trajs) / 200


@pytest.mark.parametrize("algo", ALGOS)
def test_names_an_index(algo):
    assert mean_return(algo, Identity, 20_000) == 10.0


@pytest.mark.parametrize("algo", ALGOS)
def test_names_a_number(algo):
    env = partial(Identity, continuous=True)
    assert mean_return(algo, env, 40_000, init_log_std=-1.0) > -0.1  # at random: -6.7


@pytest.mark.parametrize(
    ("algo", "recurrent"),
    [
        ("a2c", "lstm"),
        ("ppo", "gru"),
        pytest.param("a2c", "gru", marks=pytest.mark.learning),
        pytest.param("ppo", "lstm", marks=pytest.mark.learning),
    ],
)
def test_recalls_a_bit_with_memory(algo, recurrent):
    options = {"recurrent": recurrent, "rnn_size": 16, "hidden_sizes": (16,)}
    assert mean_return(algo, Recall, 24_000, **options) == 1.0


@pytest.mark.parametrize("algo", ALGOS)
def test_recalls_nothing_without_memory(algo):
    assert 0.3 < mean_return(algo, Recall, 10_000) < 0.7
