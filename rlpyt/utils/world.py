"""The processes that learn together, as one of them sees it: who it is, and what it exchanges."""

import os
import time
from collections.abc import Callable, Iterable
from contextlib import suppress
from datetime import timedelta
from typing import Any, Protocol, TypeVar, final

import torch
import torch.distributed as dist
from torch import Tensor

from rlpyt.utils.errors import RlpytError
from rlpyt.utils.exchange import SharedExchange

__all__ = ["KeyStore", "World", "is_exchange_error", "is_launched"]

T = TypeVar("T")

_LAUNCHED = frozenset({"RANK", "WORLD_SIZE", "MASTER_ADDR", "MASTER_PORT"})  # set by torchrun
_TICK = 0.02  # seconds between two looks whether the others have come
_ROLL_CALL = 2.0  # seconds for the others to say that they are there, after an exchange has failed


def is_launched() -> bool:
    """Whether torchrun, or what sets the same variables, has started this process as one of a
    group.
    """
    return os.environ.keys() >= _LAUNCHED


def is_exchange_error(error: RuntimeError) -> bool:
    """Whether torch raised it for an exchange with another process, not for what was computed."""
    if isinstance(error, dist.DistError):
        return True
    backends = {pair.rpartition(":")[2] for pair in dist.get_backend_config().split(",")}
    return any(name in str(error).lower() for name in backends)  # they sign what they raise


class KeyStore(Protocol):
    """A torch.distributed store: small values by name, which every process sees."""

    def add(self, key: str, amount: int) -> int:
        """Add to a number, 0 at first; what it is then."""

    def set(self, key: str, value: str) -> None:
        """Let others have ``value``."""

    def check(self, keys: list[str]) -> bool:
        """Whether all of these are set."""

    def set_timeout(self, timeout: timedelta) -> None:
        """How long a call may take."""


