"""What has been seen in each environment's episode."""

from typing import final

import torch
from torch import Tensor, nn

from rlpyt.rewards.samples import check_columns
from rlpyt.utils.errors import RlpytError

__all__ = ["EpisodicMemory"]


@final
class EpisodicMemory(nn.Module):
    """The last N vectors of each of B environments, [B, N, d], forgotten one environment at a time.

    All of it are buffers, so that ``state_dict`` holds it.

    Args:
        n_envs: B.
        capacity: N; the oldest gives way.
        size: d, the length of a vector.

    Raises:
        RlpytError: for a number below 1.
    """

    entries: Tensor
    count: Tensor

    def __init__(self, n_envs: int, capacity: int, size: int) -> None:
        super().__init__()
        if min(n_envs, capacity, size) < 1:
            what = f"a memory of {n_envs} environments, {capacity} vectors of {size} numbers each"
            raise RlpytError("config", what, hint="use 1 or more for each")
        self.capacity = capacity
        self.register_buffer("entries", torch.zeros(n_envs, capacity, size))
        self.register_buffer("count", torch.zeros(n_envs, dtype=torch.int64))

    @property
    def n_envs(self) -> int:
        """B."""
        return self.count.shape[0]

    def check(self, B: int) -> None:
        """Raise where a batch has not the columns that the memory follows."""
        check_columns("an episodic memory", self.n_envs, B)

    def forget(self, where: Tensor) -> None:
        """Empty the memories of the environments ``where``, bool [B]."""
        self.count.masked_fill_(where, 0)

    def add(self, vector: Tensor, where: Tensor | None = None) -> None:
        """Take in ``vector`` [B, d], of the environments ``where`` only, bool [B]."""
        at = (self.count % self.capacity).view(-1, 1, 1).expand(-1, 1, vector.shape[-1])
        new = vector.unsqueeze(1)
        if where is not None:
            new = torch.where(where.view(-1, 1, 1), new, self.entries.gather(1, at))
        self.entries.scatter_(1, at, new)
        self.count += 1 if where is None else where.to(self.count.dtype)

    def square_distances(self, vector: Tensor, most: int | None = None) -> Tensor:
        """‖x - m_i‖² of ``vector`` x [B, d] from each entry, [B, N], infinite where there is none.

        ``most``: no memory holds more than that many by now; then [B, min(N, most)].
        """
        n = self.capacity if most is None else max(1, min(self.capacity, most))
        distances = (self.entries[:, :n] - vector.unsqueeze(1)).square().sum(-1)
        empty = torch.arange(n, device=distances.device) >= self.count.unsqueeze(1)
        return distances.masked_fill(empty, torch.inf)
