"""What ``rlpyt verify`` trains: for every algorithm a task of seconds, and for some a known one of
minutes.
"""

from collections.abc import Callable, Mapping
from dataclasses import dataclass, replace
from functools import partial
from types import MappingProxyType
from typing import Any, final

from rlpyt.agents.arms import ArmAgent
from rlpyt.agents.dqn import DqnAgent
from rlpyt.agents.pearl import PearlAgent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.algos.meta.pearl import PEARL
from rlpyt.algos.qpg.base import QpgAlgorithm
from rlpyt.cli.presets.registry import ALGORITHMS, default_runner
from rlpyt.cli.presets.small import (
    IdentityKind,
    Sizes,
    identity_env,
    identity_kind,
    pixel_storage,
    small_agent,
    small_parts,
)
from rlpyt.envs.build import EnvConfig
from rlpyt.envs.trials import TRIAL_INFO_KEYS
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.replays.tasks import TaskReplay
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl

__all__ = ["FULL_TASKS", "QUICK_TASKS", "Task"]


@final
@dataclass(frozen=True, kw_only=True)
class Task:
    """Something to learn, and how far its score may lie below what was seen."""

    name: str
    build: Callable[[], MinibatchRl]
    slack: float  # a tenth of the way from a random policy's score to the best, or so
    evaluator: Evaluator


_HIDDEN = "rlpyt.envs.identity:hidden_number"
_SIZES = Sizes(
    hidden=(32, 32),
    hidden_else=(32,),
    rnn=16,
    feature=16,
    embedding=8,
    embedding_hidden=(16,),
    random_steps=200,
    noise_steps=600,
)
_STEPS: Mapping[str, int] = MappingProxyType(
    {
        **dict.fromkeys(("a2c", "impala", "rainbow"), 16_000),
        **dict.fromkeys(("agent57", "ngu", "r2d1"), 6_000),
        **dict.fromkeys(("crossq", "ddpg", "redq", "sac", "td3", "tqc"), 2_000),
        **dict.fromkeys(("drqv2", "rad_sac"), 1_200),
    }
)
_RATES: Mapping[str, float] = MappingProxyType({"a2c": 1e-2, "impala": 1e-2, "crossq": 1e-3})


def _quick_task(algorithm: str) -> Task:
    if algorithm == "pearl":
        trials = _trials("evaluation", trajectories=8, exploration_trajectories=2)
        episodes = Evaluator(episodes=100, n_envs=20, greedy=False, env=trials)
        name = "name what is hidden"  # before training about 28, by a = 0 27, at best about 37
        return Task(name=name, build=_quick_pearl, slack=2.0, evaluator=episodes)
    kind = identity_kind(algorithm)
    # At random: 2.5 of 10 right, or 10 squared distances of 2/3 on average.
    slack = 0.75 if kind == "discrete" else 0.67
    build = partial(_quick_runner, algorithm)
    evaluator = Evaluator(episodes=100, n_envs=20)
    return Task(name=f"name what is seen ({kind})", build=build, slack=slack, evaluator=evaluator)


def _quick_runner(algorithm: str) -> MinibatchRl:
    """The preset with small networks, quick rates, and little to look ahead to."""
    kind = identity_kind(algorithm)
    made = default_runner(algorithm, identity_env(kind))
    T, B = (16, 8) if made.algo.bootstrap_value or algorithm == "pqn" else (4, 4)
    return replace(
        made,
        algo=_quick_algo(made.algo, algorithm, kind),
        agent=_quick_agent(made.agent, kind),
        sampler=replace(made.sampler, batch_T=T, batch_B=B),
        n_steps=_STEPS.get(algorithm, 8_000),
        device="cpu",
    )