@final
class World:
    """One of ``size`` processes that hold equal parameters and each learn from samples of their
    own.

    Every process makes the same exchanges in the same order. Alone, an exchange gives back what it
    was given. Results are equal to the last bit in all processes.

    Raises, in every exchange:
        RlpytError: ``rank``, naming the processes that do not answer.
    """

    def __init__(
        self,
        rank: int = 0,
        size: int = 1,
        *,
        store: KeyStore | None = None,
        timeout: float = 300.0,
        check: Callable[[], None] | None = None,
        exchange: SharedExchange | None = None,
    ) -> None:
        """Process ``rank`` of ``size``, in torch's default process group where they are several;
        ``store`` is theirs, ``timeout`` how many seconds an exchange may take. ``check`` raises
        what became of another, where this process can know. Through ``exchange`` go tensors on the
        CPU, where all processes are on one machine.
        """
        self.rank = rank
        self.size = size
        self.timeout = timeout
        self._store = store
        self._check = check
        self._shared = exchange
        self._meetings = 0

    @property
    def is_first(self) -> bool:
        """Whether this is the process that logs, evaluates and saves for all."""
        return self.rank == 0

    @property
    def keys(self) -> tuple[int, ...]:
        """What tells this process's streams of random numbers from the others'."""
        return (self.rank,) if self.rank else ()

    def overlaps(self, device: torch.device) -> bool:
        """Whether exchanges of tensors there are better made while something is computed: through
        shared memory they take less time than that costs.
        """
        return self.size > 1 and (self._shared is None or device.type != "cpu")

    def mean_(self, tensor: Tensor) -> Tensor:
        """``tensor`` becomes the mean over all processes; returned."""
        if self.size > 1:
            shared = self._shared_for(tensor)
            if shared is None:
                self._exchange(lambda: dist.all_reduce(tensor))
                tensor /= self.size
            else:
                self._exchange(lambda: shared.mean_(tensor))
        return tensor

    def broadcast_(self, tensor: Tensor) -> Tensor:
        """``tensor`` becomes the first process's; returned."""
        if self.size > 1:
            shared = self._shared_for(tensor)
            if shared is None:
                self._exchange(lambda: dist.broadcast(tensor, 0))
            else:
                self._exchange(lambda: shared.broadcast_(tensor))
        return tensor

    def sum(self, tensor: Tensor) -> Tensor:
        """The sum over all processes."""
        if self.size > 1:
            tensor = tensor.clone()
            self._sum_(tensor)
        return tensor

    def _sum_(self, tensor: Tensor) -> None:
        shared = self._shared_for(tensor)
        if shared is None:
            self._exchange(lambda: dist.all_reduce(tensor))
        else:
            self._exchange(lambda: shared.sum_(tensor))

    def _shared_for(self, tensor: Tensor) -> SharedExchange | None:
        return self._shared if tensor.device.type == "cpu" else None

    def any(self, flags: Iterable[bool]) -> list[bool]:
        """Which of ``flags`` is set in any process."""
        if self.size == 1:
            return list(flags)
        numbers = torch.tensor(list(flags), dtype=torch.int32)
        self._sum_(numbers)
        return [bool(number) for number in numbers.tolist()]

    def gather(self, value: T) -> list[T]:
        """``value`` of every process, by rank; it must pickle."""
        if self.size == 1:
            return [value]
        found: list[Any] = [None] * self.size
        self._exchange(lambda: dist.all_gather_object(found, value))
        return found

    def combine(self, count: Tensor, mean: Tensor, var: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Number [], mean and variance [...] of the observations of all processes, from those of
        each.

            n = Σ n_r,   μ = Σ n_r μ_r / n,   σ² = Σ n_r (σ_r² + (μ_r - μ)²) / n
        """
        if self.size == 1:
            return count, mean, var
        total = self.sum(count)
        share = count / total.clamp(min=1)
        centre = self.sum(share * mean)
        return total, centre, self.sum(share * (var + (mean - centre).square()))

    def share(self, valid: Tensor | None) -> Tensor | None:
        """What the mean over the ``valid`` entries here (bool, any shape) counts for in the mean of
        all processes' means, so that each entry counts the same; None where all count 1.
        """
        if self.size == 1 or valid is None:
            return None
        count = valid.sum().float()
        return count * self.size / self.sum(count).clamp(min=1)

    def meet(self, patience: float = 10.0) -> None:
        """Wait until every process is here; each may take ``patience`` timeouts, as for what is
        done apart: a checkpoint, an evaluation.
        """
        if self.size > 1:
            self._meetings += 1
            key = f"meeting/{self._meetings}"
            self._exchange(lambda: self._wait_for_all(key, self.timeout * patience))

    def _wait_for_all(self, key: str, seconds: float) -> None:
        store = self._stored()
        store.add(key, 1)
        deadline = time.monotonic() + seconds
        while store.add(key, 0) < self.size:
            try:
                if self._check is not None:
                    self._check()
            except RlpytError:
                if store.add(key, 0) < self.size:  # else it came first, and has ended since
                    raise
            if time.monotonic() > deadline:
                raise TimeoutError(f"not all have come within {seconds:g} s")
            time.sleep(_TICK)

    def _stored(self) -> KeyStore:
        assert self._store is not None  # several processes have one
        return self._store

    def _exchange(self, action: Callable[[], Any]) -> None:
        try:
            action()
        except (RuntimeError, TimeoutError) as error:
            raise self.failure(error) from error

    def failure(self, error: BaseException) -> RlpytError:
        """What a user is told of an exchange that failed: who does not answer any more."""
        missing = self._missing()
        first = str(error).strip().partition("\n")[0]
        where = f"rank {self.rank} of {self.size}, after at most {self.timeout:g} s"
        if not missing:
            return RlpytError("rank", f"an exchange between ranks failed: {first}", where=where)
        who = ", ".join(map(str, missing))
        what = f"rank{'s' * (len(missing) > 1)} {who} of {self.size}: no answer"
        hint = "it was ended, or hangs: see its own messages; raise `timeout` if it is only slow"
        return RlpytError("rank", f"{what} ({first})", where=where, hint=hint)

    def _missing(self) -> list[int]:
        """Who does not say within a few seconds that it has noticed too."""
        others = set(range(self.size)) - {self.rank}
        deadline = time.monotonic() + _ROLL_CALL
        try:
            store = self._stored()
            store.set_timeout(timedelta(seconds=_ROLL_CALL))
            store.set(f"here/{self.rank}", "1")
            while others and time.monotonic() < deadline:
                others = {rank for rank in others if not store.check([f"here/{rank}"])}
                time.sleep(_TICK)
        except (RuntimeError, TimeoutError):  # who kept the store has gone
            return [0]
        return sorted(others)

    def leave(self) -> None:
        """End the exchanges."""
        if self.size > 1 and dist.is_initialized():
            with suppress(RuntimeError):
                dist.destroy_process_group()
