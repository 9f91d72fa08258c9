"""NGU where reward is far away: a sparse chain, a grid with keys and a door, and hard Atari games.

    python experiments/ngu_exploration.py ngu_SparseChain --seed 1

Published for Atari (Badia et al. 2020a, arXiv:2002.06038, N = 32, 35e9 frames): Montezuma's Revenge
10.4k, Pitfall 8.4k, Private Eye 100k.

Source: the paper's hyperparameters. Differs: 32 environments, 40 steps at a time, instead of 256
actors; frames are stacked, and intrinsic rewards are scaled by their running deviation.
"""

from dataclasses import replace
from functools import partial

from command_line import main

from rlpyt.agents import ArmAgent
from rlpyt.algos import NGU
from rlpyt.cli.presets import default_runner
from rlpyt.envs import EnvConfig
from rlpyt.runners import MinibatchRl

EPISODE = 40  # steps of KeyDoorGrid, at most
GAMES = ("MontezumaRevenge", "Pitfall", "PrivateEye")


def small(env: EnvConfig) -> MinibatchRl:
    """100k steps of 16 environments by a family of 8."""
    return default_runner("ngu", env)


def key_door() -> MinibatchRl:
    """300k steps. Each sequence is an episode from its cue on; half of them are learned from for
    other arms; novelty counts less, that the one reward is not lost in it.
    """
    made = small(EnvConfig(id="rlpyt.envs:KeyDoorGrid"))
    assert isinstance(made.algo, NGU)
    assert isinstance(made.agent, ArmAgent)
    algo = replace(
        made.algo,
        replay=replace(made.algo.replay, sequence_length=EPISODE, rnn_state_interval=EPISODE),
        replay_ratio=64.0,
        learning_rate=5e-4,
        learning_rate_schedule="linear",
        cross_mixture=0.5,
    )
    return replace(
        made,
        algo=algo,
        agent=replace(made.agent, intrinsic_weight=0.1),
        sampler=replace(made.sampler, batch_T=EPISODE, mid_batch_reset=False),
        n_steps=300_000,
    )


def atari(game: str) -> MinibatchRl:
    """10M steps of 32 environments by a family of 32."""
    return default_runner("ngu", EnvConfig(id=f"ALE/{game}-v5"))


EXPERIMENTS = {
    "ngu_SparseChain": partial(small, EnvConfig(id="rlpyt.envs:SparseChain")),
    "ngu_KeyDoorGrid": partial(key_door),
} | {f"ngu_{game}": partial(atari, game) for game in GAMES}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
