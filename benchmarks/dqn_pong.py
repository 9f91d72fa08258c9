"""DQN on Pong: steps per second of the whole training loop, ours against peers.

    python benchmarks/dqn_pong.py --rounds 3 --json out.json
    python benchmarks/dqn_pong.py --quick --only rlpyt,single-file
    python benchmarks/dqn_pong.py --python dqn_single_file=/path/to/venv/bin/python

Twice: with epsilon 0.1, where nearly every action takes a look at the network, and with 1.0, as
in the first steps of a run. Every implementation runs in a fresh process of its own, in turn, with
1 and with 2 torch threads, the same settings and the same preprocessing; the turn is repeated
``--rounds`` times with rotated order. Its better number of threads counts. Learning starts in the
stretch that is not measured. README.md beside this file says what could not be set equal. Speeds of
different runs or machines do not compare; ratios of one run do.
"""

from typing import Any

from peers.contest import Entry
from peers.pong.command import ALE, SB3, command
from peers.pong.settings import DqnSettings

FIELD = (
    Entry(name="rlpyt", label="rlpyt", module="dqn_ours", is_ours=True),
    Entry(
        name="rlpyt-cpu",
        label="rlpyt (2 workers)",
        module="dqn_ours",
        variant="cpu",
        is_ours=True,
    ),
    Entry(
        name="sb3",
        label="Stable-Baselines3",
        module="dqn_stable_baselines3",
        install=SB3,
        variant="one",
    ),
    Entry(
        name="sb3-four",
        label="Stable-Baselines3 (4 envs)",
        module="dqn_stable_baselines3",
        install=SB3,
        variant="four",
    ),
    Entry(
        name="single-file",
        label="single file, CleanRL style",
        module="dqn_single_file",
        install=ALE,
        variant="gym-one",
    ),
    Entry(
        name="single-file-ale-four",
        label="single file (ale-py's vector env, 4)",
        module="dqn_single_file",
        install=ALE,
        variant="ale-four",
    ),
    Entry(
        name="single-file-envpool-four",
        label="single file (EnvPool, 4)",
        module="dqn_single_file",
        install=f"{ALE} envpool==1.2.5",
        variant="pool-four",
    ),
)


def settings(**options: Any) -> list[DqnSettings]:
    return [DqnSettings(epsilon=epsilon, **options) for epsilon in (0.1, 1.0)]


if __name__ == "__main__":
    assert __doc__ is not None
    command(__doc__, "DQN on Pong: the whole training loop", FIELD, settings)
