"""``rlpyt hash``: one line that two runs are compared by."""

import argparse
from pathlib import Path

import torch

from rlpyt.checkpoint.hashing import state_hash
from rlpyt.checkpoint.tree import flatten
from rlpyt.cli.command import Command
from rlpyt.cli.rundir import checkpoints_of, find_run

__all__ = ["COMMAND"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument("run_dir", type=Path, metavar="RUN_DIR", help="the run's directory")


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    state, _manifest = checkpoints_of(find_run(args.run_dir)).load_latest()
    arrays, _skeleton = flatten(state["agent"])
    print(state_hash({name: torch.as_tensor(array) for name, array in arrays.items()}))
    return 0


COMMAND = Command(
    summary="SHA-256 of a run's newest parameters",
    description=(
        "Print one SHA-256 over names, types, shapes and bits of the parameters in the newest\n"
        "checkpoint: runs with equal parameters print equal lines."
    ),
    examples="example:\n  rlpyt hash data/cartpole",
    add_arguments=_add_arguments,
    run=_run,
)
