"""What an algorithm is: samples in, better parameters out."""

import math
from abc import ABC, abstractmethod
from collections.abc import Mapping
from dataclasses import dataclass, fields, is_dataclass
from inspect import isabstract, isclass
from typing import Any, ClassVar, Literal, get_origin, get_type_hints

from rlpyt.agents.base import Agent
from rlpyt.data import BatchSpec, OptInfo, Samples
from rlpyt.utils.config import union_members
from rlpyt.utils.convert import convert
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.mismatch import mismatch
from rlpyt.utils.world import World

__all__ = ["RlAlgorithm"]


@dataclass(kw_only=True)
class RlAlgorithm(ABC):
    """Hyperparameters are fields; ``initialize`` binds the agent. Schedules are functions of
    ``itr``.
    """

    # Whether the sampler shall record V at truncations and batch ends.
    bootstrap_value: ClassVar[bool] = False
    # Whether it may learn from what older parameters have sampled, as a replay or V-trace lets it.
    off_policy: ClassVar[bool] = False

    discount: float = 0.99  # γ

    def check_settings(self, ranges: Mapping[str, tuple[float, float]]) -> None:
        """Refuse a field that is none of the choices its type has, no component of its type, or
        that is not None and outside its range ``(low, high)``, ends included.

        Raises:
            RlpytError: ``config``.
        """
        types = get_type_hints(type(self))
        for setting in fields(self):
            annotation, place = types[setting.name], f"algo.{setting.name}"
            value, members = getattr(self, setting.name), union_members(annotation)
            if setting.init and any(get_origin(kind) is Literal for kind in members):
                convert(value, annotation, place)
            component = next(filter(_is_component_class, members), None)
            if component is not None and not isinstance(value, members):
                hint = f"give an object: {component.__name__}(...)"
                raise mismatch(value, annotation, place, hint)
        for name, (low, high) in ranges.items():
            value = getattr(self, name)
            if value is not None and not low <= value <= high:
                hint = f"use {low:g} or more" if math.isinf(high) else f"use {low:g} to {high:g}"
                raise RlpytError("config", f"algo.{name}={value}", hint=hint)

    @abstractmethod
    def initialize(
        self,
        agent: Agent,
        *,
        n_itr: int,
        batch_spec: BatchSpec,
        seed: int,
        world: World | None = None,
    ) -> None:
        """Bind the (initialised) agent; build optimizers and whatever else depends on shapes.

        ``batch_spec`` is of the samples of this process; ``world`` are those that learn together.
        """

    def forecast(self, agent: Agent, batch_spec: BatchSpec) -> int:
        """Bytes of past data that ``initialize`` will make room for."""
        return 0

    @abstractmethod
    def optimize_agent(self, itr: int, samples: Samples) -> OptInfo:
        """Learn from one sampler batch [T, B]; report one value per gradient step and name."""

    @abstractmethod
    def updates_per_itr(self) -> int:
        """Gradient steps in one ``optimize_agent``."""

    @abstractmethod
    def samples_per_itr(self) -> int:
        """Samples consumed by the gradient steps of one ``optimize_agent``, repetition counted."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Optimizers, normalisers, generators: everything but the agent."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""


def _is_component_class(kind: Any) -> bool:
    return isclass(kind) and (is_dataclass(kind) or isabstract(kind))
