"""What the master asks of a worker, and what a worker replies."""

import pickle
import signal
import socket
from contextlib import suppress
from dataclasses import dataclass
from multiprocessing.connection import Connection
from typing import Any, NamedTuple, final

from rlpyt.agents.base import Agent
from rlpyt.data import EnvSpaces
from rlpyt.samplers.acting import AgentExamples
from rlpyt.samplers.base import CollectionSpec
from rlpyt.utils.errors import RlpytError

__all__ = [
    "FAILED",
    "HANG_SIGNAL",
    "READY",
    "Attach",
    "Bind",
    "Build",
    "Built",
    "Close",
    "Collect",
    "Failure",
    "Load",
    "Quit",
    "Reset",
    "State",
    "WorkerSetup",
    "flush",
    "receive",
    "send",
]

READY = b"r"
"""One step's byte: from a worker, the observations are there; from the master, the actions."""

FAILED = b"!"
"""In place of READY: from a worker, look at the pipe; from the master, give the batch up."""

HANG_SIGNAL = signal.SIGUSR1
"""From the master: say where you are."""


def send(pipe: Connection, message: Any) -> None:
    """Send ``message`` as bytes, tensors too: the pipe's own pickler would put each of them into a
    file in /dev/shm, and start a thread that hands it out.
    """
    pipe.send_bytes(pickle.dumps(message, pickle.HIGHEST_PROTOCOL))


def flush(steps: socket.socket) -> None:
    """Take away what was said and not heard."""
    with suppress(BlockingIOError):
        while steps.recv(4096, socket.MSG_DONTWAIT):
            pass


def receive(pipe: Connection) -> Any:
    """What :func:`send` has sent from the other end."""
    return pickle.loads(pipe.recv_bytes())


@final
@dataclass(frozen=True, kw_only=True)
class WorkerSetup:
    """What a worker is told when it starts."""

    rank: int
    agent: Agent | None  # un-initialised; None: the master acts
    cpus: tuple[int, ...]  # to run on; () for any
    torch_threads: int
    seed: int


@final
@dataclass(frozen=True)
class Attach:
    """Counters and parameters are in these blocks, whose descriptors follow."""

    meters: Any  # layout
    params: Any  # layout; None where the master acts


@final
@dataclass(frozen=True)
class Build:
    """Make the environments of ``spec``, the worker's part of a collection; reply with Built."""

    collection: int
    spec: CollectionSpec


class Built(NamedTuple):
    """What the environments are like."""

    spaces: EnvSpaces
    invalid_steps: bool


@final
@dataclass(frozen=True)
class Bind:
    """The sample arrays are in the block whose descriptor follows; these columns are yours."""

    collection: int
    layout: Any
    columns: slice
    examples: AgentExamples


@final
@dataclass(frozen=True, kw_only=True)
class Reset:
    """Start episodes."""

    collection: int
    first_episode: int
    max_decorrelation_steps: int
    keys: tuple[int, ...]
    row: int | None = None


@final
@dataclass(frozen=True)
class Collect:
    """Fill the batch from row ``start``, after ``steps`` environment steps of the run (None in an
    evaluation); reply with the finished episodes.
    """

    collection: int
    start: int
    steps: int | None


@final
@dataclass(frozen=True)
class State:
    """Reply with the state of the worker's part."""

    collection: int


@final
@dataclass(frozen=True)
class Load:
    """Take this state."""

    collection: int
    state: dict[str, Any]


@final
@dataclass(frozen=True)
class Close:
    """Close the environments of a collection."""

    collection: int


@final
@dataclass(frozen=True)
class Quit:
    """Close all environments, and end."""


@final
@dataclass(frozen=True)
class Failure:
    """The reply to a request that could not be met."""

    error: RlpytError
    traceback: str