def _quick_algo(algo: RlAlgorithm, algorithm: str, kind: IdentityKind) -> RlAlgorithm:
    wanted: dict[str, Any] = {
        "discount": 0.5,
        "discount_max": 0.6,
        "discount_min": 0.3,
        "epochs": 4,
        "minibatches": 4,
        "batch_size": 32,
        "min_steps_learn": 200,
        "replay_ratio": 8.0,
        "target_update_interval": 20,
        "learning_rate": _RATES.get(algorithm, 3e-3),
        "learning_rate_schedule": "linear",
        "entropy_loss_coeff": 0.0,
    }
    found = small_parts(algo, kind, _SIZES, wanted)
    replay = getattr(algo, "replay", None)
    if isinstance(replay, ReplayBuffer):
        found["replay"] = replace(replay, size=10_000)
        if replay.sequence_length is not None:
            sizes = {"sequence_length": 8, "burn_in": 0, "rnn_state_interval": 4}
            found["replay"] = replace(found["replay"], **sizes)
            found["batch_size"] = 16
    if isinstance(algo, QpgAlgorithm):
        found |= {"target_update_interval": 1, "replay_ratio": 32.0}
    if kind == "pixels":
        found |= {
            "learning_rate": 1e-3,
            "replay": replace(found["replay"], storage=pixel_storage()),
        }
    return replace(algo, **found)


def _quick_agent(agent: Any, kind: IdentityKind) -> Any:
    made = small_agent(agent, kind, _SIZES)
    if isinstance(made, DqnAgent):
        made = replace(made, value_range=(0.0, 4.0))
    if isinstance(made, DqnAgent | ArmAgent) and made.epsilon.initial > 0.0:
        made = replace(made, epsilon=replace(made.epsilon, steps=1_000, delay=0))
    return made


def _trials(kind: str, **counts: int) -> EnvConfig:
    kwargs = {"env": _HIDDEN, "n_train": 20, "n_test": 20, **counts}
    id_ = f"rlpyt.envs.adaptation:{kind}_trials"
    return EnvConfig(id=id_, kwargs=kwargs, info_keys=TRIAL_INFO_KEYS)


def _quick_pearl() -> MinibatchRl:
    made = default_runner("pearl", EnvConfig(id=_HIDDEN))
    assert isinstance(made.agent, PearlAgent)
    assert isinstance(made.algo, PEARL)
    trained = _trials("training", initial_steps=40, prior_steps=20, extra_steps=20)
    sizes: dict[str, Any] = {"meta_batch": 10, "batch_size": 32, "context_size": 10}
    sizes |= {"train_steps": 60, "hidden_sizes": (32, 32), "min_steps_learn": 800}
    sizes |= {"reward_scale": 50.0, "discount": 0.5, "kl_lambda": 0.02}
    policy = replace(made.agent.policy, model_kwargs={"hidden_sizes": (32, 32)})
    return replace(
        made,
        algo=replace(made.algo, replay=TaskReplay(size=2_000), learning_rate=3e-3, **sizes),
        agent=replace(made.agent, policy=policy, encoder_kwargs={"hidden_sizes": (32,)}),
        sampler=replace(made.sampler, env=trained, batch_T=40, batch_B=5),
        evaluator=None,
        n_steps=8_000,
        device="cpu",
    )


def _full_runner(algorithm: str, env: str, n_steps: int) -> MinibatchRl:
    return replace(default_runner(algorithm, EnvConfig(id=env)), n_steps=n_steps)


def _full_task(algorithm: str, env: str, n_steps: int) -> Task:
    """As in docs/results.md; a score counts as there."""
    return Task(
        name=f"{env}, {n_steps:,} steps",
        build=partial(_full_runner, algorithm, env, n_steps),
        slack=25.0 if env.startswith("CartPole") else 50.0,
        evaluator=Evaluator(episodes=50, n_envs=10),
    )


QUICK_TASKS: Mapping[str, Task] = MappingProxyType({name: _quick_task(name) for name in ALGORITHMS})
"""By algorithm."""

FULL_TASKS: Mapping[str, Task] = MappingProxyType(
    {
        name: _full_task(name, env, n_steps)
        for name, env, n_steps in (
            ("a2c", "CartPole-v1", 500_000),
            ("appo", "CartPole-v1", 100_000),
            ("dqn", "CartPole-v1", 50_000),
            ("impala", "CartPole-v1", 200_000),
            ("ppo", "CartPole-v1", 100_000),
            ("pqn", "CartPole-v1", 100_000),
            ("rainbow", "CartPole-v1", 50_000),
            ("sac", "Pendulum-v1", 20_000),
        )
    }
)
"""Those with results of the preset's own settings in docs/results.md."""
