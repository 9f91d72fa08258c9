"""DQN, C51, Rainbow, QR-DQN and IQN on Atari, with the settings of Dopamine.

    python experiments/dqn_atari.py Pong --seed 1 --steps 750000
    python experiments/dqn_atari.py rainbow_Pong --seed 1 --steps 750000

Needs ``pip install -c constraints.txt -e ".[atari]"``. The full run of 50M agent steps takes days
on CPUs; the first three iterations of 250k steps of DQN take about 80 minutes on one core. The
replay takes 7 GB; less with ``algo.replay.size=200000``, which is another setting.

Published training returns of Pong in the first three iterations (Castro et al. 2018, five seeds):
DQN -20.2 ± 0.1, -18.5 ± 0.8, -16.3 ± 1.2; C51 -20.5, -20.5, -20.1; Rainbow -20.4, -20.6,
-18.7 ± 0.8; QR-DQN -19.9 ± 0.2, -15.8 ± 1.7, -9.5 ± 3.5; IQN -19.4 ± 0.2, -13.8 ± 1.0, -8.9 ± 1.3.

Source: the configurations dqn, c51, rainbow, quantile and implicit_quantile of Dopamine's JAX
agents (Castro et al. 2018, arXiv:1812.06110). Its DQN has Adam and the squared error, its Rainbow
is C51 with three steps and priorities only.

Differs from the source: four games are stepped together, with one gradient step for each step of
the four, which is the same ratio. Dopamine's convolutions pad their input with zeros. Its squared
error is twice ours: with half of Adam's ε, 0.75e-4 for 1.5e-4, the steps are the same. That
matters: gradients are of ε's size. Its priorities are the losses themselves, ours the divergence
(Rainbow) and the absolute error of the means (QR-DQN). Its IQN acts by 32 random quantiles, ours by
32 evenly spaced ones.
"""

from functools import partial

from command_line import main

from rlpyt.agents import DqnAgent, EpsilonGreedy
from rlpyt.algos import DQN, IQN, QRDQN, CategoricalDQN
from rlpyt.algos.dqn import QAlgorithm
from rlpyt.envs import AtariConfig, AtariTrajInfo, EnvConfig
from rlpyt.replays import FrameStorage, Prioritized, ReplayBuffer
from rlpyt.runners import MinibatchRl
from rlpyt.samplers import SerialSampler

GAMES = ("Pong", "Breakout", "Asterix", "Qbert", "Seaquest", "SpaceInvaders")
COMMON = {
    "discount": 0.99,
    "batch_size": 32,
    "min_steps_learn": 20_000,
    "replay_ratio": 8.0,  # a batch of 32 for every 4 steps
    "target_update_interval": 2_000,  # gradient steps, that is 8000 agent steps
    "clip_grad_norm": None,
}
EPSILON = EpsilonGreedy(final=0.01, delay=20_000, steps=250_000)


def replay(n_step_return: int = 1, prioritized: Prioritized | None = None) -> ReplayBuffer:
    """A million transitions."""
    return ReplayBuffer(
        size=1_000_000,
        storage=FrameStorage(n_frames=4),
        n_step_return=n_step_return,
        prioritized=prioritized,
    )


def runner(game: str, algo: QAlgorithm, agent: DqnAgent) -> MinibatchRl:
    """50M agent steps (200M frames) with sticky actions, to the end of the game."""
    return MinibatchRl(
        algo=algo,
        agent=agent,
        sampler=SerialSampler(
            env=EnvConfig(id=f"ALE/{game}-v5", atari=AtariConfig(noop_max=0)),
            batch_T=1,
            batch_B=4,
            TrajInfoCls=AtariTrajInfo,
        ),
        n_steps=50_000_000,
        log_interval_steps=10_000,
        log_traj_window=10,
        checkpoint_interval_steps=250_000,
        keep_checkpoints=1,
    )


def dqn(game: str) -> MinibatchRl:
    """DQN."""
    algo = DQN(
        replay=replay(),
        delta_clip=None,
        learning_rate=6.25e-5,
        optim_kwargs={"eps": 0.75e-4},
        **COMMON,
    )
    return runner(game, algo, DqnAgent(epsilon=EPSILON))


def c51(game: str) -> MinibatchRl:
    """C51."""
    algo = CategoricalDQN(
        replay=replay(), learning_rate=2.5e-4, optim_kwargs={"eps": 3.125e-4}, **COMMON
    )
    return runner(game, algo, categorical_agent())


def rainbow(game: str) -> MinibatchRl:
    """C51 with three steps and priorities; α and β are 1/2 throughout."""
    halves = Prioritized(alpha=0.5, beta=0.5, beta_final=0.5)
    algo = CategoricalDQN(
        replay=replay(n_step_return=3, prioritized=halves),
        learning_rate=6.25e-5,
        optim_kwargs={"eps": 1.5e-4},
        **COMMON,
    )
    return runner(game, algo, categorical_agent())


def categorical_agent() -> DqnAgent:
    """51 returns from -10 to 10."""
    model_kwargs = {"head": "categorical", "n_atoms": 51}
    return DqnAgent(model_kwargs=model_kwargs, value_range=(-10.0, 10.0), epsilon=EPSILON)


def qrdqn(game: str) -> MinibatchRl:
    """QR-DQN with three steps and priorities, whose weights Dopamine does not let into the
    gradient: β is 0.
    """
    unweighted = Prioritized(alpha=0.5, beta=0.0, beta_final=0.0)
    algo = QRDQN(
        replay=replay(n_step_return=3, prioritized=unweighted),
        kappa=1.0,
        learning_rate=5e-5,
        optim_kwargs={"eps": 3.125e-4},
        **COMMON,
    )
    agent = DqnAgent(model_kwargs={"head": "quantile", "n_quantiles": 200}, epsilon=EPSILON)
    return runner(game, algo, agent)


def iqn(game: str) -> MinibatchRl:
    """IQN with three steps."""
    algo = IQN(
        replay=replay(n_step_return=3),
        kappa=1.0,
        n_fractions=64,
        n_target_fractions=64,
        learning_rate=5e-5,
        optim_kwargs={"eps": 3.125e-4},
        **COMMON,
    )
    agent = DqnAgent(model_kwargs={"head": "implicit", "n_quantiles": 32}, epsilon=EPSILON)
    return runner(game, algo, agent)


EXPERIMENTS = {game: partial(dqn, game) for game in GAMES} | {
    f"{build.__name__}_{game}": partial(build, game)
    for build in (c51, rainbow, qrdqn, iqn)
    for game in GAMES
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
