"""Asynchronous learning: the next batch is sampled while the last one is learned from."""

from contextlib import AbstractContextManager, ExitStack, closing
from dataclasses import dataclass, replace
from multiprocessing.connection import Connection
from typing import final

import torch

from rlpyt.data import BatchSpec
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
from rlpyt.samplers.async_ import SamplerProcess
from rlpyt.samplers.base import BaseSampler
from rlpyt.samplers.processes import StartMethod
from rlpyt.samplers.requests import receive
from rlpyt.samplers.role import Role, Roles
from rlpyt.samplers.serial import SerialSampler
from rlpyt.samplers.shared_batches import SharedBatches
from rlpyt.samplers.source import SampleSource
from rlpyt.utils.config import fresh
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.interrupt import at_second_signal
from rlpyt.utils.world import World

__all__ = ["AsyncRl"]


@final
@dataclass(kw_only=True)
class AsyncRl(BaseRunner):
    """The sampler, whichever it is, in a process of its own, one batch ahead of learning.

    Parameters are those of the iteration before: algorithms must be ``off_policy``. Each batch is
    learned from exactly as often as it would be in one process, for both sides wait for each other;
    nothing depends on who is faster, and the same seed gives the same run. ``lockstep`` gives the
    run of :class:`MinibatchRl`, to the last bit.

    With ``world_size`` several processes learn, each from its columns of every batch, with a replay
    and batches of ``batch_size`` of its own: one gradient, as in :class:`SyncRl`.

    Evaluations step their environments in the first learning process.

    Raises, when training:
        RlpytError: ``config``, for an algorithm that is not ``off_policy``; naming a process that
            died, hangs or failed.
    """

    world_size: int = 1  # processes that learn
    lockstep: bool = False  # sample only with parameters that have learned from all before
    timeout: float = 300.0  # seconds that a batch, or an exchange between ranks, may take
    start_method: StartMethod = "forkserver"  # or "spawn": slower to start, knows no helper process

    @property
    def steps_per_itr(self) -> int:
        """Those of one batch, which all processes share."""
        return self.sampler.batch_spec.size

    def train(self, logger: Logger | None = None, *, resume: bool = False) -> None:
        """As :class:`BaseRunner`."""
        self.check()
        self._check()
        with closing(Roles(self.start_method)) as roles, ExitStack() as stack:
            if self.world_size == 1:
                self._loop(self._source(roles, [])).run(logger, resume=resume)
                return
            first, store = stack.enter_context(hosted(self.world_size, self.timeout))
            device = first.device(self.device)
            seats = [replace(first, rank=r, local_rank=r) for r in range(1, self.world_size)]
            setups = [_RankSetup(fresh(self), seat, resume) for seat in seats]
            threads = self.torch_threads or 1
            learners, ends = start_ranks(roles, _rank_main, setups, torch_threads=threads)
            stack.enter_context(at_second_signal(roles.kill))
            world = stack.enter_context(seated(first, device, store, roles.check, ends))
            source = self._source(roles, learners)
            self._loop(source, world, device, watched(roles)).run(logger, resume=resume)

    def _source(self, roles: Roles, learners: list[Role]) -> SamplerProcess:
        return SamplerProcess(
            roles,
            self.sampler,
            learners,
            n_itr=self.n_itr,
            lockstep=self.lockstep,
            timeout=self.timeout,
        )

    def _loop(
        self,
        source: SampleSource,
        world: World | None = None,
        device: torch.device | None = None,
        watch: AbstractContextManager[None] | None = None,
    ) -> TrainingLoop:
        T, B = self.sampler.batch_spec
        return TrainingLoop(
            self,
            source,
            world=world,
            batch_spec=BatchSpec(T, B // self.world_size),
            eval_sampler=_serial(self.sampler),
            device=device,
            watch=watch,
        )

    def _check(self) -> None:
        name = type(self.algo).__name__
        if not self.algo.off_policy and not self.lockstep:
            raise RlpytError(
                "config",
                f"{name} learns from what its present parameters have sampled, and AsyncRl samples "
                "with older ones",
                hint="use IMPALA or APPO, which are made for it; MinibatchRl or SyncRl; or "
                "lockstep=True",
            )
        if self.world_size < 1:
            raise RlpytError("config", f"world_size={self.world_size}", hint="use 1 or more")
        if self.sampler.batch_B % self.world_size:
            what = f"sampler.batch_B={self.sampler.batch_B} for world_size={self.world_size}"
            raise RlpytError("config", what, hint="use a multiple")
        check_processes(self.timeout, self.start_method)
        launched = launched_seat(self.timeout)
        if launched is not None and launched.size > 1:
            what = f"AsyncRl in {launched.size} processes of torchrun"
            raise RlpytError("config", what, hint="start it alone, with world_size")


@final
@dataclass(frozen=True)
class _RankSetup:
    """What another learning process than the first is told when it starts."""

    runner: AsyncRl
    seat: Seat
    resume: bool


def _rank_main(setup: _RankSetup, pipe: Connection) -> None:
    runner, seat = setup.runner, setup.seat
    ends = receive_ends(pipe, seat.size)
    device = seat.device(runner.device)
    each = runner.sampler.batch_B // seat.size
    source = SharedBatches(pipe, slice(seat.rank * each, (seat.rank + 1) * each))
    with seated(seat, device, ends=ends) as world:
        runner._loop(source, world, device).run(None, resume=setup.resume)
    receive(pipe)  # until the first has no more to say either


def _serial(sampler: BaseSampler) -> SerialSampler:
    """For evaluations in this process."""
    return SerialSampler(
        env=sampler.env,
        batch_T=sampler.batch_T,
        batch_B=sampler.batch_B,
        group_size=sampler.group_size,
        TrajInfoCls=sampler.TrajInfoCls,
    )
