"""Our PPO on Pong. Variants: see :func:`peers.pong.ours.make_sampler`."""

from peers.measure import Stopwatch
from peers.our_training import train_ticking
from peers.our_version import version
from peers.pong.ours import make_sampler
from peers.pong.settings import PpoSettings
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.pg.ppo import PPO
from rlpyt.runners.minibatch_rl import MinibatchRl

__all__ = ["train", "version"]


def train(settings: PpoSettings, watch: Stopwatch) -> None:
    algo = PPO(
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
    )
    runner = MinibatchRl(
        algo=algo,
        agent=PgAgent(),
        sampler=make_sampler(settings, settings.rollout),
        n_steps=settings.total,
        log_interval_steps=10_000,
        seed=settings.seed,
        device="cpu",
        torch_threads=settings.threads,
    )
    train_ticking(runner, settings, watch)
