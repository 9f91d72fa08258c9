"""A run that starts with what another has learned: pre-training, then fine-tuning."""

import re
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Literal, final

import torch
from torch import Tensor

from rlpyt.agents.base import Agent
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.checkpoint.hashing import state_hash
from rlpyt.checkpoint.tree import flatten
from rlpyt.logging.provenance import read_sessions
from rlpyt.runners.shapes import first_of, misfitting
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

__all__ = ["InitFrom", "Origin", "read_origin"]

_ENCODER = re.compile(r"(?:^|[/.])(?:encoder|value_encoder)[/.]")  # and what is inside
_NORMALIZER = re.compile(r"(?:^|[/.])normalizer[/.]")
_NAMED = 4  # parameters of those that do not fit


@final
@dataclass(kw_only=True)
class InitFrom:
    """Start with the parameters of the agent of another run; all else is new: optimizer, counters,
    replay, what the algorithm keeps beside the agent (critics of SAC, temperatures), and logs.

    Of the ``part`` "agent" everything must fit, normalisers included. "encoder" takes what encodes
    observations, with their normaliser: to other heads, another action space, another algorithm of
    the same family of models. Observations that are plain vectors have no encoder.

    A resumed run has its own checkpoint and does not look at ``run_dir`` again.
    """

    run_dir: str
    checkpoint: Literal["latest", "best"] = "latest"
    part: Literal["agent", "encoder"] = "agent"


@final
@dataclass(frozen=True, kw_only=True)
class Origin:
    """The parameters that a run starts with."""

    state: dict[str, Any]  # of the agent
    part: Literal["agent", "encoder"]
    lineage: dict[str, Any]  # for provenance.json: which run, and which of its checkpoints

    def load_into(self, agent: Agent) -> None:
        """Give them to ``agent``, which is initialised.

        Raises:
            RlpytError: ``config``, naming parameters that differ, with both shapes.
        """
        own = agent.state_dict()
        if self.part == "encoder":
            agent.load_state_dict(_replaced(own, "", self._encoders(_tensors(own))))
            return
        self._check(_tensors(own), _tensors(self.state))
        agent.load_state_dict(self.state)

    def __str__(self) -> str:
        steps = f"{self.lineage['cum_steps']:,} steps"
        return f"starts with the {self.part} of {self.lineage['run_dir']}, after its {steps}"

    def _encoders(self, own: Mapping[str, Tensor]) -> dict[str, Tensor]:
        """What replaces parameters of ``own``, by their names there."""
        here: dict[str, Tensor] = {}
        taken: dict[str, Tensor] = {}
        theirs = _tensors(self.state)
        for kind in (_ENCODER, _NORMALIZER):
            targets, sources = _groups(kind, own), _groups(kind, theirs)
            if bool(targets) != bool(sources) or (kind is _ENCODER and not targets):
                raise self._nothing_to_take(kind, there=bool(sources))
            for place, tensors in targets.items():
                source = sources.get(place) or next(iter(sources.values()))
                here |= {place + name: tensor for name, tensor in tensors.items()}
                taken |= {place + name: tensor for name, tensor in source.items()}
        self._check(here, taken)
        return taken

    def _nothing_to_take(self, kind: re.Pattern[str], *, there: bool) -> RlpytError:
        run_dir = str(self.lineage["run_dir"])
        if kind is _NORMALIZER:
            does, does_not = ("that run", "this") if there else ("this", "that run")
            what = f"{does} normalises observations, {does_not} does not"
            hint = "set agent.model_kwargs.normalize_observation as it was there"
        else:
            who = "the agent" if there else "the agent of that run"
            what = f"{who} has no encoder: its observations are plain vectors"
            hint = "take all of the agent, with the same actions and settings"
        return RlpytError("config", what, where=run_dir, hint=hint)

    def _check(self, here: Mapping[str, Tensor], there: Mapping[str, Tensor]) -> None:
        """Raise unless both have the same names with the same shapes."""
        misfits = misfitting(here, there, "{name} {there} there, {here} here")
        if not misfits:
            return
        count = "1 parameter does" if len(misfits) == 1 else f"{len(misfits)} parameters do"
        named = first_of(misfits, _NAMED)
        hint = "use that run's agent.model_kwargs, and observations and actions as there"
        if self.part == "agent" and _groups(_ENCODER, here):
            hint += "; for other actions or heads take the encoder alone (--init-part encoder)"
        where = str(self.lineage["run_dir"])
        raise RlpytError("config", f"{count} not fit: {named}", where=where, hint=hint)


def read_origin(init: InitFrom | None, world: World) -> Origin | None:
    """What ``init`` names, read; None for None.

    Raises:
        RlpytError: ``checkpoint``, where there is none, or none that is sound; ``rank``, where
            processes that are to learn together have found different ones.
    """
    if init is None:
        return None
    run_dir = Path(init.run_dir).resolve()
    checkpoints = Checkpointer(run_dir / "checkpoints")
    if init.checkpoint == "best":
        path = checkpoints.best()
        if path is None:
            what = f"{run_dir} has no best checkpoint: no episode had ended before any was saved"
            raise RlpytError("checkpoint", what, hint="take the latest")
        state, manifest = checkpoints.load(path)
    else:
        state, manifest = checkpoints.load_latest()
    sessions = read_sessions(run_dir)
    lineage = {
        "run_dir": str(run_dir),
        "checkpoint": init.checkpoint,
        "itr": manifest.itr,
        "cum_steps": manifest.cum_steps,
        "part": init.part,
        "sha256": state_hash(_tensors(state["agent"])),  # as `rlpyt hash` gives it
        "init_from": sessions[0].get("init_from") if sessions else None,
    }
    for rank, other in enumerate(world.gather(lineage)):
        if other != lineage:
            what = f"rank {rank} has read iteration {other['itr']} of {run_dir}, rank {world.rank} "
            hint = "start when that run has ended"
            raise RlpytError("rank", f"{what}iteration {lineage['itr']}", hint=hint)
    return Origin(state=state["agent"], part=init.part, lineage=lineage)


def _tensors(state: Mapping[str, Any]) -> dict[str, Tensor]:
    """By path: ``model/policy.output.weight``."""
    arrays, _skeleton = flatten(state)
    return {name: torch.as_tensor(array) for name, array in arrays.items()}


def _groups(kind: re.Pattern[str], tensors: Mapping[str, Tensor]) -> dict[str, dict[str, Tensor]]:
    """The parameters of each module of a ``kind``, by its place: ``model/trunk.encoder.``."""
    groups: dict[str, dict[str, Tensor]] = {}
    for name, tensor in tensors.items():
        found = kind.search(name)
        if found is not None:
            groups.setdefault(name[: found.end()], {})[name[found.end() :]] = tensor
    return groups


def _replaced(tree: Mapping[str, Any], path: str, tensors: Mapping[str, Tensor]) -> dict[str, Any]:
    """``tree`` with ``tensors`` in it, named as :func:`_tensors` names them."""
    return {
        key: _replaced(node, f"{path}{key}/", tensors)
        if isinstance(node, Mapping)
        else tensors.get(f"{path}{key}", node)
        for key, node in tree.items()
    }
