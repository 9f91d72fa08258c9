"""``rlpyt replay-update``: a gradient step that failed, once more."""

import argparse
import pdb
import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from rlpyt.algos.flat import named_parts
from rlpyt.cli.command import RUN_ERROR, USAGE_ERROR, Command, one_line, print_error
from rlpyt.runners.failed_update import SavedUpdate, load_update
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.finite import first_bad, named_tensors

__all__ = ["COMMAND"]


def _add_arguments(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "file", type=Path, metavar="FILE", help="a failed update: RUN_DIR/failed_updates/..."
    )
    parser.add_argument(
        "--debug", action="store_true", help="stop in Python's debugger where it is taken"
    )


def _run(args: argparse.Namespace, overrides: list[str]) -> int:
    try:
        saved = load_update(args.file)
    except RlpytError as error:  # there is nothing to take again
        print_error(error)
        return USAGE_ERROR
    algo = type(saved.runner.algo).__name__
    print(f"update     {saved.name} of {algo}, iteration {saved.itr}")
    print(f"recorded   {one_line(saved.told)}")
    before = {name: each.clone() for name, each in _parameters(saved).items()}
    return _taken(saved, before, is_debugged=args.debug)


def _taken(saved: SavedUpdate, before: Mapping[str, Tensor], *, is_debugged: bool) -> int:
    """Take the update, say what came of it; the exit code."""
    step = saved.step
    given = (saved.learning_rate, *saved.args)
    try:
        if is_debugged:
            taken: Any = pdb.Pdb().runcall(step.step, *given, share=saved.share)
        else:
            taken = step.step(*given, share=saved.share)
    except RlpytError as error:
        _table(saved, before)
        print(f"culprit    {_culprit(saved)}")
        print(f"reproduced: {one_line(error.what)}")
        return 0
    if taken is None:  # the debugger was left
        return RUN_ERROR
    report, norm = taken
    for name, value in named_tensors(report):
        print(f"  {name}: {value.float().mean().item():.6g}")
    _table(saved, before)
    print(f"not reproduced: the gradient's norm is {norm.item():.6g}")
    return RUN_ERROR


def _parameters(saved: SavedUpdate) -> dict[str, Tensor]:
    return named_parts(saved.step.model, saved.step.vector.detach())


def _table(saved: SavedUpdate, before: Mapping[str, Tensor]) -> None:
    """Each parameter: its largest number before, its gradient's, and how far it went."""
    after = _parameters(saved)
    gradient = saved.step.vector.grad
    assert gradient is not None
    gradients = named_parts(saved.step.model, gradient)
    width = max(map(len, before))
    print(f"{'parameter':{width}}  {'largest':>10}  {'gradient':>10}  {'step':>10}")
    for name, was in before.items():
        numbers = (was, gradients[name], after[name] - was)
        cells = "  ".join(f"{_largest(each):>10}" for each in numbers)
        print(f"{name:{width}}  {cells}")


def _largest(tensor: Tensor) -> str:
    bad = first_bad({"": tensor})
    return f"{tensor.abs().max().item():.4g}" if bad is None else f"{bad[1]}"


def _culprit(saved: SavedUpdate) -> str:
    """Which operation gave the first gradient that is not finite."""
    try:
        with warnings.catch_warnings(), torch.autograd.set_detect_anomaly(True, check_nan=True):
            warnings.simplefilter("ignore")  # of the forward call's stack, which ends here
            saved.step.eager(*saved.args)
    except RuntimeError as error:
        return one_line(str(error)).partition(" at ")[0]
    return "no operation of the backward pass gave a nan: infinite numbers, or the forward pass"


COMMAND = Command(
    summary="take a failed update once more",
    description=(
        "Take the one gradient step that FILE holds, as it was when its gradient was not finite,\n"
        "on the CPU: says what each term of the loss, each gradient and each parameter was, and\n"
        "the operation to blame. The code of the algorithm is run as it is now. With --debug it\n"
        "stops in Python's debugger (`s` steps into the loss).\n"
        "\n"
        "Exit code 0: it fails again. 1: it does not. 2: FILE cannot be read."
    ),
    examples=(
        "example:\n"
        "  rlpyt replay-update data/cartpole/failed_updates/itr_000000012_gradient --debug"
    ),
    add_arguments=_add_arguments,
    run=_run,
)
