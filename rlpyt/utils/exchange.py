"""Sums over the processes of one machine, through memory that all of them see."""

import math
import os
import select
import socket
import time
from collections.abc import Callable, Sequence
from typing import Any, Final, NamedTuple, final

import torch
from torch import Tensor

from rlpyt.utils.shared_memory import SharedBlock

__all__ = ["MOST_PROCESSES", "ExchangeEnds", "SharedExchange", "exchange_ends"]

MOST_PROCESSES: Final = 16
"""Every two of them have a pair of sockets, which the first makes for all."""

_CHUNK = 1 << 20  # bytes that each writes at once: a few of them stay in the processors' caches
_SMALL = 1 << 14  # bytes that each process sums up for itself, as that is not worth a second wait
_SPIN = 5e-5  # seconds to look again and again before sleeping: about what waking up takes
_TICK = 0.2  # seconds between two looks at who is alive
_READ = 64  # bytes: more than one other can be ahead


class ExchangeEnds(NamedTuple):
    """What one process needs to take part, to be handed to it once."""

    layout: Any
    fds: tuple[int, ...]  # the block's, and a socket to each of the others, by rank

    def close(self) -> None:
        """Give up the descriptors, which another process has now."""
        for fd in self.fds:
            os.close(fd)


def exchange_ends(size: int) -> list[ExchangeEnds]:
    """Those of each of ``size`` processes, by rank; every two have a pair of sockets."""
    example = torch.empty(2, size, _CHUNK, dtype=torch.uint8, device="meta")
    block = SharedBlock.allocate(example, "the exchange between ranks")
    links: list[list[int]] = [[os.dup(block.fd)] for _ in range(size)]
    block.close()
    for one in range(size):
        for other in range(one + 1, size):
            pair = socket.socketpair()
            links[one].append(pair[0].detach())
            links[other].append(pair[1].detach())
    return [ExchangeEnds(block.layout, tuple(fds)) for fds in links]


