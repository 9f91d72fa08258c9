"""Agreement of a policy and a value over augmented observations, the regularisation of DrAC
(Raileanu et al. 2020, arXiv:2006.12862), for any algorithm.

What an augmentation does not change the meaning of should not change what is done, nor what it is
worth. Differs from the authors' release as its paper does: there the policy's term is the
log-probability of one action, a sample of the KL here, and the value's is halved.
"""

from typing import Any, final

import torch
from torch import Tensor

from rlpyt.augment.base import Augmentation
from rlpyt.data import AgentInputs
from rlpyt.distributions.base import Distribution
from rlpyt.ops.losses import valid_mean
from rlpyt.utils.buffer import buffer_map, leaves
from rlpyt.utils.collections import is_namedarraytuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int
from rlpyt.utils.world import World

__all__ = ["Augmenter", "policy_agreement_loss", "value_agreement_loss"]


def policy_agreement_loss(
    distribution: Distribution, dist_info: Any, augmented: Any, valid: Tensor | None
) -> Tensor:
    """G_π = E[KL(π(·|s) || π(·|f(s)))], a scalar; π(·|s) is a target and gets no gradient.

    Args:
        distribution: The policy's family.
        dist_info: Of π(·|s), tree [..., ...].
        augmented: Of π(·|f(s)), likewise, for an augmentation f.
        valid: Which entries count, [...] bool; None: all.
    """
    target = buffer_map(lambda leaf: leaf.detach(), dist_info)
    return valid_mean(distribution.kl(target, augmented), valid)


def value_agreement_loss(value: Tensor, augmented: Tensor, valid: Tensor | None) -> Tensor:
    """G_V = E[(V(s) - V(f(s)))²], a scalar; V(s) [...] is a target and gets no gradient,
    V(f(s)) is ``augmented`` [...].
    """
    return valid_mean(torch.square(value.detach() - augmented), valid)


@final
class Augmenter:
    """Applies an augmentation to what a model is shown, with a generator of its own.

    Of an observation tree the images are augmented, uint8 or floats of three dimensions; where it
    has none, the vectors of floats. A top-level ``action_mask`` and whole numbers stay as they are.
    """

    def __init__(self, augmentation: Augmentation, seed: int, world: World) -> None:
        """Seed the generator, of this process of ``world``."""
        self._augmentation = augmentation
        self._generator = torch.Generator().manual_seed(seed_int(seed, Stream.ALGO, 1, *world.keys))

    def __call__(self, inputs: AgentInputs, n_leading: int) -> AgentInputs:
        """``inputs`` with its observation tree augmented, of which the first ``n_leading``
        dimensions are of the batch.

        Raises:
            RlpytError: where there is nothing to augment, or the shape becomes another.
        """
        observation = inputs.observation
        has_image = any(_is_seen(leaf, n_leading + 3) for leaf in _visible(observation))
        n_dim = n_leading + (3 if has_image else 1)
        return inputs._replace(observation=self._augmented(observation, n_dim))

    def _augmented(self, observation: Any, n_dim: int) -> Any:
        if not any(_is_seen(leaf, n_dim) for leaf in _visible(observation)):
            found = sorted({str(leaf.dtype).removeprefix("torch.") for leaf in leaves(observation)})
            what = f"{self._augmentation}: no image and no vector of floats among {found}"
            raise RlpytError("config", what, hint="use ppo, or observations that can be augmented")
        if is_namedarraytuple(observation):
            parts = {
                name: part
                if name == "action_mask"
                else buffer_map(lambda leaf: self._leaf(leaf, n_dim), part)
                for name, part in observation.items()
            }
            return observation._replace(**parts)
        return self._leaf(observation, n_dim)

    def _leaf(self, leaf: Tensor, n_dim: int) -> Tensor:
        if not _is_seen(leaf, n_dim):
            return leaf
        augmented = self._augmentation(leaf, self._generator)
        if augmented.shape != leaf.shape:
            what = f"{self._augmentation} makes {list(leaf.shape)} {list(augmented.shape)}"
            hint = "the model needs the shape of the environment: RandomShift, or a crop with pad"
            raise RlpytError("config", what, hint=hint)
        return augmented

    def state_dict(self) -> dict[str, Any]:
        """The generator's state."""
        return {"generator": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._generator.set_state(state["generator"])


def _visible(observation: Any) -> list[Tensor]:
    """The leaves but for a top-level mask."""
    if not is_namedarraytuple(observation):
        return [observation]
    return [
        leaf for name, part in observation.items() if name != "action_mask" for leaf in leaves(part)
    ]


def _is_seen(leaf: Tensor, n_dim: int) -> bool:
    """Whether a leaf has so many dimensions, and numbers of a kind that can be augmented."""
    return leaf.dim() == n_dim and (leaf.is_floating_point() or leaf.dtype == torch.uint8)
