"""Every member of the Q-learning family learns: a short walk quickly, CartPole with time, and what
takes memory with memory only.
"""

import json
from dataclasses import replace
from pathlib import Path
from typing import Any, final

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces

from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.algos.dqn import DQN, IQN, QRDQN, R2D1, CategoricalDQN, QAlgorithm
from rlpyt.algos.dqn.family import FamilyAlgorithm
from rlpyt.cli.main import main
from rlpyt.cli.presets.registry import default_runner
from rlpyt.envs import EnvConfig, MemoryCorridor, SparseChain
from rlpyt.logging.context import logger_context
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler


@final
class Detour(gymnasium.Env[np.ndarray[Any, Any], np.int64]):
    """Five places in a row: 0.2 to the left of them, 1 to the right, and the end at both.

    From the leftmost place 1 is five steps away, so that only who looks ahead always goes there.
    """

    def __init__(self) -> None:
        self.observation_space = spaces.Box(0.0, 1.0, (5,), np.float32)
        self.action_space = spaces.Discrete(2)

    def _seen(self) -> np.ndarray[Any, Any]:
        seen: np.ndarray[Any, Any] = np.eye(5, dtype=np.float32)[min(max(self.place, 0), 4)]
        return seen

    def reset(
        self, *, seed: int | None = None, options: dict[str, Any] | None = None
    ) -> tuple[np.ndarray[Any, Any], dict[str, Any]]:
        super().reset(seed=seed)
        self.place = int(self.np_random.integers(5))
        return self._seen(), {}

    def step(
        self, action: np.int64
    ) -> tuple[np.ndarray[Any, Any], float, bool, bool, dict[str, Any]]:
        self.place += 1 if action == 1 else -1
        reward = {-1: 0.2, 5: 1.0}.get(self.place, 0.0)
        return self._seen(), reward, reward > 0.0, False, {}


def mean_return(runner: MinibatchRl, episodes: int = 50) -> float:
    """Train; then the mean of greedy episodes, on seeds that training never used."""
    runner.train()
    evaluator = Evaluator(episodes=episodes, n_envs=10)
    evaluator.initialize(runner.agent, runner.sampler, seed=1_000 + runner.seed, discount=1.0)
    trajs = evaluator.evaluate(0)
    evaluator.shutdown()
    assert len(trajs) == episodes
    return sum(traj.Return for traj in trajs) / episodes


EVEN = Prioritized(alpha=0.5, beta=0.5, beta_final=0.5)  # as Dopamine's Rainbow
PRIORITIZED = ReplayBuffer(prioritized=EVEN)
N_STEP = ReplayBuffer(n_step_return=3)
BOTH = ReplayBuffer(prioritized=EVEN, n_step_return=3)
CATEGORICAL = {"head": "categorical"}
QUANTILE = {"head": "quantile", "n_quantiles": 32}
IMPLICIT = {"head": "implicit", "n_quantiles": 32}
VARIANTS: dict[str, tuple[QAlgorithm, dict[str, Any]]] = {
    "dqn": (DQN(), {}),
    "double": (DQN(double=True), {}),
    "dueling": (DQN(), {"dueling": True}),
    "prioritized": (DQN(replay=PRIORITIZED), {}),
    "n_step": (DQN(replay=N_STEP), {}),
    "noisy": (DQN(), {"noisy": True}),
    "categorical": (CategoricalDQN(), CATEGORICAL),
    "rainbow": (
        CategoricalDQN(double=True, replay=BOTH),
        {**CATEGORICAL, "dueling": True, "noisy": True},
    ),
    "qrdqn": (QRDQN(), QUANTILE),
    "iqn": (IQN(n_fractions=8, n_target_fractions=8), IMPLICIT),
}


