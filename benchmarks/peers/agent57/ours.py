"""Our Agent57: ``SerialSampler`` and ``MinibatchRl``. Variant "cpu": two worker processes; "ngu":
NGU with the same sizes.
"""

from dataclasses import replace

from peers.agent57.settings import FamilySettings
from peers.measure import Stopwatch
from peers.our_training import train_ticking
from peers.our_version import version
from rlpyt.agents.arms import ArmAgent
from rlpyt.algos.dqn.agent57 import Agent57
from rlpyt.algos.dqn.ngu import NGU
from rlpyt.cli.presets import default_runner
from rlpyt.cli.samplers import as_sampler
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl

__all__ = ["make_runner", "train", "version"]


def make_runner(settings: FamilySettings) -> MinibatchRl:
    """The preset of vectors, of these sizes."""
    algorithm = "ngu" if settings.variant == "ngu" else "agent57"
    made = default_runner(algorithm, EnvConfig(id=settings.env_id))
    agent, algo = made.agent, made.algo
    assert isinstance(agent, ArmAgent)
    assert isinstance(algo, NGU | Agent57)
    assert isinstance(algo.replay, ReplayBuffer)
    sampler = replace(made.sampler, batch_T=settings.rollout, batch_B=settings.num_envs)
    if settings.variant == "cpu":
        sampler = replace(as_sampler(sampler, "cpu"), n_workers=2)
    return replace(
        made,
        algo=replace(
            algo,
            replay=replace(
                algo.replay, size=settings.replay_size, sequence_length=settings.sequence_length
            ),
            batch_size=settings.minibatch,
            replay_ratio=settings.replay_ratio,
            min_steps_learn=settings.learning_starts,
            learning_rate=settings.learning_rate,
        ),
        agent=replace(
            agent,
            n_arms=settings.n_arms,
            model_kwargs={
                **agent.model_kwargs,
                "hidden_sizes": (settings.hidden,),
                "rnn_size": settings.hidden,
            },
        ),
        sampler=sampler,
        n_steps=settings.total,
        log_interval_steps=10_000,
        seed=settings.seed,
        device="cpu",
        torch_threads=settings.threads,
    )


def train(settings: FamilySettings, watch: Stopwatch) -> None:
    train_ticking(make_runner(settings), settings, watch)
