"""Launch a grid: two learning rates and two environments, two seeds each, over this machine.

Eight runs of 14_run_of_a_grid.py wait in a queue; as many go at a time as there are cores. When
this is interrupted, the same command with the same directory goes on. At the end they are compared.
An argument sets the number of environment steps of each run, another the directory.
"""

import sys
from pathlib import Path

from rlpyt.launch import VariantLevel, make_variants, quick_affinity_code, run_experiments
from rlpyt.logging import default_log_dir

n_steps = int(sys.argv[1]) if sys.argv[1:] else 20_000
directory = Path(sys.argv[2]) if sys.argv[2:] else default_log_dir("ppo_grid")
rates = VariantLevel([("algo", "learning_rate")], [(1e-3,), (1e-4,)], ["lr_1e-3", "lr_1e-4"])
tasks = VariantLevel(
    [("env",), ("n_steps",)],
    [("CartPole-v1", n_steps), ("Acrobot-v1", n_steps)],
    ["cartpole", "acrobot"],
)
variants, log_dirs = make_variants(rates, tasks)
run_experiments(
    script=Path(__file__).with_name("14_run_of_a_grid.py"),
    affinity_code=quick_affinity_code(use_gpu=False),
    experiment_title="ppo_grid",
    runs_per_setting=2,
    variants=variants,
    log_dirs=log_dirs,
    out=directory,
)
print(f"what became of them: rlpyt status {directory}")