def walk_runner(variant: str) -> MinibatchRl:
    algo, model_kwargs = VARIANTS[variant]
    algo = replace(
        algo,
        discount=0.9,
        batch_size=32,
        min_steps_learn=200,
        replay_ratio=8.0,
        learning_rate=3e-3,
        target_update_interval=20,
        replay=replace(algo.replay, size=5_000),
    )
    agent = DqnAgent(
        model_kwargs={"hidden_sizes": (32,), **model_kwargs},
        epsilon=EpsilonGreedy(final=0.2, steps=1_000),
        value_range=(-1.0, 2.0),
    )
    env = EnvConfig(id=Detour, time_limit=20)
    sampler = SerialSampler(env=env, batch_T=4, batch_B=4)
    return MinibatchRl(algo=algo, agent=agent, sampler=sampler, n_steps=2_000, device="cpu")


@pytest.mark.parametrize("variant", VARIANTS)
def test_looks_ahead(variant: str) -> None:
    """Who takes the nearest reward earns 0.8 at most: from the leftmost place it is the 0.2."""
    assert mean_return(walk_runner(variant)) == 1.0


def corridor_runner(memory: bool, *, length: int, n_steps: int, seed: int = 0) -> MinibatchRl:
    """R2D1 with an LSTM, or DQN without memory."""
    common: dict[str, Any] = {
        "min_steps_learn": 500,
        "learning_rate": 1e-3,
        "learning_rate_schedule": "linear",
        "target_update_interval": 50,
        "optim_kwargs": {"eps": 1e-5},
    }
    sequences = ReplayBuffer(
        size=50_000,
        sequence_length=length + 2,
        burn_in=4,
        rnn_state_interval=4,
        n_step_return=5,
        prioritized=Prioritized(alpha=0.9, beta=0.6, beta_final=0.6),
    )
    algo: QAlgorithm = (
        R2D1(
            discount=0.99,
            replay=sequences,
            replay_ratio=4.0 * (length + 2),
            batch_size=32,
            **common,
        )
        if memory
        else DQN(replay=ReplayBuffer(size=50_000), batch_size=64, replay_ratio=16.0, **common)
    )
    lstm = {"recurrent": "lstm", "rnn_size": 64, "hidden_sizes": (64,)}
    epsilon = EpsilonGreedy(final=0.05, steps=n_steps // 5)
    return MinibatchRl(
        algo=algo,
        agent=DqnAgent(model_kwargs=lstm if memory else {}, epsilon=epsilon),
        sampler=SerialSampler(
            env=EnvConfig(id=MemoryCorridor, kwargs={"length": length}), batch_T=10, batch_B=8
        ),
        n_steps=n_steps,
        seed=seed,
        device="cpu",
    )


def test_remembers_with_memory_only() -> None:
    """Two steps after the cue; without memory the expected return is 0 at best."""
    assert mean_return(corridor_runner(True, length=2, n_steps=4_000), 200) == 1.0
    assert mean_return(corridor_runner(False, length=2, n_steps=4_000), 200) < 0.3


@pytest.mark.learning
@pytest.mark.timeout(600)
@pytest.mark.parametrize("seed", range(3))
def test_remembers_a_long_corridor(seed: int) -> None:
    """Without memory the mean of 200 episodes is 0 at best, and its standard error is 0.07."""
    with_memory = corridor_runner(True, length=10, n_steps=30_000, seed=seed)
    assert mean_return(with_memory, 200) >= 0.95
    without = corridor_runner(False, length=10, n_steps=30_000, seed=seed)
    assert mean_return(without, 200) < 0.3


def explorer_runner(algorithm: str, env: EnvConfig, *, n_steps: int, seed: int) -> MinibatchRl:
    """The preset of an algorithm with sequences, with more updates; arms of NGU learn from all."""
    runner = default_runner(algorithm, env)
    assert isinstance(runner.algo, R2D1 | FamilyAlgorithm)
    algo = replace(runner.algo, cross_mixture=0.5) if algorithm == "ngu" else runner.algo
    algo = replace(
        algo,
        min_steps_learn=500,
        replay_ratio=32.0,
        learning_rate=1e-3,
        learning_rate_schedule="linear",
    )
    return replace(runner, algo=algo, n_steps=n_steps, seed=seed, device="cpu")


@pytest.mark.parametrize("algorithm", ["ngu", "agent57"])
def test_explorers_remember(algorithm: str) -> None:
    """What is new pays, and in the end only what the environment pays counts."""
    env = EnvConfig(id=MemoryCorridor, kwargs={"length": 2})
    assert mean_return(explorer_runner(algorithm, env, n_steps=6_000, seed=0), 200) == 1.0


@pytest.mark.learning
@pytest.mark.timeout(1800)
@pytest.mark.parametrize("seed", range(5))
def test_explorers_reach_the_end_of_a_chain(seed: int) -> None:
    """Twenty cells: what R2D1 finds is the small reward at the start."""
    env = EnvConfig(id=SparseChain, kwargs={"length": 20})
    found = {
        algorithm: mean_return(explorer_runner(algorithm, env, n_steps=60_000, seed=seed))
        for algorithm in ("ngu", "agent57", "r2d1")
    }
    assert found["ngu"] >= 1.0, found
    assert found["agent57"] >= 1.0, found
    assert found["r2d1"] <= 0.2, found


PRESETS = {"categorical": "c51", "rainbow": "rainbow", "qrdqn": "qrdqn", "iqn": "iqn"}


def cartpole_runner(variant: str, *, seed: int) -> MinibatchRl:
    """What ``rlpyt train`` runs; for a variant without a name there, DQN's with its parts."""
    runner = default_runner(PRESETS.get(variant, "dqn"), EnvConfig(id="CartPole-v1"))
    if variant not in PRESETS:
        assert isinstance(runner.algo, DQN)
        assert isinstance(runner.agent, DqnAgent)
        own, model = VARIANTS[variant]
        assert isinstance(own, DQN)
        replay = replace(own.replay, size=runner.algo.replay.size)
        agent = replace(runner.agent, model_kwargs={**runner.agent.model_kwargs, **model})
        if "noisy" in model:  # noise is drawn once an iteration: shorter ones explore more
            agent = replace(agent, epsilon=EpsilonGreedy(initial=0.0, final=0.0, evaluation=0.0))
            runner = replace(runner, sampler=replace(runner.sampler, batch_T=4))
        algo = replace(runner.algo, double=own.double, replay=replay)
        runner = replace(runner, algo=algo, agent=agent)
    return replace(runner, seed=seed, device="cpu")


@pytest.mark.learning
@pytest.mark.timeout(1200)
def test_dqn_balances_the_pole() -> None:
    """Solved, 475 of 500, after 50k steps by four of five seeds."""
    runners = [cartpole_runner("dqn", seed=seed) for seed in range(5)]
    assert {runner.n_steps for runner in runners} == {50_000}
    returns = [mean_return(runner) for runner in runners]
    assert sum(found >= 475.0 for found in returns) >= 4, returns


@pytest.mark.learning
@pytest.mark.timeout(1200)
@pytest.mark.parametrize("variant", [name for name in VARIANTS if name != "dqn"])
def test_every_variant_balances_the_pole(
    variant: str, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    """Within 100k steps, these runs being of 50k: at its best, on 50 new episodes."""
    runner = replace(
        cartpole_runner(variant, seed=0),
        evaluator=Evaluator(episodes=50, n_envs=10),
        log_interval_steps=2_500,
        checkpoint_interval_steps=2_500,
    )
    with logger_context(tmp_path, 0, variant, tensorboard=False, console=False) as logger:
        runner.train(logger)
    capsys.readouterr()
    assert main(["eval", str(tmp_path / "run_0"), "--best", "--episodes", "50", "--json"]) == 0
    assert json.loads(capsys.readouterr().out)["ReturnAverage"] >= 475.0


@pytest.mark.learning
@pytest.mark.timeout(600)
def test_pqn_balances_the_pole() -> None:
    """Without replay and target network, after 100k steps."""
    runner = default_runner("pqn", EnvConfig(id="CartPole-v1"))
    assert runner.n_steps == 100_000
    assert mean_return(replace(runner, device="cpu")) >= 475.0
