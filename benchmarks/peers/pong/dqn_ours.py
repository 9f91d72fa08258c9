"""Our DQN on Pong: four environments, one step of each and an update. Variants: see
:func:`peers.pong.ours.make_sampler`.
"""

from peers.measure import Stopwatch
from peers.our_training import train_ticking
from peers.our_version import version
from peers.pong.ours import make_sampler
from peers.pong.settings import DqnSettings
from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.algos.dqn.dqn import DQN
from rlpyt.replays.frames import FrameStorage
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl

__all__ = ["train", "version"]


def train(settings: DqnSettings, watch: Stopwatch) -> None:
    algo = DQN(
        discount=settings.discount,
        replay=ReplayBuffer(size=settings.replay_size, storage=FrameStorage(n_frames=4)),
        batch_size=settings.minibatch,
        min_steps_learn=settings.learning_starts,
        replay_ratio=settings.minibatch / settings.train_every,
        learning_rate=settings.learning_rate,
        optim_kwargs={"eps": settings.adam_eps},
        target_update_interval=settings.target_every // settings.train_every,
        clip_grad_norm=None,
    )
    epsilon = EpsilonGreedy(initial=settings.epsilon, final=settings.epsilon)
    runner = MinibatchRl(
        algo=algo,
        agent=DqnAgent(epsilon=epsilon),
        sampler=make_sampler(settings, settings.train_every // settings.num_envs),
        n_steps=settings.total,
        log_interval_steps=10_000,
        seed=settings.seed,
        device="cpu",
        torch_threads=settings.threads,
    )
    train_ticking(runner, settings, watch)
