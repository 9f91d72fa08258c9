"""The contract of a distribution: stateless, a function of parameters and noise."""

from abc import ABC, abstractmethod
from typing import Any

import numpy as np
from torch import Tensor

__all__ = ["Distribution"]


class Distribution(ABC):
    """A family of action distributions. Holds shapes only; every tensor comes in and goes out.

    A sample is a deterministic function of ``dist_info`` and ``noise`` (Gumbel, logistic or
    normal): noise is drawn ahead, per environment, from that environment's own generator, so that
    sampling costs one addition in the hot path and does not depend on how environments are grouped.

    Shapes: ``...`` is any number of leading dimensions.
    """

    @property
    @abstractmethod
    def param_size(self) -> int:
        """How many numbers a model's head gives for one action."""

    @property
    @abstractmethod
    def noise_size(self) -> int:
        """How many numbers of noise one sample takes."""

    @property
    @abstractmethod
    def mask_size(self) -> int:
        """Length of an ``action_mask``; 0 where masks mean nothing."""

    @abstractmethod
    def dist_info(self, params: Tensor, mask: Tensor | None = None) -> Any:
        """A NamedArrayTuple that determines the distribution, from ``params`` [..., param_size] and
        ``mask`` [..., mask_size] (true: allowed).
        """

    @abstractmethod
    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...]
    ) -> np.ndarray[Any, Any]:
        """Noise for ``leading`` samples, [*leading, noise_size] float32."""

    @abstractmethod
    def sample(self, dist_info: Any, noise: Tensor) -> Any:
        """An action, differentiable in ``dist_info`` where the action is continuous."""

    @abstractmethod
    def mode(self, dist_info: Any) -> Any:
        """The most likely action."""

    @abstractmethod
    def log_prob(self, dist_info: Any, action: Any) -> Tensor:
        """Log p(action), [...]."""

    @abstractmethod
    def entropy(self, dist_info: Any) -> Tensor:
        """H(p) = -E[log p], [...]."""

    @abstractmethod
    def kl(self, dist_info: Any, other: Any) -> Tensor:
        """KL(p || q) for p given by ``dist_info`` and q by ``other``, [...]."""
