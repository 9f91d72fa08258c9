"""Small runs, an environment that sends a signal, and how two runs are compared."""

import copy
import csv
import os
import signal
from dataclasses import replace
from pathlib import Path
from typing import Any, ClassVar

import gymnasium
import numpy as np
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlpyt.agents.base import Agent
from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.agents.pg import PgAgent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.algos.dqn import PQN
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.daac import DAAC
from rlpyt.algos.pg.drac import DrAC
from rlpyt.algos.pg.impala import IMPALA
from rlpyt.algos.pg.ppg import PPG
from rlpyt.algos.pg.ppo import PPO
from rlpyt.algos.qpg import DDPG, REDQ, SAC, TD3, TQC, CrossQ, DiscreteSAC, QpgAlgorithm
from rlpyt.augment.vectors import GaussianNoise
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.tree import flatten
from rlpyt.envs.build import EnvConfig
from rlpyt.logging.context import logger_context
from rlpyt.models.decoupled import DecoupledPgModel
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

QPG: dict[str, type[QpgAlgorithm]] = {
    "crossq": CrossQ,
    "ddpg": DDPG,
    "redq": REDQ,
    "sac": SAC,
    "sac-discrete": DiscreteSAC,
    "td3": TD3,
    "tqc": TQC,
}
AUXILIARY = {"daac": "advantage", "drdaac": "advantage", "ppg": "value"}
ROLES = [
    "LearnerBusy",
    "SamplerAct",
    "SamplerWait",
    "SamplerTransfer",
    "WorkerEnv",
    "WorkerAct",
    "WorkerWait",
    "WorkerImbalance",
    "SlowestWorker",
    "WorkerRestarts",
]
TIME_COLUMNS = frozenset(
    f"Diagnostics/{name}"
    for name in (
        "CumTime (s)",
        "StepsPerSecond",
        "UpdatesPerSecond",
        "CumEvalTime",
        "CumTrainTime",
        *ROLES,
    )
)
ONLINE = [
    "NewCompletedTrajs",
    "StepsInTrajWindow",
    "Iteration",
    "CumTime (s)",
    "CumSteps",
    "CumCompletedTrajs",
    "CumUpdates",
    "StepsPerSecond",
    "UpdatesPerSecond",
    "ReplayRatio",
    "CumReplayRatio",
    *ROLES,
]
OFFLINE = ["StepsInEval", "TrajsInEval", "CumEvalTime", "CumTrainTime", *ONLINE[2:]]
TRAJ = ["Length", "Return", "NonzeroRewards", "DiscountedReturn"]
STATISTICS = ["Average", "Std", "Median", "Min", "Max"]

TIMES = ("cum_time", "row_time", "cum_eval_time")  # of the records in a checkpoint


class Drift(gymnasium.Env):
    """A random walk whose reward says which way to push; episodes of 5 to about 40 steps.

    ``SEEDS`` records every reset's seed; ``SIGNAL`` is sent at step ``AT``, counted over all
    environments since it was set.
    """

    SEEDS: ClassVar[list[int]] = []
    AT: ClassVar[int | None] = None
    SIGNAL: ClassVar[signal.Signals] = signal.SIGINT

    def __init__(self, continuous: bool = False, length: float = 0.05) -> None:
        self.observation_space = spaces.Box(-np.inf, np.inf, (2,), np.float32)
        box = spaces.Box(-1.0, 1.0, (1,), np.float32)
        self.action_space = box if continuous else spaces.Discrete(2)
        self.length = length

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        Drift.SEEDS.append(seed)
        self.t = 0
        self.x = self.np_random.normal(size=2).astype(np.float32)
        return self.x.copy(), {}

    def step(self, action):
        if Drift.AT is not None:
            Drift.AT -= 1
            if Drift.AT == 0:
                os.kill(os.getpid(), Drift.SIGNAL)
        self.t += 1
        push = float(np.asarray(action).sum())
        self.x += self.np_random.normal(scale=0.1, size=2).astype(np.float32) + np.float32(push)
        ended = self.t > 5 and bool(self.np_random.random() < self.length)
        return self.x.copy(), float(self.x[0] * (push - 0.5)), ended, self.t >= 40, {}


def actor_critic(name: str, recurrent: str, n_step: int = 2) -> tuple[QpgAlgorithm, QpgAgent]:
    """Learns from 100 steps on, from a replay that wraps around in the fifth iteration."""
    cls = QPG[name]
    critic: dict[str, Any] = {"hidden_sizes": [8], "normalize_observation": True}
    model: dict[str, Any] = {"hidden_sizes": [8], "normalize_observation": True}
    replay = ReplayBuffer(size=300, n_step_return=n_step)
    if recurrent != "none":
        critic |= {"recurrent": recurrent, "rnn_size": 4}
        model |= {"recurrent": recurrent, "rnn_size": 4}
        replay = replace(
            replay,
            sequence_length=4,
            burn_in=2,
            rnn_state_interval=2,
            prioritized=Prioritized(beta_steps=300),
        )
    algo = cls(
        replay=replay,
        batch_size=16,
        min_steps_learn=100,
        replay_ratio=1.5,
        learning_rate=1e-2,
        learning_rate_schedule="linear",
        critic_kwargs=critic,
        policy_delay=2,
    )
    if cls is CrossQ:
        model["batch_renorm"] = True
    exploration = QpgExploration(random_steps=100)
    return algo, QpgAgent(policy=cls.policy, exploration=exploration, model_kwargs=model)


