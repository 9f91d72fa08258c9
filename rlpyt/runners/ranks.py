"""Processes that learn together: started on this machine by the first of them, or by torchrun."""

import json
import os
import socket
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from datetime import timedelta
from multiprocessing import reduction
from multiprocessing.connection import Connection
from typing import Any, final

import torch
import torch.distributed as dist
from torch.distributed import (  # type: ignore[attr-defined]  # torch does not list them
    PrefixStore,
    Store,
    TCPStore,
    rendezvous,
)

from rlpyt.samplers.processes import check_start_method
from rlpyt.samplers.requests import receive
from rlpyt.samplers.role import Body, Role, Roles
from rlpyt.utils.device import collective_backend, rank_device, resolve_device
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.exchange import MOST_PROCESSES, ExchangeEnds, SharedExchange, exchange_ends
from rlpyt.utils.processes import ProcessIdentity
from rlpyt.utils.world import World, is_launched

__all__ = [
    "Seat",
    "check_processes",
    "hosted",
    "launched_seat",
    "receive_ends",
    "seated",
    "start_ranks",
    "watched",
]

_LOOPBACK = "127.0.0.1"
_PATIENCE = 1.0  # seconds for a process that has failed to say why
_START_PATIENCE = 120.0  # seconds that a process may take to start, over its timeout
_TICK = 0.02  # seconds between two looks whether all have started


@final
@dataclass(frozen=True, kw_only=True)
class Seat:
    """One process's place among those that learn together."""

    rank: int
    size: int
    local_rank: int  # on its machine
    port: int | None  # of the first one's store, on this machine; None: where torchrun says
    timeout: float  # seconds that an exchange may take

    def device(self, name: str) -> torch.device:
        """The process's own of what the user calls ``name``: one for all, such as ``cuda``, of
        which each takes its own, or one for each: ``cuda:2,cuda:3``.

        Raises:
            RlpytError: ``device``, for one that is not here, and for fewer than processes.
        """
        names = name.split(",")
        if len(names) == 1:
            return rank_device(resolve_device(name), self.local_rank)
        if self.local_rank >= len(names):
            what = f"{len(names)} devices, {name}, for {self.local_rank + 1} ranks or more"
            raise RlpytError("device", what, hint="name one for each rank on this machine")
        return resolve_device(names[self.local_rank].strip())


def launched_seat(timeout: float) -> Seat | None:
    """The place that torchrun gave this process; None where it was not started by it."""
    if not is_launched():
        return None
    rank = int(os.environ["RANK"])
    local_rank = int(os.environ.get("LOCAL_RANK", rank))
    size = int(os.environ["WORLD_SIZE"])
    return Seat(rank=rank, size=size, local_rank=local_rank, port=None, timeout=timeout)


def check_processes(timeout: float, start_method: str) -> None:
    """Raise for settings of a runner that starts processes that cannot be."""
    if timeout <= 0:
        raise RlpytError("config", f"timeout={timeout}", hint="use more than 0 seconds")
    check_start_method("start_method", start_method)


@contextmanager
def seated(
    seat: Seat,
    device: torch.device,
    store: Store | None = None,
    check: Callable[[], None] | None = None,
    ends: ExchangeEnds | None = None,
) -> Iterator[World]:
    """Inside, this process exchanges with the others; ``store`` is the first one's own, ``check``
    raises what became of those that it has started. ``ends`` are this process's, where all are on
    this machine.
    """
    limit = timedelta(seconds=seat.timeout)
    if device.type != "cpu":
        torch.accelerator.set_device_index(device.index or 0)
    backend = collective_backend(device)
    with ExitStack() as stack:
        exchange = None
        if ends is not None:
            exchange = SharedExchange(seat.rank, ends, timeout=seat.timeout, check=check)
            stack.callback(exchange.close)
        own = _store(seat, store, limit, check)
        with _on_loopback(seat.port is not None), _connecting(seat):
            dist.init_process_group(
                backend if device.type == "cpu" else f"cpu:gloo,{device.type}:{backend}",
                store=PrefixStore("exchanges", own),
                rank=seat.rank,
                world_size=seat.size,
                timeout=limit,
            )
            if seat.port is None:
                check = _neighbours_check(own, seat)
        world = World(
            seat.rank,
            seat.size,
            store=PrefixStore("world", own),
            timeout=seat.timeout,
            check=check,
            exchange=exchange,
        )
        stack.callback(world.leave)
        yield world


def _store(
    seat: Seat, store: Store | None, limit: timedelta, check: Callable[[], None] | None
) -> Store:
    """Through which all meet, once all have started."""
    if seat.port is None:
        shared, _rank, _size = next(rendezvous("env://", timeout=limit))
        # The launcher's outlives a restart: what ranks that have died put there is not for these.
        attempt = os.environ.get("TORCHELASTIC_RESTART_COUNT", "0")
        return PrefixStore(f"start_{attempt}", shared)
    own = store or TCPStore(_LOOPBACK, seat.port, seat.size, False, timeout=limit)
    _wait_for_all(own, seat.size, _START_PATIENCE + seat.timeout, check)
    return own


