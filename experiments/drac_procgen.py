"""DrAC on Procgen (easy, 200 levels), with the settings of its paper (Raileanu et al. 2020,
arXiv:2006.12862), and its crop for every game.

    python experiments/drac_procgen.py bigfish --seed 1

Needs ``pip install -c constraints.txt -e ".[envpool]"`` and Qt 5: see ``procgen_games.py``.

Published returns of UCB-DrAC, which also chooses the augmentation, on levels that were not learned
on, after 25M steps (10 seeds, read off a figure of Raileanu & Fergus 2021): bigfish 9.2,
starpilot 30, fruitbot 27.5, bossfight 7.8, ninja 6.5, plunder 8.3, caveflyer 5.0, coinrun 8.5,
jumper 6.2, chaser 6.3, climber 6.3, dodgeball 4.2, heist 3.5, leaper 4.8, maze 6.3, miner 9.2.
"""

from functools import partial

from command_line import main
from procgen_games import GAMES, on_procgen

from rlpyt.agents import PgAgent
from rlpyt.algos import DrAC
from rlpyt.augment import RandomShift
from rlpyt.runners import MinibatchRl


def drac_procgen(game: str) -> MinibatchRl:
    """DrAC for 25M steps."""
    algo = DrAC(
        discount=0.999,
        gae_lambda=0.95,
        learning_rate=5e-4,
        epochs=3,
        minibatches=8,
        ratio_clip=0.2,
        value_clip=0.2,
        value_loss_coeff=0.5,
        entropy_loss_coeff=0.01,
        clip_grad_norm=0.5,
        augmentation=RandomShift(pad=12),  # 12 pixels of padding, then a crop of 64 x 64
        augmentation_loss_coeff=0.1,
    )
    return on_procgen(algo, PgAgent(model_kwargs={"image": "impala"}), game)


EXPERIMENTS = {game: partial(drac_procgen, game) for game in GAMES}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
