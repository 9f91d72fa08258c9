"""Ours: ``SerialSampler`` and ``MinibatchRl``, truncations bootstrapped.

Variants: "compile" has a compiled update, "compile-native" Gymnasium's vectorised CartPole too.
"""

from peers.measure import Stopwatch
from peers.our_training import train_ticking
from peers.our_version import version
from peers.settings import Settings
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.ppo import PPO
from rlpyt.envs.build import EnvConfig
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

__all__ = ["train", "version"]


def make_algo(settings: Settings) -> PPO:
    return PPO(
        learning_rate=settings.learning_rate,
        discount=settings.discount,
        gae_lambda=settings.gae_lambda,
        epochs=settings.epochs,
        minibatches=settings.batch // settings.minibatch,
        ratio_clip=settings.ratio_clip,
        value_loss_coeff=settings.value_coeff,
        entropy_loss_coeff=settings.entropy_coeff,
        clip_grad_norm=settings.max_grad_norm,
        optim_kwargs={"eps": settings.adam_eps},
        compile="compile" in settings.variant,
    )


def train(settings: Settings, watch: Stopwatch) -> None:
    native = "native" in settings.variant
    env = EnvConfig(id=settings.env_id, vectorization="native" if native else "loop")
    runner = MinibatchRl(
        algo=make_algo(settings),
        agent=PgAgent(),
        sampler=SerialSampler(env=env, batch_T=settings.rollout, batch_B=settings.num_envs),
        n_steps=settings.total,
        log_interval_steps=10_000,  # as in a run of half a million steps, not of this short one
        seed=settings.seed,
        device="cpu",
        torch_threads=settings.threads,
    )
    train_ticking(runner, settings, watch)