@final
class SharedExchange:
    """One process's part in sums with the others of its machine.

    Each process writes its numbers into its slot, tells the others by a byte through a socket, and
    waits for theirs; then it adds up all slots, in the order of ranks: results are equal to the
    last bit everywhere. Large sums of more than two processes are shared out: each adds up its
    slice, and all take the slices after another wait. Each process has two slots, used in turn, so
    that nobody writes to what another still reads: whoever begins the exchange after the next has
    received the next one's byte from every process, and so each has finished reading this one's.

    The bytes keep memory in order, on every processor: what was written before one is sent is there
    for whoever has received it, as both take the socket's lock in the kernel. No name exists that
    could be left behind, and a process that ends, however it does, is known at once by its sockets.
    A wait looks for a moment, then sleeps. It does not yield the processor: Linux counts a time
    slice as used up then, and on a machine that does other work the process would rarely run.

    Raises, in every exchange:
        RuntimeError: where another process has gone.
        TimeoutError: where one does not come in time.
    """

    def __init__(
        self,
        rank: int,
        ends: ExchangeEnds,
        *,
        timeout: float,
        check: Callable[[], None] | None = None,
    ) -> None:
        """Of process ``rank``; ``ends`` are its own from now on. ``check`` raises what became of
        another, where this process can know.
        """
        self._rank, self._timeout, self._check = rank, timeout, check
        block = SharedBlock(ends.fds[0], ends.layout)
        block.close()  # what is mapped needs no descriptor
        self._bytes: Tensor = block.tree
        self.size = self._bytes.shape[1]
        self._links = [socket.socket(fileno=fd) for fd in ends.fds[1:]]
        for link in self._links:
            link.set_inheritable(False)
            link.setblocking(False)
        self._others = [other for other in range(self.size) if other != rank]
        self._ahead = [0] * len(self._links)  # bytes received that no wait has used yet
        self._slots: dict[torch.dtype, list[list[Tensor]]] = {}
        self._turn = 0

    @torch.no_grad()
    def sum_(self, tensor: Tensor) -> None:
        """``tensor``, on the CPU and of the same shape and type everywhere, becomes the sum."""
        self._in_parts(tensor, self._sum)

    @torch.no_grad()
    def mean_(self, tensor: Tensor) -> None:
        """As :meth:`sum_`, of floating-point numbers, divided by the number of processes."""
        self._in_parts(tensor, self._mean)

    @torch.no_grad()
    def broadcast_(self, tensor: Tensor) -> None:
        """``tensor``, on the CPU and of the same shape and type everywhere, becomes rank 0's."""
        self._in_parts(tensor, self._broadcast)

    def close(self) -> None:
        """Take part no more."""
        for link in self._links:
            link.close()

    def _in_parts(
        self, tensor: Tensor, exchange: Callable[[Tensor, Sequence[Tensor]], None]
    ) -> None:
        flat = tensor.reshape(-1)  # a copy, where numbers do not lie in order
        for part in torch.split(flat, _CHUNK // flat.itemsize):
            exchange(part, self._next_slots(part.dtype))
        if flat.data_ptr() != tensor.data_ptr():
            tensor.copy_(flat.view(tensor.shape))

    def _next_slots(self, dtype: torch.dtype) -> Sequence[Tensor]:
        """Those of all processes, by rank."""
        if dtype not in self._slots:
            self._slots[dtype] = [list(turn.view(dtype)) for turn in self._bytes]
        self._turn = 1 - self._turn
        return self._slots[dtype][self._turn]

    def _sum(self, part: Tensor, slots: Sequence[Tensor]) -> None:
        slots[self._rank][: len(part)].copy_(part)
        self._add_up(part, slots)

    def _mean(self, part: Tensor, slots: Sequence[Tensor]) -> None:
        torch.div(part, self.size, out=slots[self._rank][: len(part)])
        self._add_up(part, slots)

    def _add_up(self, part: Tensor, slots: Sequence[Tensor]) -> None:
        n = len(part)
        self._meet()
        if self.size == 2 or n * part.itemsize <= _SMALL:
            torch.add(slots[0][:n], slots[1][:n], out=part)
            for slot in slots[2:]:
                part += slot[:n]
            return
        each = math.ceil(n / self.size)
        mine = slice(min(n, self._rank * each), min(n, (self._rank + 1) * each))
        total = slots[0][mine]  # nobody else reads, or writes, this slice of it
        for slot in slots[1:]:
            total += slot[mine]
        self._meet()
        part.copy_(slots[0][:n])

    def _broadcast(self, part: Tensor, slots: Sequence[Tensor]) -> None:
        n = len(part)
        if self._rank == 0:
            slots[0][:n].copy_(part)
        self._meet()
        if self._rank:
            part.copy_(slots[0][:n])

    def _meet(self) -> None:
        """Until all have come, each of which sees what all have written before."""
        for index, link in enumerate(self._links):
            try:
                link.send(b"\0")
            except OSError as error:
                raise self._gone(index) from error
        start = time.monotonic()
        for index in range(len(self._links)):
            while self._ahead[index] == 0:
                self._look(index, time.monotonic() - start)
            self._ahead[index] -= 1

    def _look(self, index: int, waited: float) -> None:
        """For bytes of one of the others, after so many seconds."""
        link = self._links[index]
        if waited > _SPIN:
            self._sleep(link, index, waited)
        try:
            found = len(link.recv(_READ))
        except BlockingIOError:
            return
        except OSError as error:
            raise self._gone(index) from error
        if found == 0:
            raise self._gone(index)
        self._ahead[index] += found

    def _sleep(self, link: socket.socket, index: int, waited: float) -> None:
        if waited > self._timeout:
            what = f"rank {self._others[index]} has not come within {self._timeout:g} s"
            raise TimeoutError(what)
        poll = select.poll()
        poll.register(link, select.POLLIN)
        if not poll.poll(1000 * min(_TICK, self._timeout)) and self._check is not None:
            self._check()

    def _gone(self, index: int) -> RuntimeError:
        return RuntimeError(f"rank {self._others[index]} has gone")
