"""What gradient steps report, as numbers for the log."""

import math
from collections.abc import Sequence
from typing import NamedTuple

import torch
from torch import Tensor

from rlpyt.data import OptInfo
from rlpyt.utils.errors import RlpytError

__all__ = ["opt_info", "step_info"]


def opt_info(
    losses: Sequence[NamedTuple], norms: Sequence[Tensor], norm_name: str = "gradNorm"
) -> OptInfo:
    """One value per gradient step for each part of the losses, and the gradient's norm.

    Nothing of no steps.

    Raises:
        RlpytError: ``diverged``, where a gradient was not finite.
    """
    if not losses:
        return {}
    table = [(*parts, norm) for parts, norm in zip(losses, norms, strict=True)]
    if norms[0].device.type == "cpu":
        rows = [[value.item() for value in row] for row in table]
    else:  # one transfer
        rows = torch.stack([torch.stack(row) for row in table]).tolist()
    columns = [list(column) for column in zip(*rows, strict=True)]
    bad = [i for i, norm in enumerate(columns[-1]) if not math.isfinite(norm)]
    if bad:
        raise RlpytError(
            "diverged",
            f"the gradient's norm is {columns[-1][bad[0]]}: the parameters are lost",
            where=f"{norm_name} of update {bad[0] + 1} of {len(norms)} in this iteration",
            hint="lower algo.learning_rate or algo.clip_grad_norm, or look at the rewards' scale; "
            "the newest checkpoint is from before",
        )
    return dict(zip([*losses[0]._fields, norm_name], columns, strict=True))


def step_info(steps: Sequence[tuple[NamedTuple, Tensor]], norm_name: str) -> OptInfo:
    """As :func:`opt_info`, of each step's losses and its gradient's norm."""
    return opt_info(
        [losses for losses, _norm in steps], [norm for _losses, norm in steps], norm_name
    )
