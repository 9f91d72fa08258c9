"""DDPG, TD3 and SAC: what a step touches, how they go on from their state, and that they learn."""

from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from toy_envs import CPU, copied

from rlpyt.agents.qpg import QpgAgent, QpgExploration
from rlpyt.algos.qpg import DDPG, SAC, TD3, QpgAlgorithm
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError

ALGOS: dict[str, type[QpgAlgorithm]] = {"ddpg": DDPG, "td3": TD3, "sac": SAC}


class Meet(gymnasium.Env):
    """Be where the observation says: the reward is minus the squared distance, four times."""

    observation_space = spaces.Box(-1.0, 1.0, (1,), np.float32)
    action_space = spaces.Box(-1.0, 3.0, (1,), np.float32)  # its centre is not 0

    def _observe(self) -> Any:
        self.x = self.np_random.uniform(-1.0, 1.0, 1).astype(np.float32)
        return self.x

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        self.t = 0
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        reward = -float((action - 1.0 - self.x).item() ** 2)
        self.t += 1
        return self._observe(), reward, self.t == 4, False, {}


def runner(name: str, n_steps: int = 3_000, **settings: Any) -> MinibatchRl:
    cls = ALGOS[name]
    algo = cls(
        discount=0.9,
        replay=ReplayBuffer(size=5_000, **settings),
        batch_size=32,
        min_steps_learn=200,
        replay_ratio=16.0,
        learning_rate=3e-3,
        critic_kwargs={"hidden_sizes": (32, 32)},
        target_update_tau=0.05,
    )
    agent = QpgAgent(
        policy=cls.policy,
        model_kwargs={"hidden_sizes": (32,)},
        exploration=QpgExploration(random_steps=200),
    )
    sampler = SerialSampler(env=Meet, batch_T=4, batch_B=4)
    return MinibatchRl(algo=algo, agent=agent, sampler=sampler, n_steps=n_steps, device="cpu")


@pytest.mark.parametrize("name", ALGOS)
def test_learns_where_to_go(name: str) -> None:
    """At the centre of the bounds, or at random, the mean return is -1.3 or less."""
    made = runner(name)
    made.train()
    evaluator = Evaluator(episodes=50, n_envs=10)
    evaluator.initialize(made.agent, made.sampler, seed=9, discount=1.0)
    trajs = evaluator.evaluate(0)
    evaluator.shutdown()
    assert sum(traj.Return for traj in trajs) / len(trajs) > -0.1


def started(name: str, **settings: Any) -> tuple[QpgAlgorithm, list[Any]]:
    """Initialised, and 20 batches of samples."""
    made = runner(name, **settings)
    algo, agent, sampler = made.algo, made.agent, made.sampler
    assert isinstance(algo, QpgAlgorithm)
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    sampler.initialize(agent, seed=0, discount=algo.discount)
    algo.initialize(agent, n_itr=20, batch_spec=sampler.batch_spec, seed=0)
    batches = [copied(sampler.obtain_samples(itr)[0]) for itr in range(20)]
    sampler.shutdown()
    return algo, batches


def parameters(algo: QpgAlgorithm) -> dict[str, torch.Tensor]:
    models = {"policy": algo.agent.model, "critic": algo.critic, "target": algo.target_critic}
    found = {
        f"{kind}.{name}": p.detach().clone()
        for kind, model in models.items()
        for name, p in model.named_parameters()
    }
    if isinstance(algo, SAC):
        found["log_alpha"] = algo.state_dict()["temperature"]["log_alpha"].clone()
    return found


@pytest.mark.parametrize("prioritized", [False, True])
@pytest.mark.parametrize("name", ALGOS)
def test_every_parameter_moves_and_targets_start_as_the_online_networks(
    name: str, prioritized: bool
) -> None:
    algo, batches = started(name, prioritized=Prioritized() if prioritized else None)
    before = parameters(algo)
    for key, value in before.items():
        if key.startswith("target."):
            assert torch.equal(value, before[key.replace("target.", "critic.")])
    counts = [len(algo.optimize_agent(itr, b).get("qLoss", [])) for itr, b in enumerate(batches)]
    assert counts == [0] * 12 + [8] * 8  # 16 of 32 for each of 16 steps, from 200 steps on
    for key, value in parameters(algo).items():
        share = (value != before[key]).double().mean().item()
        assert share > 0.5, f"{key}: {share:.0%} of its numbers moved"


@pytest.mark.parametrize("name", ALGOS)
def test_it_goes_on_from_its_state(name: str) -> None:
    algo, batches = started(name)
    other, _same = started(name)
    for itr, batch in enumerate(batches[:15]):
        algo.optimize_agent(itr, batch)
    other.agent.load_state_dict(copied_state(algo.agent.state_dict()))
    other.load_state_dict(copied_state(algo.state_dict()))
    for itr, batch in enumerate(batches[15:], 15):
        assert algo.optimize_agent(itr, batch) == other.optimize_agent(itr, batch)
    expected = parameters(algo)
    assert all(torch.equal(value, expected[key]) for key, value in parameters(other).items())


def copied_state(state: Any) -> Any:
    if isinstance(state, dict):
        return {key: copied_state(value) for key, value in state.items()}
    if isinstance(state, torch.Tensor):
        return state.clone()
    return state.copy() if isinstance(state, np.ndarray) else state


@pytest.mark.parametrize(
    ("cls", "policy", "named"),
    [(SAC, "deterministic", "policy='gaussian'"), (TD3, "gaussian", "policy='deterministic'")],
)
def test_a_policy_that_it_cannot_learn_is_refused(cls: Any, policy: Any, named: str) -> None:
    made = runner("sac")
    agent = QpgAgent(policy=policy)
    agent.initialize(made.sampler.env_spaces(), seed=0, device=CPU)
    with pytest.raises(RlpytError, match=named):
        cls().initialize(agent, n_itr=1, batch_spec=made.sampler.batch_spec, seed=0)
