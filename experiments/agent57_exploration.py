"""Agent57 where reward is far away: a sparse chain, a key-door grid, and hard Atari games.

    python experiments/agent57_exploration.py agent57_SparseChain --seed 1

Published for Atari (Badia et al. 2020b, arXiv:2003.13350, N = 32, 90e9 frames): above the human
score in all of 57 games; Montezuma's Revenge 9.4k, Pitfall 18.8k, Private Eye 79.7k.

Source: the paper's hyperparameters. Differs: 32 environments, 40 steps at a time, instead of 256
actors; frames are stacked, and intrinsic rewards are scaled by their running deviation. A bandit's
window is 90 episodes as in the paper's table, where its text says 160; 40 steps of burn-in are
R2D2's.
"""

from functools import partial

from command_line import main
from key_door_grid import key_door_grid

from rlpyt.cli.presets import default_runner
from rlpyt.envs import EnvConfig
from rlpyt.runners import MinibatchRl

GAMES = ("MontezumaRevenge", "Pitfall", "PrivateEye")


def small(env: EnvConfig) -> MinibatchRl:
    """100k steps of 16 environments by a family of 8."""
    return default_runner("agent57", env)


def atari(game: str) -> MinibatchRl:
    """10M steps of 32 environments by a family of 32."""
    return default_runner("agent57", EnvConfig(id=f"ALE/{game}-v5"))


EXPERIMENTS = {
    "agent57_SparseChain": partial(small, EnvConfig(id="rlpyt.envs:SparseChain")),
    "agent57_KeyDoorGrid": partial(key_door_grid, "agent57"),
} | {f"agent57_{game}": partial(atari, game) for game in GAMES}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
