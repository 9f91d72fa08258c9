"""A worker process: it holds some of the environments, and does what the master asks of it.

Requests and replies go over a pipe, once a batch. In between, an agent in the master answers for
each step with one byte over a socket; everything else is in shared memory.
"""

import faulthandler
import os
import signal
import socket
import traceback
from contextlib import ExitStack, suppress
from multiprocessing import reduction
from multiprocessing.connection import Connection
from types import FrameType
from typing import Any, NamedTuple, NoReturn, final

import torch

from rlpyt.envs.capsule import HANG
from rlpyt.envs.vector import VectorEnv
from rlpyt.samplers.acting import Acting
from rlpyt.samplers.base import CollectionSpec
from rlpyt.samplers.buffer import SampleBuffer
from rlpyt.samplers.collector import Collector
from rlpyt.samplers.meter import Meter
from rlpyt.samplers.requests import (
    FAILED,
    HANG_SIGNAL,
    READY,
    Attach,
    Bind,
    Build,
    Built,
    Close,
    Collect,
    Failure,
    Load,
    Quit,
    Reset,
    State,
    WorkerSetup,
    flush,
    receive,
    send,
)
from rlpyt.utils.cpus import pin_process
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.interrupt import ignore_signals
from rlpyt.utils.shared_memory import SharedBlock
from rlpyt.utils.synchronize import SharedParams

__all__ = ["worker_main"]


class _Pipes(NamedTuple):
    """The worker's ends."""

    requests: Connection
    steps: socket.socket
    stacks: socket.socket  # where it stands, when asked by HANG_SIGNAL


