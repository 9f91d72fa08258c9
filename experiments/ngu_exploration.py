"""NGU where reward is far away: a sparse chain, a grid with keys and a door, and hard Atari games.

    python experiments/ngu_exploration.py ngu_SparseChain --seed 1

Published for Atari (Badia et al. 2020a, arXiv:2002.06038, N = 32, 35e9 frames): Montezuma's Revenge
10.4k, Pitfall 8.4k, Private Eye 100k.

Source: the paper's hyperparameters. Differs: 32 environments, 40 steps at a time, instead of 256
actors; frames are stacked, and intrinsic rewards are scaled by their running deviation.
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
    return default_runner("ngu", env)


def atari(game: str) -> MinibatchRl:
    """10M steps of 32 environments by a family of 32."""
    return default_runner("ngu", EnvConfig(id=f"ALE/{game}-v5"))


EXPERIMENTS = {
    "ngu_SparseChain": partial(small, EnvConfig(id="rlpyt.envs:SparseChain")),
    "ngu_KeyDoorGrid": partial(key_door_grid, "ngu"),
} | {f"ngu_{game}": partial(atari, game) for game in GAMES}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
