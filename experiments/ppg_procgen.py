"""PPG on Procgen (easy, 200 levels), with the settings of its paper (Cobbe et al. 2020,
arXiv:2009.04416).

    python experiments/ppg_procgen.py bigfish --seed 1

Needs ``pip install -c constraints.txt -e ".[envpool]"`` and Qt 5: see ``procgen_games.py``.

Published returns on levels that were not learned on, after 25M steps (10 seeds, read off a figure
of Raileanu & Fergus 2021): bigfish 11.1, starpilot 47, fruitbot 28, bossfight 10.3, ninja 6.6,
plunder 14.3, caveflyer 7.0, coinrun 8.9, jumper 5.9, chaser 9.6, climber 7.4, dodgeball 2.4,
heist 2.8, leaper 8.6, maze 5.1, miner 7.3.

Differs from the source: gradients are clipped at a norm of 0.5. A phase's observations take 6 GB
of memory, and as much in a checkpoint.
"""

from functools import partial

from command_line import main
from procgen_games import GAMES, on_procgen

from rlpyt.agents import PgAgent
from rlpyt.algos import PPG
from rlpyt.models import DecoupledPgModel
from rlpyt.runners import MinibatchRl


def ppg_procgen(game: str) -> MinibatchRl:
    """PPG for 25M steps."""
    algo = PPG(
        discount=0.999,
        gae_lambda=0.95,
        learning_rate=5e-4,
        epochs=1,
        minibatches=8,
        ratio_clip=0.2,
        entropy_loss_coeff=0.01,
        policy_iterations=32,
        auxiliary_epochs=6,
        auxiliary_minibatches=16,
        clone_coeff=1.0,
        optim_kwargs={"eps": 1e-8},
    )
    model = {"auxiliary": "value", "image": "impala"}
    agent = PgAgent(ModelCls=DecoupledPgModel, model_kwargs=model)
    return on_procgen(algo, agent, game)


EXPERIMENTS = {game: partial(ppg_procgen, game) for game in GAMES}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