@final
class _MasterActing(Acting):
    """The master acts: it is told that observations are there, and tells that actions are."""

    def __init__(self, steps: socket.socket) -> None:
        self._steps = steps
        self._send, self._receive = steps.send, steps.recv

    def reset(self, keys: tuple[int, ...] = ()) -> None:
        """Nothing is kept here."""

    def begin(self, steps: int | None) -> None:
        """Nothing to draw here; what was said of a batch before is over."""
        flush(self._steps)

    def act(self, t: int) -> None:
        """Hand over, and wait."""
        self._send(READY)
        told = self._receive(1)
        if not told:
            raise EOFError
        if told == FAILED:
            raise RlpytError("worker", "the batch is given up")

    def stepped(self, t: int) -> None:
        """The next ``act`` says so, and after the last row the reply."""

    def finish(self) -> None:
        """The master's part."""

    @property
    def transfer_seconds(self) -> float:
        """The master's."""
        return 0.0

    def state_dict(self) -> dict[str, Any]:
        """The master's."""
        return {}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Nothing is kept here."""


@final
class _Worker:
    """The process's environments and collectors, by the number of their collection."""

    def __init__(self, setup: WorkerSetup, pipes: _Pipes) -> None:
        self._setup = setup
        self._pipes = pipes
        self._agent = setup.agent
        self._agent_ready = False
        self._params: SharedParams | None = None
        self._meter = Meter()
        self._specs: dict[int, CollectionSpec] = {}
        self._envs: dict[int, VectorEnv] = {}
        self._collectors: dict[int, Collector] = {}
        self._current: VectorEnv | None = None  # what a request is about

    def serve(self) -> None:
        """Answer requests until told to quit.

        Raises:
            EOFError: when the master has gone.
        """
        request: Any = None
        while not isinstance(request, Quit):
            try:
                request = self._receive()
                reply: Any = self._answer(request)
            except RlpytError as error:
                reply = Failure(error, traceback.format_exc())
            except EOFError:
                raise
            except Exception as error:  # a mistake of ours: told as everything else is
                what = f"{type(error).__name__}: {error}"
                reply = Failure(RlpytError("worker", what), traceback.format_exc())
            if isinstance(reply, Failure):
                self._pipes.steps.send(FAILED)
            send(self._pipes.requests, reply)

    def _receive(self) -> Any:
        try:
            return receive(self._pipes.requests)
        except (AttributeError, ImportError) as error:
            what = f"a worker process cannot load the sampler's settings: {error}"
            hint = "define environments and classes in a module, which workers can import too"
            raise RlpytError("config", what, hint=hint) from error

    def _answer(self, request: Any) -> Any:
        match request:
            case Quit():
                with ExitStack() as stack:  # the others too where one raises
                    for env in self._envs.values():
                        stack.callback(env.close)
            case Attach():
                self._attach(request)
            case Build():
                return self._build(request)
            case Bind():
                self._bind(request)
            case Reset():
                self._fetch()
                self._at(request.collection).reset(
                    first_episode=request.first_episode,
                    max_decorrelation_steps=request.max_decorrelation_steps,
                    keys=request.keys,
                    row=request.row,
                )
            case Collect():
                self._fetch()
                return self._at(request.collection).run(request.start, steps=request.steps)
            case State():
                return self._at(request.collection).state_dict()
            case Load():
                self._fetch()
                self._at(request.collection).load_state_dict(request.state)
            case Close():
                self._close(request.collection)
        return None

    def _at(self, collection: int) -> Collector:
        self._current = self._envs[collection]
        return self._collectors[collection]

    def _attach(self, request: Attach) -> None:
        meters = self._receive_block(request.meters).tree
        rank = self._setup.rank
        self._meter = Meter(meters.counts[rank].numpy(), meters.seconds[rank].numpy())
        if request.params is not None:
            self._params = SharedParams(self._receive_block(request.params))

    def _build(self, request: Build) -> Built:
        env = request.spec.build_env()
        env.watch(memoryview(self._meter.env_row))  # faster to write than an array
        self._envs[request.collection] = env
        self._specs[request.collection] = request.spec
        if self._agent is not None and not self._agent_ready:
            self._agent.initialize(env.spaces, seed=self._setup.seed, device=torch.device("cpu"))
            self._agent_ready = True
        return Built(env.spaces, env.invalid_steps)

    def _bind(self, request: Bind) -> None:
        arrays = self._receive_block(request.layout).tree
        buffer = SampleBuffer(arrays[:, request.columns])
        spec, env = self._specs[request.collection], self._envs[request.collection]
        acting: Acting = _MasterActing(self._pipes.steps)
        if self._agent is not None:
            acting = spec.local_acting(self._agent, buffer, request.examples)
        self._collectors[request.collection] = Collector(
            env,
            acting,
            buffer,
            None if self._agent is None else spec.tracker(),  # the master's, once values are there
            mid_batch_reset=spec.mid_batch_reset,
            meter=self._meter,
        )

    def _fetch(self) -> None:
        if self._params is not None and self._agent is not None:
            self._params.fetch(self._agent.state_dict())

    def _close(self, collection: int) -> None:
        self._collectors.pop(collection, None)
        self._specs.pop(collection, None)
        env = self._envs.pop(collection, None)
        if env is not None:
            env.close()

    def _receive_block(self, layout: Any) -> SharedBlock:
        block = SharedBlock(reduction.recv_handle(self._pipes.requests), layout)
        block.close()  # what is mapped needs no descriptor
        return block

    def tell_place(self, signum: int, frame: FrameType | None) -> None:
        """Answer HANG_SIGNAL: the Python stack has been written; add what would replay it."""
        capsule = None
        if self._current is not None:
            failure = {"code": HANG, "what": "the environment hangs", "where": ""}
            capsule = self._current.capsule(failure)
        failed = Failure(RlpytError("worker", "hangs", capsule=capsule), "")
        send(self._pipes.requests, failed)


def worker_main(setup: WorkerSetup, requests: Connection, *ends: socket.socket) -> None:
    """The course of a worker process.

    It leads a process group of its own, to which what its environments start belongs, and leaves
    signals from the terminal or a scheduler to the master. When the master has gone, so has the
    group.
    """
    pipes = _Pipes(requests, *ends)
    with suppress(PermissionError):
        os.setpgid(0, 0)
    ignore_signals()
    torch.set_num_threads(setup.torch_threads)
    pin_process(setup.cpus)  # where that cannot be done, the plan has said so
    worker = _Worker(setup, pipes)
    signal.signal(HANG_SIGNAL, worker.tell_place)
    faulthandler.register(HANG_SIGNAL, file=pipes.stacks, all_threads=False, chain=True)
    try:
        worker.serve()
    except (EOFError, ConnectionError):
        _follow_master()


def _follow_master() -> NoReturn:
    os.killpg(os.getpgrp(), signal.SIGKILL)
    raise SystemExit(1)
