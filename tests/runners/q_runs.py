"""Small runs of the Q-learning family with their replays, which wrap around several times."""

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import gymnasium
import numpy as np
import pytest
from gymnasium import spaces
from runner_fakes import Drift
from test_parallel_resume import LAYOUTS, signalling

from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.algos.dqn import DQN, IQN, R2D1, CategoricalDQN, QAlgorithm
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.frames import FrameStorage
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl

SIZE, BATCH, LEARN = 512, 8, 160  # steps: in the replay, of an iteration, before learning
WRAPS = SIZE // BATCH  # the first iteration that overwrites
PRIORITIZED = Prioritized(beta_steps=2_000)


class Frames(gymnasium.Env):
    """The last four frames, 5 x 5, of a Drift; an episode starts with one frame four times."""

    def __init__(self) -> None:
        self.drift = Drift()
        self.action_space = self.drift.action_space
        self.observation_space = spaces.Box(0, 255, (4, 5, 5), np.uint8)

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        x, info = self.drift.reset(seed=seed)
        self.stack = [self._frame(x)] * 4
        return np.stack(self.stack), info

    def step(self, action):
        x, *rest = self.drift.step(action)
        self.stack = [*self.stack[1:], self._frame(x)]
        return np.stack(self.stack), *rest

    def _frame(self, x: Any) -> Any:
        noise = self.np_random.integers(0, 200, (5, 5), np.uint8)
        noise[0, :2] = np.clip(128 + 20 * x, 0, 255)
        return noise


def replay(**settings: Any) -> ReplayBuffer:
    return ReplayBuffer(size=SIZE, **settings)


def algorithm(cls: type[QAlgorithm], memory: ReplayBuffer, **settings: Any) -> QAlgorithm:
    common = {
        "replay": memory,
        "batch_size": 8,
        "min_steps_learn": LEARN,
        "replay_ratio": 1.0 if memory.sequence_length is None else 1.5,
        "learning_rate": 1e-3,
        "target_update_interval": 17,
        "discount": 0.9,
    }
    return cls(**{**common, **settings})


def parts(variant: str) -> tuple[QAlgorithm, dict[str, Any], dict[str, Any]]:
    """The algorithm, the model, and the agent's other settings."""
    if variant == "dqn":
        return algorithm(DQN, replay(), double=True), {}, {}
    if variant == "dqn-frames":
        frames = replay(storage=FrameStorage(n_frames=4), prioritized=PRIORITIZED)
        return algorithm(DQN, frames), {"image": "flatten"}, {}
    if variant == "rainbow":
        memory = replay(n_step_return=3, prioritized=PRIORITIZED)
        model = {"head": "categorical", "n_atoms": 11, "noisy": True, "dueling": True}
        none = EpsilonGreedy(initial=0.0, final=0.0)
        return algorithm(CategoricalDQN, memory, double=True), model, {"epsilon": none}
    if variant == "iqn":
        model = {"head": "implicit", "n_quantiles": 5, "n_cosines": 4, "noisy": True}
        return algorithm(IQN, replay(), n_fractions=5, n_target_fractions=6), model, {}
    assert variant == "r2d1"
    sequences = {"sequence_length": 4, "burn_in": 3, "rnn_state_interval": 3, "n_step_return": 2}
    memory = replay(**sequences, prioritized=PRIORITIZED)
    return algorithm(R2D1, memory), {"recurrent": "lstm", "rnn_size": 6, "dueling": True}, {}


def q_runner(variant: str, layout: str = "serial", *, n_itr: int, **settings: Any) -> MinibatchRl:
    """Four environments in groups of two, two steps an iteration."""
    algo, model, rest = parts(variant)
    cls, own = LAYOUTS[layout]
    env = "q_runs:Frames" if variant == "dqn-frames" else "runner_fakes:Drift"
    epsilon = EpsilonGreedy(final=0.1, final_min=0.01, delay=LEARN, steps=1_000)
    agent = {"epsilon": epsilon, "value_range": (-3.0, 3.0), **rest}
    return MinibatchRl(
        algo=algo,
        agent=DqnAgent(model_kwargs={"hidden_sizes": [8], **model}, **agent),
        sampler=cls(env=EnvConfig(id=env), batch_T=2, batch_B=4, group_size=2, **own),
        **{"n_steps": BATCH * n_itr, "log_interval_steps": BATCH * n_itr // 10, **settings},
    )


@contextmanager
def stop_after(itr: int) -> Iterator[None]:
    """A signal during this iteration, counted from 1."""
    with pytest.MonkeyPatch.context() as patch:
        stopping = signalling(QAlgorithm.optimize_agent, itr)
        patch.setattr(QAlgorithm, "optimize_agent", stopping)
        with pytest.raises(SystemExit):
            yield


def saved_itr(run_dir: Path) -> int:
    """The iteration of the newest checkpoint."""
    itr: int = Checkpointer(run_dir / "checkpoints").load_latest()[1].itr
    return itr
