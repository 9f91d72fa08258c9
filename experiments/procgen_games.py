"""What experiments on Procgen share: its games through EnvPool, 200 levels to learn on, all to be
judged on, and the batches of the literature.

Needs ``pip install -c constraints.txt -e ".[envpool]"`` and Qt 5
(``apt install libqt5core5a libqt5gui5``).
"""

from rlpyt.agents import PgAgent
from rlpyt.algos import RlAlgorithm
from rlpyt.envs import EnvConfig
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

GAMES = (
    "bigfish",
    "bossfight",
    "caveflyer",
    "chaser",
    "climber",
    "coinrun",
    "dodgeball",
    "fruitbot",
    "heist",
    "jumper",
    "leaper",
    "maze",
    "miner",
    "ninja",
    "plunder",
    "starpilot",
)


def on_procgen(algo: RlAlgorithm, agent: PgAgent, game: str) -> MinibatchRl:
    """25M steps of ``game`` in its easy mode: 64 environments, 256 steps of each in a batch."""
    task = f"envpool/{game.capitalize()}Easy-v0"
    return MinibatchRl(
        algo=algo,
        agent=agent,
        sampler=SerialSampler(
            env=EnvConfig(id=task, kwargs={"num_levels": 200, "start_level": 0}),
            batch_T=256,
            batch_B=64,
        ),
        evaluator=Evaluator(
            episodes=64,
            n_envs=64,
            greedy=False,
            env=EnvConfig(id=task, kwargs={"num_levels": 0}),
        ),
        n_steps=25_000_000,
        log_interval_steps=16_384 * 32,
        torch_threads=None,  # convolutions gain from more than one
    )
