"""Synchronous learning on several devices: every process samples and learns, gradients are one."""

from contextlib import closing
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import final

import torch

from rlpyt.logging.logger import Logger
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.loop import TrainingLoop
from rlpyt.runners.ranks import (
    Seat,
    check_processes,
    hosted,
    launched_seat,
    receive_ends,
    seated,
    start_ranks,
    watched,
)
from rlpyt.samplers.processes import StartMethod
from rlpyt.samplers.requests import receive
from rlpyt.samplers.role import Roles
from rlpyt.utils.config import fresh
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.exchange import ExchangeEnds
from rlpyt.utils.interrupt import at_second_signal

__all__ = ["SyncRl"]


@final
@dataclass(kw_only=True)
class SyncRl(BaseRunner):
    """``world_size`` processes, each with a sampler, a replay and a device of its own, make one
    gradient step together: the mean of their gradients.

    Settings of sampler and algorithm are each process's: ``batch_B`` environments and batches of
    ``batch_size``. Steps are counted over all: an iteration takes ``world_size`` batches, and
    ``n_steps``, ``min_steps_learn`` and schedules mean the steps of all. Environments, and noise,
    differ from process to process; parameters are equal to the last bit.

    The same script runs under torchrun, on several machines: each of its processes is one of the
    run's. The first logs, evaluates and saves for all; the others save their parts beside it.

    Raises, when training:
        RlpytError: ``rank``, naming a process that died, hangs, or was started differently.
    """

    world_size: int | None = None  # processes; None: torchrun's, else one for each accelerator
    timeout: float = 300.0  # seconds that an exchange may take, before a process counts as hanging
    start_method: StartMethod = "forkserver"  # or "spawn": slower to start, knows no helper process

    @property
    def steps_per_itr(self) -> int:
        """Those of one batch in each process."""
        return self.sampler.batch_spec.size * self.n_ranks

    @property
    def n_ranks(self) -> int:
        """How many processes there will be.

        Raises:
            RlpytError: ``config``, where neither a setting nor torchrun nor accelerators say so.
        """
        launched = launched_seat(self.timeout)
        if launched is not None:
            if self.world_size not in (None, launched.size):
                what = f"world_size={self.world_size}, and torchrun has started {launched.size}"
                raise RlpytError("config", what, hint="leave world_size out under torchrun")
            return launched.size
        if self.world_size is None:
            if torch.accelerator.is_available():
                return torch.accelerator.device_count()
            hint = "set it (--world-size 2), or start the script with torchrun"
            raise RlpytError("config", "world_size=None without an accelerator", hint=hint)
        if self.world_size < 1:
            raise RlpytError("config", f"world_size={self.world_size}", hint="use 1 or more")
        return self.world_size

    def train(self, logger: Logger | None = None, *, resume: bool = False) -> None:
        """As :class:`BaseRunner`. Under torchrun only the first process's ``logger`` is used."""
        size = self.n_ranks
        self.check()
        check_processes(self.timeout, self.start_method)
        launched = launched_seat(self.timeout)
        if launched is not None:
            _learn(self, launched, logger, resume)
            return
        if size == 1:
            TrainingLoop(self, self.sampler).run(logger, resume=resume)
            return
        with (
            hosted(size, self.timeout) as (first, store),
            closing(Roles(self.start_method)) as roles,
        ):
            device = first.device(self.device)
            seats = [replace(first, rank=rank, local_rank=rank) for rank in range(1, size)]
            setups = [_RankSetup(fresh(self), seat, resume) for seat in seats]
            threads = self.torch_threads or 1
            _ranks, ends = start_ranks(roles, _rank_main, setups, torch_threads=threads)
            with (
                at_second_signal(roles.kill),
                seated(first, device, store, roles.check, ends) as world,
            ):
                watch = watched(roles)
                loop = TrainingLoop(self, self.sampler, world=world, device=device, watch=watch)
                loop.run(logger, resume=resume)


@final
@dataclass(frozen=True)
class _RankSetup:
    """What another process than the first is told when it starts."""

    runner: SyncRl
    seat: Seat
    resume: bool


def _rank_main(setup: _RankSetup, pipe: Connection) -> None:
    _learn(setup.runner, setup.seat, None, setup.resume, receive_ends(pipe, setup.seat.size))
    receive(pipe)  # until the first has no more to say either


def _learn(
    runner: SyncRl,
    seat: Seat,
    logger: Logger | None,
    resume: bool,
    ends: ExchangeEnds | None = None,
) -> None:
    device = seat.device(runner.device)
    with seated(seat, device, ends=ends) as world:
        TrainingLoop(runner, runner.sampler, world=world, device=device).run(logger, resume=resume)
