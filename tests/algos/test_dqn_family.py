"""The Q-learning family around its losses: learning, counting, targets, exact state."""

from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from toy_envs import walk

from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.algos.dqn import DQN, IQN, QRDQN, R2D1, CategoricalDQN, QAlgorithm
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError

COMMON: dict[str, Any] = {
    "batch_size": 16,
    "min_steps_learn": 64,
    "replay_ratio": 8.0,
    "learning_rate": 3e-3,
    "target_update_interval": 10,
    "discount": 0.5,
}
SEQUENCES = ReplayBuffer(
    size=2_000,
    sequence_length=4,
    burn_in=4,
    rnn_state_interval=4,
    n_step_return=2,
    prioritized=Prioritized(alpha=0.9, beta=0.6, beta_final=0.6),
)
PRIORITIZED = ReplayBuffer(size=2_000, n_step_return=3, prioritized=Prioritized())
UNIFORM = ReplayBuffer(size=2_000)
LSTM = {"recurrent": "lstm", "rnn_size": 16}
KINDS: dict[str, tuple[QAlgorithm, dict[str, Any]]] = {
    "dqn": (DQN(replay=UNIFORM, **COMMON), {}),
    "double": (DQN(replay=UNIFORM, double=True, **COMMON), {}),
    "dueling": (DQN(replay=UNIFORM, **COMMON), {"dueling": True}),
    "noisy": (DQN(replay=UNIFORM, **COMMON), {"noisy": True}),
    "prioritized": (DQN(replay=PRIORITIZED, **COMMON), {}),
    "c51": (CategoricalDQN(replay=UNIFORM, **COMMON), {"head": "categorical"}),
    "rainbow": (
        CategoricalDQN(replay=PRIORITIZED, double=True, **COMMON),
        {"head": "categorical", "dueling": True, "noisy": True},
    ),
    "qr": (QRDQN(replay=UNIFORM, **COMMON), {"head": "quantile", "n_quantiles": 16}),
    "iqn": (IQN(replay=UNIFORM, **COMMON), {"head": "implicit", "n_quantiles": 16}),
    "r2d1": (
        R2D1(replay=SEQUENCES, **{**COMMON, "replay_ratio": 32.0}),
        {**LSTM, "dueling": True},
    ),
}
every_kind = pytest.mark.parametrize("kind", KINDS)


def build(kind: str, n_steps: int = 2_000) -> MinibatchRl:
    algo, model = KINDS[kind]
    epsilon = EpsilonGreedy(final=0.05, steps=1_000, evaluation=0.0)
    return MinibatchRl(
        algo=replace(algo, replay=replace(algo.replay)),
        agent=DqnAgent(
            model_kwargs={"hidden_sizes": (32,), **model}, epsilon=epsilon, value_range=(-1.0, 3.0)
        ),
        sampler=SerialSampler(env=walk(), batch_T=4, batch_B=4),
        n_steps=n_steps,
    )


def trained(kind: str, n_steps: int = 2_000) -> MinibatchRl:
    runner = build(kind, n_steps)
    runner.train()
    return runner


@every_kind
def test_every_parameter_moves_and_the_target_follows(kind: str) -> None:
    runner = build(kind, 16)
    runner.train()  # nothing is learned from yet
    start = {n: p.clone() for n, p in runner.agent.model.named_parameters()}
    runner = trained(kind, 320)
    for name, parameter in runner.agent.model.named_parameters():
        assert not torch.equal(parameter, start[name]), name
    for name, parameter in runner.algo.target.named_parameters():
        assert not parameter.requires_grad
        assert not torch.equal(parameter, start[name]), name


def test_updates_are_counted_exactly_and_the_target_starts_as_the_online_network() -> None:
    runner = build("dqn", 64)
    runner = replace(runner, algo=replace(runner.algo, replay_ratio=5.0, min_steps_learn=0))
    sampler, algo = runner.sampler, runner.algo
    runner.agent.initialize(sampler.env_spaces(), seed=0, device=torch.device("cpu"))
    sampler.initialize(runner.agent, seed=0)
    algo.initialize(runner.agent, n_itr=40, batch_spec=sampler.batch_spec, seed=0)
    online = dict(runner.agent.model.named_parameters())
    for name, parameter in algo.target.named_parameters():
        assert torch.equal(parameter, online[name])
    done = []
    for itr in range(40):
        samples, _ = sampler.obtain_samples(itr)
        done.append(len(algo.optimize_agent(itr, samples).get("loss", [])))
    sampler.shutdown()
    assert sum(done) == 5 * 40 * 16 // 16
    assert set(done) == {5}


@pytest.mark.parametrize("kind", ["dqn", "rainbow", "iqn", "r2d1"])
def test_it_goes_on_from_its_state(kind: str) -> None:
    """Saved and loaded in the middle, the next updates are the same to the last bit."""
    one, other = build(kind), build(kind)
    for runner in (one, other):
        runner.agent.initialize(runner.sampler.env_spaces(), seed=0, device=torch.device("cpu"))
        runner.sampler.initialize(runner.agent, seed=0)
        spec = runner.sampler.batch_spec
        runner.algo.initialize(runner.agent, n_itr=30, batch_spec=spec, seed=0)

    def go_on(runner: MinibatchRl, itrs: range) -> None:
        for itr in itrs:
            samples, _ = runner.sampler.obtain_samples(itr)
            runner.algo.optimize_agent(itr, samples)

    go_on(one, range(20))
    for part in ("agent", "algo", "sampler"):
        getattr(other, part).load_state_dict(deepcopy(getattr(one, part).state_dict()))
    for runner in (one, other):
        go_on(runner, range(20, 30))
        runner.sampler.shutdown()
    theirs = dict(other.agent.model.named_parameters())
    for name, parameter in one.agent.model.named_parameters():
        assert torch.equal(parameter, theirs[name]), name


def test_models_that_an_algorithm_cannot_learn_are_refused() -> None:
    for kind, other, message in (
        ("dqn", "c51", "does not learn agent.model_kwargs.head='categorical'"),
        ("r2d1", "dqn", "hands out sequences"),
        ("dqn", "r2d1", "hands out transitions"),
    ):
        runner = replace(build(kind), agent=build(other).agent)
        with pytest.raises(RlpytError, match=message):
            runner.train()
