"""Our SAC on HalfCheetah: ``SerialSampler`` and ``MinibatchRl``, one step and one update an
iteration. Variants "compile" and "trace": the gradient steps are compiled, or traced.
"""

from peers.halfcheetah.settings import SacSettings
from peers.measure import Stopwatch
from peers.our_training import train_ticking
from peers.our_version import version
from rlpyt.agents.qpg import QpgAgent
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.algos.optimizer import Compile
from rlpyt.algos.qpg.sac import SAC
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler

__all__ = ["make_runner", "train", "version"]

COMPILE: dict[str, Compile] = {"compile": True, "trace": "trace"}


def make_runner(settings: SacSettings) -> MinibatchRl:
    algo = SAC(
        discount=settings.discount,
        replay=ReplayBuffer(size=settings.replay_size),
        batch_size=settings.minibatch,
        min_steps_learn=settings.learning_starts,
        replay_ratio=settings.minibatch,
        learning_rate=settings.learning_rate,
        n_critics=2,
        critic_kwargs={"hidden_sizes": settings.hidden},
        target_update_tau=settings.tau,
        compile=COMPILE.get(settings.variant, False),
    )
    exploration = QpgExploration(random_steps=settings.learning_starts)
    return MinibatchRl(
        algo=algo,
        agent=QpgAgent(exploration=exploration, model_kwargs={"hidden_sizes": settings.hidden}),
        sampler=SerialSampler(env=EnvConfig(id=settings.env_id), batch_T=1, batch_B=1),
        n_steps=settings.total,
        log_interval_steps=10_000,
        seed=settings.seed,
        device="cpu",
        torch_threads=settings.threads,
    )


def train(settings: SacSettings, watch: Stopwatch) -> None:
    train_ticking(make_runner(settings), settings, watch)
