"""PPO on Pong: steps per second of the whole training loop, ours against peers.

    python benchmarks/ppo_pong.py --rounds 3 --json out.json
    python benchmarks/ppo_pong.py --quick --only rlpyt,single-file-ale
    python benchmarks/ppo_pong.py --python ppo_single_file=/path/to/venv/bin/python

Every implementation runs in a fresh process of its own, in turn, with 1 and with 2 torch threads,
the same settings and the same preprocessing; the turn is repeated ``--rounds`` times with rotated
order. Its better number of threads counts. A first stretch of training is not measured. README.md
beside this file says what could not be set equal. Speeds of different runs or machines do not
compare; ratios of one run do.
"""

from typing import Any

from peers.contest import Entry
from peers.pong.command import ALE, SB3, command
from peers.pong.settings import PpoSettings

FIELD = (
    Entry(name="rlpyt", label="rlpyt", module="ppo_ours", is_ours=True),
    Entry(
        name="rlpyt-cpu",
        label="rlpyt (2 workers)",
        module="ppo_ours",
        variant="cpu",
        is_ours=True,
    ),
    Entry(
        name="sb3",
        label="Stable-Baselines3",
        module="ppo_stable_baselines3",
        install=SB3,
        variant="dummy",
    ),
    Entry(
        name="sb3-subproc",
        label="Stable-Baselines3 (SubprocVecEnv)",
        module="ppo_stable_baselines3",
        install=SB3,
        variant="subproc",
    ),
    Entry(
        name="single-file",
        label="single file, CleanRL style",
        module="ppo_single_file",
        install=ALE,
        variant="gym",
    ),
    Entry(
        name="single-file-ale",
        label="single file (ale-py's vector env)",
        module="ppo_single_file",
        install=ALE,
        variant="ale",
    ),
    Entry(
        name="single-file-envpool",
        label="single file (EnvPool)",
        module="ppo_single_file",
        install=f"{ALE} envpool==1.2.5",
        variant="pool",
    ),
)


def settings(**options: Any) -> list[PpoSettings]:
    return [PpoSettings(**options)]


if __name__ == "__main__":
    assert __doc__ is not None
    command(__doc__, "PPO on Pong: the whole training loop", FIELD, settings)
