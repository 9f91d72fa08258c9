"""The runs whose exactness is shown: every preset of ``rlpyt train`` with each kind of replay or of
memory that it takes, small, on environments whose episodes end anywhere.
"""

from collections.abc import Mapping
from dataclasses import dataclass, replace
from types import MappingProxyType
from typing import Any, final

from rlpyt.agents.pearl import PearlAgent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.cli.presets import ALGORITHMS, default_runner
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
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.replays.tasks import TaskReplay
from rlpyt.runners.minibatch_rl import MinibatchRl

__all__ = ["BATCH", "N_ITR", "ROWS", "Row", "small_runner"]

N_ITR = 10  # iterations of a whole run
T, B = 8, 8
BATCH = T * B  # environment steps of an iteration

_REPLAYED = ("uniform", "prioritized", "n-step")
_VARIANTS: Mapping[str, tuple[str, ...]] = MappingProxyType(
    {
        **dict.fromkeys(("ppo", "a2c", "impala", "appo", "drac", "pqn"), ("batch", "lstm")),
        **dict.fromkeys(("daac", "drdaac", "ppg"), ("batch",)),
        **dict.fromkeys(("dqn", "c51", "qrdqn", "iqn"), _REPLAYED),
        "rainbow": ("prioritized n-step",),
        "r2d1": ("sequences", "prioritized sequences"),
        **dict.fromkeys(("ngu", "agent57"), ("prioritized sequences",)),
        **dict.fromkeys(("ddpg", "td3", "sac", "redq", "tqc"), (*_REPLAYED, "sequences")),
        "crossq": _REPLAYED,
        **dict.fromkeys(("drqv2", "rad_sac"), ("frames", "frames prioritized")),
        "pearl": ("tasks",),
    }
)


@final
@dataclass(frozen=True)
class Row:
    """A preset, and what its replay, or its memory, is."""

    algorithm: str
    variant: str

    def __str__(self) -> str:
        return f"{self.algorithm}, {self.variant}"


_SIZES = Sizes(
    hidden=(8,),
    hidden_else=(8,),
    rnn=4,
    feature=8,
    embedding=4,
    embedding_hidden=(8,),
    random_steps=BATCH,
    noise_steps=4 * BATCH,
)

ROWS = tuple(Row(name, variant) for name in ALGORITHMS for variant in _VARIANTS[name])


def small_runner(row: Row) -> MinibatchRl:
    """A run of 640 steps of eight environments, in groups of two; it learns from the third
    iteration on where it has a replay, and the replay wraps around.
    """
    if row.algorithm == "pearl":
        return _pearl()
    kind = identity_kind(row.algorithm)
    env = identity_env(kind, end_chance=0.1)
    has_memory = row.variant == "lstm" or (row.variant == "sequences" and row.algorithm != "r2d1")
    made = default_runner(row.algorithm, env, "lstm" if has_memory else "none")
    return replace(
        made,
        algo=_small_algo(made.algo, row, kind),
        agent=small_agent(made.agent, kind, _SIZES),
        sampler=replace(made.sampler, batch_T=T, batch_B=B, group_size=2),
        **_length(),
    )


def _length() -> dict[str, Any]:
    return {"n_steps": BATCH * N_ITR, "log_interval_steps": 2 * BATCH, "device": "cpu"}


def _small_algo(algo: RlAlgorithm, row: Row, kind: IdentityKind) -> RlAlgorithm:
    wanted: dict[str, Any] = {
        "epochs": 2,
        "minibatches": 2,
        "auxiliary_minibatches": 2,
        "policy_iterations": 4,
        "batch_size": 16,
        "min_steps_learn": 2 * BATCH,
        "replay_ratio": 1.0,
        "target_update_interval": 3,
        "learning_rate": 1e-3,
    }
    found = small_parts(algo, kind, _SIZES, wanted)
    replay = getattr(algo, "replay", None)
    if isinstance(replay, ReplayBuffer):
        found["replay"] = _small_replay(replay, row)
        found["batch_size"] = 16 if found["replay"].sequence_length is None else 8
    return replace(algo, **found)


def _small_replay(replay: ReplayBuffer, row: Row) -> ReplayBuffer:
    """Of 400 steps, which wraps around in the seventh iteration."""
    words = row.variant.split()
    prioritized = Prioritized(beta_steps=BATCH * N_ITR) if "prioritized" in words else None
    made = replace(replay, size=400, prioritized=prioritized)
    if "n-step" in words:
        made = replace(made, n_step_return=3)
    if "frames" in words:
        made = replace(made, storage=pixel_storage())
    if "sequences" in words:
        burn_in = 0 if row.algorithm in ("ngu", "agent57") else 2
        made = replace(made, sequence_length=4, burn_in=burn_in, rnn_state_interval=2)
    return made


def _pearl() -> MinibatchRl:
    """Trials that begin and end within batches, judged on others."""
    made = default_runner("pearl", EnvConfig(id="rlpyt.envs.meta:point_robot"))
    tasks = {"env": "rlpyt.envs.meta:point_robot", "n_train": 6, "n_test": 2}
    steps = {"initial_steps": 20, "prior_steps": 20, "extra_steps": 40}
    trained, judged = (
        EnvConfig(id=f"rlpyt.envs.adaptation:{name}", kwargs=kwargs, info_keys=TRIAL_INFO_KEYS)
        for name, kwargs in (
            ("training_trials", {**tasks, **steps}),
            ("evaluation_trials", tasks),
        )
    )
    assert isinstance(made.agent, PearlAgent)
    assert made.evaluator is not None
    policy = replace(made.agent.policy, model_kwargs={"hidden_sizes": (8,)})
    sizes: dict[str, Any] = {"meta_batch": 3, "batch_size": 8, "context_size": 8, "train_steps": 2}
    sizes |= {"hidden_sizes": (8,), "min_steps_learn": 2 * BATCH}
    return replace(
        made,
        algo=replace(made.algo, replay=TaskReplay(size=300), **sizes),
        agent=replace(made.agent, policy=policy, encoder_kwargs={"hidden_sizes": (8,)}),
        sampler=replace(made.sampler, env=trained, batch_T=T, batch_B=B, group_size=2),
        evaluator=replace(made.evaluator, env=judged, episodes=2, n_envs=2),
        **_length(),
    )
