"""The serial sampler: everything in this process. The reference for every other sampler, and the
one to debug with.
"""

from contextlib import ExitStack, suppress
from dataclasses import dataclass, field
from typing import Any, final

import torch

from rlpyt.agents.base import Agent
from rlpyt.samplers.acting import agent_examples
from rlpyt.samplers.base import BaseSampler, CollectionSpec
from rlpyt.samplers.collector import BatchCollector, Collector
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.errors import RlpytError

__all__ = ["SerialSampler"]


@final
@dataclass(kw_only=True)
class SerialSampler(BaseSampler):
    """B environments stepped in this process, the agent acting for all of them at once, or for
    groups of ``group_size``.
    """

    _opened: list[Collector] = field(init=False, repr=False, compare=False, default_factory=list)

    def plan(self) -> dict[str, Any]:
        """Nothing is divided."""
        return {}

    def open(self, spec: CollectionSpec, agent: Agent) -> Collector:
        """A collector in this process."""
        env = spec.build_env()
        with ExitStack() as failed:
            failed.callback(env.close)
            examples = agent_examples(agent, env.spaces)
            buffer = spec.sample_buffer(
                env.spaces, examples, invalid_steps=env.invalid_steps, allocate=_zeros
            )
            acting = spec.local_acting(agent, buffer, examples)
            failed.pop_all()
        collector = Collector(
            env, acting, buffer, spec.tracker(), mid_batch_reset=spec.mid_batch_reset
        )
        self._opened.append(collector)
        return collector

    def give_up(self, failed: BatchCollector | None) -> None:
        """Close its environments."""
        if failed is None:  # what could not be opened is closed
            return
        with suppress(RlpytError):  # of one that is broken
            failed.close()
        self._opened = [one for one in self._opened if one is not failed]

    def shutdown(self) -> None:
        """Close the environments."""
        self._collector = None
        while self._opened:
            self._opened.pop().close()


def _zeros(tree: Any) -> Any:
    return buffer_map(lambda leaf: torch.zeros(leaf.shape, dtype=leaf.dtype), tree)