def small_runner(
    *,
    algo: str = "ppo",
    recurrent: str = "none",
    continuous: bool = False,
    mid_batch_reset: bool = True,
    n_itr: int = 10,
    n_step: int = 2,
    intrinsic: IntrinsicRewards | None = None,
    **settings: Any,
) -> MinibatchRl:
    """64 steps an iteration, observations and rewards normalised."""
    agent: Agent
    model = {"hidden_sizes": [8], "normalize_observation": True, "recurrent": recurrent}
    model |= {"rnn_size": 4} if recurrent != "none" else {}
    if intrinsic is not None and intrinsic.discount is not None:
        model["intrinsic_value"] = True
    rates = {"learning_rate": 1e-2, "learning_rate_schedule": "linear"}
    common = {**rates, "normalize_reward": True}
    noisy = {"minibatches": 2, "augmentation": GaussianNoise(), **common}
    kinds: dict[str, Any] = {
        "daac": DAAC(minibatches=2, value_epochs=2, value_interval=2, **common),
        "drdaac": DAAC(value_epochs=2, **noisy),
        "drac": DrAC(**noisy),
        "ppg": PPG(minibatches=2, policy_iterations=4, auxiliary_minibatches=2, **common),
        "ppo": PPO(epochs=2, minibatches=2, **common),
        "a2c": A2C(**common),
        "appo": APPO(epochs=2, minibatches=2, **common),
        "impala": IMPALA(**common),
        "pqn": PQN(epochs=2, minibatches=2, **rates),
    }
    if algo in QPG:
        chosen, agent = actor_critic(algo, recurrent, n_step)
        kinds = {algo: chosen}
    elif algo == "pqn":
        epsilon = EpsilonGreedy(final=0.1, steps=32 * n_itr)
        agent = DqnAgent(model_kwargs=model, epsilon=epsilon)
    elif algo in AUXILIARY:
        model = {"auxiliary": AUXILIARY[algo], "hidden_sizes": [8], "normalize_observation": True}
        agent = PgAgent(ModelCls=DecoupledPgModel, model_kwargs=model)
    else:
        agent = PgAgent(model_kwargs=model)
    return MinibatchRl(
        algo=replace(kinds[algo], intrinsic=copy.deepcopy(intrinsic)),
        agent=agent,
        sampler=SerialSampler(
            env=EnvConfig(id="runner_fakes:Drift", kwargs={"continuous": continuous}),
            batch_T=16,
            batch_B=4,
            mid_batch_reset=mid_batch_reset,
        ),
        **{"n_steps": 64 * n_itr, "log_interval_steps": 128, **settings},
    )


def train(runner: BaseRunner, log_dir: Path, *, resume: bool = False) -> Path:
    """Train with a logger; the run directory."""
    with quiet_logger(log_dir, resume=resume) as logger:
        runner.train(logger, resume=resume)
    return log_dir / "run_0"


def quiet_logger(log_dir: Path, *, resume: bool = False) -> Any:
    return logger_context(log_dir, 0, "test", tensorboard=False, console=False, resume=resume)


def read_rows(run_dir: Path) -> list[dict[str, str]]:
    with (run_dir / "progress.csv").open() as file:
        return list(csv.DictReader(file))


def timeless(rows: list[dict[str, str]]) -> list[dict[str, str]]:
    return [{k: v for k, v in row.items() if k not in TIME_COLUMNS} for row in rows]


def final_state(run_dir: Path, part: str = "", itr: int | None = None) -> dict[str, Any]:
    """Everything in the newest checkpoint, or that of ``itr``, by path, without times; of another
    rank: its part.
    """
    checkpointer = Checkpointer(run_dir / "checkpoints" / part)
    path = checkpointer.latest() if itr is None else checkpointer.saved()[itr]
    state, manifest = checkpointer.load(path)
    for name in TIMES:
        del state["records"][name]
    arrays, skeleton = flatten(state)
    return {"itr": manifest.itr, "skeleton": skeleton, "arrays": arrays}


def assert_same_run(one: Path, other: Path) -> None:
    """Bit-identical but for time: parameters, optimizer, generators, environments, rows; in every
    rank.
    """
    assert rank_parts(one) == rank_parts(other)
    for part in rank_parts(one):
        assert_same_state(final_state(one, part), final_state(other, part))
    assert timeless(read_rows(one)) == timeless(read_rows(other))
    assert len(read_rows(one)) > 0


def assert_same_state(a: dict[str, Any], b: dict[str, Any]) -> None:
    """Two of :func:`final_state` are equal to the last bit."""
    assert a["itr"] == b["itr"]
    assert a["arrays"].keys() == b["arrays"].keys()
    for name, array in a["arrays"].items():
        equal = array.numpy().tobytes() == b["arrays"][name].numpy().tobytes()
        assert equal, name
    assert a["skeleton"] == b["skeleton"]


def rank_parts(run_dir: Path) -> list[str]:
    """Where the parts of a checkpoint are: the first rank's, then "rank_1", ..."""
    return ["", *sorted(path.name for path in (run_dir / "checkpoints").glob("rank_*"))]


def parameters(runner: BaseRunner) -> bytes:
    arrays, _skeleton = flatten(runner.agent.state_dict())
    return b"".join(array.contiguous().numpy().tobytes() for array in arrays.values())


def drift_vector(num_envs: int, mode: AutoresetMode) -> SyncVectorEnv:
    """Drifts behind Gymnasium's vector environment."""
    return SyncVectorEnv([Drift] * num_envs, autoreset_mode=mode)