def _neighbours_check(store: Store, seat: Seat) -> Callable[[], None]:
    """What raises where another of torchrun's processes on this machine has ended. A wait through
    the store, which torchrun keeps, would not notice, and torchrun itself gives the others 30 s.
    """
    own = ProcessIdentity.of(os.getpid())
    store.set(f"process/{seat.rank}", json.dumps([own.host, own.pid, own.start]))
    found = {
        rank: ProcessIdentity(*json.loads(store.get(f"process/{rank}")))
        for rank in range(seat.size)
        if rank != seat.rank
    }
    neighbours = {rank: process for rank, process in found.items() if process.is_here}

    def check() -> None:
        for rank, process in neighbours.items():
            if not process.is_running:
                what = f"rank {rank} of {seat.size} has ended"
                hint = "see its own messages"
                raise RlpytError("rank", what, where=f"pid {process.pid}", hint=hint)

    return check


def _wait_for_all(
    store: Store, size: int, seconds: float, check: Callable[[], None] | None
) -> None:
    """Until all processes have started, which takes some longer than exchanges may."""
    store.add("started", 1)
    deadline = time.monotonic() + seconds
    while store.add("started", 0) < size:
        if check is not None:
            check()
        if time.monotonic() > deadline:
            raise RlpytError("rank", f"not all of {size} ranks have started in {seconds:g} s")
        time.sleep(_TICK)


@contextmanager
def hosted(size: int, timeout: float) -> Iterator[tuple[Seat, Store]]:
    """The first place of ``size`` on this machine, and the store through which they meet."""
    limit = timedelta(seconds=timeout)
    # A socket of ours: the store's own would listen to every network, whatever the address.
    listener = socket.create_server((_LOOPBACK, 0))
    port = listener.getsockname()[1]
    store = TCPStore(
        _LOOPBACK,
        port,
        size,
        is_master=True,
        timeout=limit,
        wait_for_workers=False,
        master_listen_fd=listener.detach(),
    )
    yield Seat(rank=0, size=size, local_rank=0, port=store.port, timeout=timeout), store


def start_ranks(
    roles: Roles, body: Body, setups: Sequence[Any], *, torch_threads: int
) -> tuple[list[Role], ExchangeEnds | None]:
    """Start a process for each of ``setups``, which does ``body``, as rank 1 and so on; each is to
    :func:`receive_ends` first. Returns them, and this process's ends.
    """
    size = 1 + len(setups)
    all_ends: list[ExchangeEnds | None] = [None] * size
    if size <= MOST_PROCESSES:
        all_ends = list(exchange_ends(size))
    started = []
    with ExitStack() as sent, ExitStack() as failed:
        for rank, ends in enumerate(all_ends):
            if ends is not None:
                (sent if rank else failed).callback(ends.close)
        for rank, setup in enumerate(setups, 1):
            role = roles.start(f"rank {rank}", body, setup, torch_threads=torch_threads)
            ends = all_ends[rank]
            role.send(ends and ends.layout, ends.fds if ends else ())
            started.append(role)
        failed.pop_all()
    return started, all_ends[0]


def receive_ends(pipe: Connection, size: int) -> ExchangeEnds | None:
    """What the process that started this one of ``size`` hands to it."""
    layout = receive(pipe)
    if layout is None:
        return None
    return ExchangeEnds(layout, tuple(reduction.recv_handle(pipe) for _ in range(size)))


@contextmanager
def watched(roles: Roles) -> Iterator[None]:
    """Inside, an error that only says that another process has gone is replaced by the error that
    says why.
    """
    try:
        yield
    except RlpytError as error:
        if error.code != "rank":
            raise
        found = roles.explain(error, _PATIENCE)
        if found is error:
            raise
        raise found from (found.__cause__ or error)


@contextmanager
def _connecting(seat: Seat) -> Iterator[None]:
    try:
        yield
    except RuntimeError as error:
        first = str(error).strip().partition("\n")[0]
        what = f"rank {seat.rank} of {seat.size} cannot connect to the others: {first}"
        hint = "see their own messages; raise `timeout` if they only start slowly"
        raise RlpytError("rank", what, hint=hint) from error


@contextmanager
def _on_loopback(wanted: bool) -> Iterator[None]:
    """Exchanges of one machine need no network, and no name for it."""
    name = "GLOO_SOCKET_IFNAME"
    if not wanted or name in os.environ:
        yield
        return
    os.environ[name] = "lo0" if sys.platform == "darwin" else "lo"
    try:
        yield
    finally:
        os.environ.pop(name, None)
