"""The process that samples for an asynchronous run: what it is asked, and how it replies."""

from dataclasses import dataclass
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, final

from rlpyt.agents.base import Agent
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.double_buffer import DoubleBuffer, Handover
from rlpyt.samplers.requests import Quit, receive, send
from rlpyt.utils.device import resolve_device
from rlpyt.utils.shared_memory import SharedBlock
from rlpyt.utils.synchronize import SharedParams

__all__ = [
    "CollectBatch",
    "LoadState",
    "SamplerSetup",
    "TellState",
    "TellTimes",
    "serve_sampler",
]


@final
@dataclass(frozen=True, kw_only=True)
class SamplerSetup:
    """What the process is told when it starts; the layout of the parameters, whose descriptor
    follows in its first message.
    """

    sampler: BaseSampler
    agent: Agent
    device: str  # its name: what stands for it may be unknown to torch there yet
    seed: int
    discount: float
    bootstrap_value: bool


class CollectBatch(NamedTuple):
    """Fetch parameters, and fill the half of ``itr``; reply with the finished episodes."""

    itr: int


class TellTimes(NamedTuple):
    """Reply with SamplerTimes."""


class TellState(NamedTuple):
    """Reply with the sampler's state."""


class LoadState(NamedTuple):
    """Take this state."""

    state: dict[str, Any]


def serve_sampler(setup: SamplerSetup, pipe: Connection) -> None:
    """The course of the sampler's process."""
    agent, sampler = setup.agent, setup.sampler
    agent.initialize(sampler.env_spaces(), seed=setup.seed, device=resolve_device(setup.device))
    layout = receive(pipe)
    params = SharedParams(SharedBlock(reduction.recv_handle(pipe), layout))
    try:
        sampler.initialize(
            agent,
            seed=setup.seed,
            discount=setup.discount,
            bootstrap_value=setup.bootstrap_value,
        )
        buffer = DoubleBuffer.allocate(sampler.samples)
        send(pipe, Handover(buffer.block.layout))
        reduction.send_handle(pipe, buffer.block.fd, 0)  # to whoever holds the other end
        while not isinstance(request := receive(pipe), Quit):
            if isinstance(request, CollectBatch | LoadState):
                params.fetch(agent.state_dict())
            send(pipe, _answer(request, sampler, buffer))
    finally:
        sampler.shutdown()


def _answer(request: Any, sampler: BaseSampler, buffer: DoubleBuffer) -> Any:
    match request:
        case CollectBatch(itr):
            samples, trajs = sampler.obtain_samples(itr)
            buffer.write(itr, samples)
            return trajs
        case TellTimes():
            return sampler.times()
        case TellState():
            return sampler.state_dict()
        case LoadState(state):
            sampler.load_state_dict(state)
    return None
