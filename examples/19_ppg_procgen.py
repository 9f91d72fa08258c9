"""PPG on Procgen's CoinRun: learn on 200 levels, be judged on all of them.

Needs ``pip install -c constraints.txt -e ".[envpool]"`` and Qt 5
(``apt install libqt5core5a libqt5gui5``). Training for the published 25M steps takes an
accelerator; an argument sets the number of steps. The settings here are for a CPU: shorter
batches, and a smaller network than ``experiments/ppg_procgen.py`` has.
"""

import sys

from rlpyt.agents import PgAgent
from rlpyt.algos import PPG
from rlpyt.envs import EnvConfig
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.models import DecoupledPgModel
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

n_steps = int(sys.argv[1]) if sys.argv[1:] else 200_000
task = "envpool/CoinrunEasy-v0"
algo = PPG(
    minibatches=4,
    policy_iterations=4,  # PPO's part of a phase; then the value is distilled into the policy
    auxiliary_epochs=2,
    auxiliary_minibatches=4,
)
model = {"auxiliary": "value"}  # two networks, the policy's with a value head
runner = MinibatchRl(
    algo=algo,
    agent=PgAgent(ModelCls=DecoupledPgModel, model_kwargs=model),
    sampler=SerialSampler(
        env=EnvConfig(id=task, kwargs={"num_levels": 200}), batch_T=16, batch_B=8
    ),
    evaluator=Evaluator(episodes=4, n_envs=4, env=EnvConfig(id=task, kwargs={"num_levels": 0})),
    n_steps=n_steps,
)
with logger_context(default_log_dir("ppg_coinrun"), run_ID=0, name="ppg") as logger:
    runner.train(logger)
