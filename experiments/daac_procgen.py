"""DAAC, and DrDAAC, on Procgen (easy, 200 levels), with the settings of DAAC's paper that are the
same for all games (Raileanu & Fergus 2021, arXiv:2102.10330).

    python experiments/daac_procgen.py bigfish --seed 1
    python experiments/daac_procgen.py drdaac_bigfish --seed 1

Needs ``pip install -c constraints.txt -e ".[envpool]"`` and Qt 5: see ``procgen_games.py``.

Published returns of DAAC on levels that were not learned on, after 25M steps (10 seeds, read off a
figure there, the best settings for each game): bigfish 17.9, starpilot 36, fruitbot 28.5,
bossfight 9.6, ninja 6.8, plunder 20.6, caveflyer 4.6, coinrun 9.3, jumper 6.4, chaser 6.5,
climber 7.8, dodgeball 3.2, heist 3.2, leaper 7.3, maze 5.5, miner 8.6. None for DrDAAC.

Differs from the source: one setting for all games, and the orthogonal initialisation.
"""

from functools import partial

from command_line import main
from procgen_games import GAMES, on_procgen

from rlpyt.agents import PgAgent
from rlpyt.algos import DAAC
from rlpyt.augment import RandomShift
from rlpyt.models import DecoupledPgModel
from rlpyt.runners import MinibatchRl


def daac_procgen(game: str, *, augmented: bool = False) -> MinibatchRl:
    """DAAC for 25M steps; ``augmented``: DrDAAC, with DrAC's crop."""
    algo = DAAC(
        discount=0.999,
        gae_lambda=0.95,
        learning_rate=5e-4,
        epochs=1,
        minibatches=8,
        value_epochs=9,
        value_interval=1,
        ratio_clip=0.2,
        value_clip=0.2,
        advantage_loss_coeff=0.25,
        entropy_loss_coeff=0.01,
        clip_grad_norm=0.5,
        augmentation=RandomShift(pad=12) if augmented else None,
        augmentation_loss_coeff=0.1,
    )
    model = {"auxiliary": "advantage", "image": "impala"}
    agent = PgAgent(ModelCls=DecoupledPgModel, model_kwargs=model)
    return on_procgen(algo, agent, game)


EXPERIMENTS = {
    **{game: partial(daac_procgen, game) for game in GAMES},
    **{f"drdaac_{game}": partial(daac_procgen, game, augmented=True) for game in GAMES},
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
