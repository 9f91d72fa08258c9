"""Whether what a checkpoint holds can be loaded into a runner with other settings."""

from typing import Any, NamedTuple

import torch

from rlpyt.checkpoint.tree import flatten
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.shapes import first_of, misfitting
from rlpyt.utils.config import fresh
from rlpyt.utils.errors import RlpytError

__all__ = ["Misfit", "misfit"]

_NAMED = 3  # parameters of those that do not fit
_TOLD = 200  # characters of torch's error


class Misfit(NamedTuple):
    """What cannot be loaded."""

    part: str  # the path of the component: agent, algo, algo.intrinsic
    why: str  # names and shapes


def misfit(runner: BaseRunner, state: dict[str, Any]) -> Misfit | None:
    """Why the agent or the algorithm of ``runner`` cannot take ``state``, the state of a run; None
    where they can. They are built for the trial; ``runner`` stays as it is.
    """
    runner = fresh(runner)
    cpu = torch.device("cpu")
    runner.agent.initialize(runner.sampler.env_spaces(), seed=runner.seed, device=cpu)
    here, _skeleton = flatten(runner.agent.state_dict())
    there, _skeleton = flatten(state["agent"])
    wrong = misfitting(here, there, "{name} {there}, now {here}")
    if wrong:
        return Misfit("agent", first_of(wrong, _NAMED))
    try:
        runner.agent.load_state_dict(state["agent"])
        runner.algo.initialize(
            runner.agent, n_itr=runner.n_itr, batch_spec=runner.sampler.batch_spec, seed=runner.seed
        )
        runner.algo.load_state_dict(state["algo"])
    except RlpytError as error:
        return Misfit(error.where if error.where.startswith("algo.") else "algo", error.what)
    except (KeyError, TypeError, ValueError, RuntimeError) as error:  # torch's, of other shapes
        told = " ".join(str(error).split())[:_TOLD]
        return Misfit("algo", f"the checkpoint's state of the algorithm does not fit: {told}")
    return None
