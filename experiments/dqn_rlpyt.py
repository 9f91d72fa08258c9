"""The DQN family and R2D1 on Atari, with the settings of rlpyt 0.1.

    python experiments/dqn_rlpyt.py ernbw_Seaquest --seed 1

Needs ``pip install -c constraints.txt -e ".[atari]"``, and days: try ``--steps 100000`` first. The
replay takes 7 GB; less with ``algo.replay.size=200000``, which is another setting.

The paper (Stooke & Abbeel 2019, arXiv:1909.01500) has learning curves and no table. Names are those
of its configurations: ernbw is Rainbow with ε instead of noisy layers.

Source: configs/atari/dqn/atari_dqn.py and atari_r2d1.py of rlpyt 0.1, and the defaults of its
algorithms. One gradient step there uses a batch of 128 for every 16 steps, four times the batch and
a quarter of the steps of most; R2D1's uses 32 sequences for every 960.

Differs from the source: images are 84 x 84 and not 80 x 104, and convolutions have no padding. FIRE
is pressed as a game starts, and not after a lost life. An evaluation is 20 games, each environment
the same number, instead of what 4 environments finish in 125,000 steps. R2D1's batches go on into
the next episode instead of waiting; its replay ratio counts the steps learned from, that of rlpyt
0.1 also those of the burn-in: 8/3 for 4. The target network starts as a copy of the online one.
"""

from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from command_line import main

from rlpyt.agents import DqnAgent, EpsilonGreedy
from rlpyt.algos import DQN, R2D1, CategoricalDQN
from rlpyt.envs import AtariConfig, AtariTrajInfo, EnvConfig
from rlpyt.replays import FrameStorage, Prioritized, ReplayBuffer
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

GAMES = ("Pong", "Seaquest", "Qbert", "ChopperCommand")
COMMON = {
    "discount": 0.99,
    "batch_size": 128,
    "min_steps_learn": 50_000,
    "replay_ratio": 8.0,
    "target_update_interval": 312,  # gradient steps
    "clip_grad_norm": 10.0,
    "optim_kwargs": {"eps": 0.01 / 128},
}
PRIORITIZED = Prioritized(alpha=0.6, beta=0.4, beta_final=1.0, beta_steps=50_000_000)


def runner(
    game: str,
    algo: DQN | CategoricalDQN | R2D1,
    model_kwargs: Mapping[str, Any],
    *,
    batch_T: int = 2,
    batch_B: int = 16,
    reward_clip: float | None = 1.0,
    n_steps: int = 50_000_000,
) -> MinibatchRl:
    """Agent steps, 4 frames each; a lost life ends an episode in training."""
    convention = AtariConfig.no_frameskip_v4()
    atari = replace(convention, use_fire_reset=True, reward_clip=reward_clip)
    delay = algo.min_steps_learn
    return MinibatchRl(
        algo=algo,
        agent=DqnAgent(
            model_kwargs=dict(model_kwargs),
            epsilon=EpsilonGreedy(final=0.01, delay=delay, steps=1_000_000 - delay),
        ),
        sampler=SerialSampler(
            env=EnvConfig(id=f"{game}NoFrameskip-v4", atari=atari),
            batch_T=batch_T,
            batch_B=batch_B,
            max_decorrelation_steps=1_000,
            TrajInfoCls=AtariTrajInfo,
        ),
        evaluator=Evaluator(episodes=20, greedy=False),  # with ε = 0.001
        n_steps=n_steps,
        log_interval_steps=1_000_000,
    )


def replay(n_step_return: int = 1, prioritized: Prioritized | None = None) -> ReplayBuffer:
    """A million transitions."""
    return ReplayBuffer(
        size=1_000_000,
        storage=FrameStorage(n_frames=4),
        n_step_return=n_step_return,
        prioritized=prioritized,
    )


def dqn(
    game: str,
    *,
    double: bool = False,
    dueling: bool = False,
    prioritized: Prioritized | None = None,
) -> MinibatchRl:
    """DQN, with what is asked for."""
    algo = DQN(
        replay=replay(prioritized=prioritized),
        double=double,
        delta_clip=1.0,
        learning_rate=1e-4,
        **COMMON,
    )
    return runner(game, algo, {"dueling": dueling})


def catdqn(game: str) -> MinibatchRl:
    """C51: 51 returns from -10 to 10, as the agent has by default."""
    algo = CategoricalDQN(replay=replay(), learning_rate=2.5e-4, **COMMON)
    return runner(game, algo, {"head": "categorical"})


def ernbw(game: str) -> MinibatchRl:
    """Rainbow without noisy layers."""
    memory = replay(n_step_return=3, prioritized=PRIORITIZED)
    algo = CategoricalDQN(replay=memory, double=True, learning_rate=6.25e-5, **COMMON)
    return runner(game, algo, {"head": "categorical", "dueling": True})


def r2d1(game: str) -> MinibatchRl:
    """R2D1 for 100M agent steps: rewards are not clipped, values are rescaled."""
    algo = R2D1(
        discount=0.997,
        replay=ReplayBuffer(
            size=1_000_000,
            storage=FrameStorage(n_frames=4),
            sequence_length=80,
            burn_in=40,
            rnn_state_interval=40,
            n_step_return=5,
            prioritized=Prioritized(alpha=0.9, beta=0.6, beta_final=0.6, eta=0.9),
        ),
        batch_size=32,
        min_steps_learn=100_000,
        replay_ratio=8 / 3,  # one gradient step for every batch of samples
        learning_rate=1e-4,
        optim_kwargs={"eps": 1e-3},
        target_update_interval=2_500,
        clip_grad_norm=80.0,
        double=True,
        value_scale_eps=1e-3,
    )
    model_kwargs = {"recurrent": "lstm", "rnn_size": 512, "dueling": True}
    return runner(
        game, algo, model_kwargs, batch_T=30, batch_B=32, reward_clip=None, n_steps=100_000_000
    )


VARIANTS = {
    "dqn": dqn,
    "double": partial(dqn, double=True),
    "dueling": partial(dqn, dueling=True),
    "prioritized": partial(dqn, prioritized=PRIORITIZED),
    "double_pri_duel": partial(dqn, double=True, dueling=True, prioritized=PRIORITIZED),
    "catdqn": catdqn,
    "ernbw": ernbw,
    "r2d1": r2d1,
}
EXPERIMENTS = {
    f"{name}_{game}": partial(build, game) for name, build in VARIANTS.items() for game in GAMES
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
