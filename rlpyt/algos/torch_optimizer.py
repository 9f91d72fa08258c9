"""An optimizer of torch over one vector: which of them can have that, and how they are built."""

from typing import Any, Final

import torch
from torch import Tensor

from rlpyt.utils.errors import RlpytError

__all__ = ["build_optimizer"]

_FUSED: Final = frozenset({torch.optim.Adam, torch.optim.AdamW, torch.optim.SGD})
_ELEMENTWISE: Final = _FUSED | {
    torch.optim.Adadelta,
    torch.optim.Adagrad,
    torch.optim.Adamax,
    torch.optim.ASGD,
    torch.optim.NAdam,
    torch.optim.RAdam,
    torch.optim.RMSprop,
    torch.optim.Rprop,
}


def build_optimizer(
    OptimCls: type[torch.optim.Optimizer], vector: Tensor, chosen: dict[str, Any]
) -> torch.optim.Optimizer:
    """An optimizer of one tensor, fused where torch can; its learning rate is set in each step.

    Raises:
        RlpytError: for options that ``OptimCls`` does not take, ``lr`` among them, or an optimizer
            that does not work element by element.
    """
    if "lr" in chosen:
        hint = "set algo.learning_rate"
        raise RlpytError("config", "algo.optim_kwargs.lr is not used", hint=hint)
    if OptimCls not in _ELEMENTWISE:
        known = ", ".join(sorted(cls.__name__ for cls in _ELEMENTWISE))
        what = f"algo.OptimCls={OptimCls.__name__} does not work element by element on one vector"
        raise RlpytError("config", what, hint=f"use one of {known}")
    options: dict[str, Any] = {"lr": 0.0, **chosen}
    if OptimCls in _FUSED and not {"foreach", "fused"} & chosen.keys():
        options["fused"] = True
    try:
        return OptimCls([vector], **options)
    except (TypeError, ValueError, RuntimeError) as error:
        what = f"algo.optim_kwargs={chosen} does not fit {OptimCls.__name__}: {error}"
        raise RlpytError("config", what, hint="see torch.optim") from error
