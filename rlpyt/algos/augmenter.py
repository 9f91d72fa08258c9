"""Observations augmented as they are learned from, by a generator that is part of the run."""

from dataclasses import fields
from enum import Enum
from typing import Any, final

import torch
from gymnasium import Space, spaces
from torch import Tensor

from rlpyt.augment.base import Augmentation, has_channels_last
from rlpyt.data import AgentInputs
from rlpyt.envs.spaces import example_of, space_items
from rlpyt.models.conv2d import is_image
from rlpyt.replays.batches import ReplaySamples, ReplaySequences
from rlpyt.utils.buffer import buffer_from_example, buffer_map, leaves
from rlpyt.utils.config import has_default
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int
from rlpyt.utils.world import World

__all__ = ["Augmenter"]


@final
class Augmenter:
    """Augments observations by ``augmentation``, with draws from a generator of its own; with
    ``None`` nothing changes, and nothing is drawn.

    Of an observation tree the images are augmented, or the float vectors where it has no image; a
    top-level ``action_mask`` stays as it is. Every observation has a draw of its own: s and s' of a
    transition are augmented apart, and so is each step of a sequence.
    """

    def __init__(
        self,
        augmentation: Augmentation | None,
        observation_space: Space[Any],
        *,
        seed: int,
        world: World,
        instead: str = "use algo.augmentation=none",
    ) -> None:
        """``seed`` is the run's; ``instead`` the way out where nothing can be augmented.

        Raises:
            RlpytError: ``config``, where the augmentation does not go with the observations, or
                changes their shape.
        """
        self._instead = instead
        self._augmentation = augmentation
        self._generator = torch.Generator()
        self._generator.manual_seed(seed_int(seed, Stream.ALGO, 2, *world.keys))
        self._parts: list[_Part] = []
        if augmentation is not None:
            self._parts = _parts(observation_space)
            self._try(augmentation, observation_space)

    def _try(self, augmentation: Augmentation, observation_space: Space[Any]) -> None:
        name = type(augmentation).__name__
        if all(part is _Part.NONE for part in self._parts):
            what = f"algo.augmentation={name} with {observation_space}, neither image nor vector"
            raise RlpytError("config", what, hint=self._instead)
        found = space_items(observation_space)
        example = buffer_from_example(example_of(observation_space), (1,))
        for leaf, part, item in zip(leaves(example), self._parts, found, strict=True):
            try:
                changed = part.augmented(leaf, augmentation, torch.Generator())
            except RlpytError as error:
                raise self._misfit(name, item[0], leaf, part, error) from error
            if changed.shape != leaf.shape:
                what = (
                    f"algo.augmentation={name} makes observations of shape "
                    f"{list(changed.shape[1:])} from {list(leaf.shape[1:])}"
                )
                hint = "use RandomShift, RandomTranslate, or RandomCrop with a pad and that size"
                raise RlpytError("config", what, hint=hint)

    def _misfit(
        self, name: str, path: str, leaf: Tensor, part: "_Part", error: RlpytError
    ) -> RlpytError:
        """What to say of an observation ``leaf`` [1, ...], at ``path``, that it does not take."""
        seen = f"observation {path!r}" if path else "observations"
        kind = f"shape {list(leaf.shape[1:])}, {str(leaf.dtype).removeprefix('torch.')}"
        reason = error.what.removeprefix(f"{name}: ")
        what = f"{name} does not fit {seen} of {kind}; of a batch of one it says: {reason}"
        fitting = ", ".join(_fitting(leaf, part))
        hint = error.hint
        if leaf.dim() > 3 and has_channels_last(leaf):
            hint = "where the channel is last, move it to the front by a wrapper of the environment"
        if fitting:
            others = [f"with their defaults these fit: {fitting}"]
        else:
            others = [f"or {self._instead}" if hint else self._instead]
        hint = "; ".join(([hint] if hint else []) + others)
        return RlpytError("config", what, where=f"algo.augmentation={name}", hint=hint)

    def __call__(self, observation: Any) -> Any:
        """The tree [..., *shape] augmented, in new memory; any leading dimensions."""
        if self._augmentation is None:
            return observation
        augmentation, parts = self._augmentation, iter(self._parts)

        def change(leaf: Tensor) -> Tensor:
            return next(parts).augmented(leaf, augmentation, self._generator)

        return buffer_map(change, observation)

    def inputs(self, inputs: AgentInputs) -> AgentInputs:
        """An agent's inputs with their observation augmented."""
        return inputs._replace(observation=self(inputs.observation))

    def replayed(self, batch: ReplaySamples | ReplaySequences) -> ReplaySamples | ReplaySequences:
        """A batch of the replay with its observations augmented."""
        observation = self(batch.observation)
        if isinstance(batch, ReplaySequences):
            return batch._replace(observation=observation)
        return batch._replace(
            observation=observation, next_observation=self(batch.next_observation)
        )

    def state_dict(self) -> dict[str, Any]:
        """The generator's state."""
        return {"rng": self._generator.get_state()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        self._generator.set_state(state["rng"])


@final
class _Part(Enum):
    """What is augmented of a leaf of observations."""

    NONE = 0
    WHOLE = 1
    PLANE = 2  # images of rows and columns alone, [..., H, W]: they get a channel for it

    def augmented(
        self, leaf: Tensor, augmentation: Augmentation, generator: torch.Generator
    ) -> Tensor:
        """``leaf`` as it is learned from."""
        if self is _Part.NONE:
            return leaf
        if self is _Part.WHOLE:
            return augmentation(leaf, generator)
        return augmentation(leaf.unsqueeze(-3), generator).squeeze(-3)


def _parts(observation_space: Space[Any]) -> list[_Part]:
    """For each leaf: images, or float vectors where there are none."""
    found = space_items(observation_space)
    if any(is_image(space) for _path, space in found):
        return [_image_part(space) for _path, space in found]
    return [
        _Part.WHOLE if _is_vector(space) and path != "action_mask" else _Part.NONE
        for path, space in found
    ]


def _image_part(space: Space[Any]) -> _Part:
    if not is_image(space):
        return _Part.NONE
    return _Part.PLANE if len(space.shape or ()) == 2 else _Part.WHOLE


def _fitting(leaf: Tensor, part: _Part) -> list[str]:
    """The names of rlpyt's augmentations that, with their defaults, keep the shape of ``leaf``."""
    is_vector = leaf.dim() == 2  # what is for vectors runs on images of floats, without sense
    names: list[str] = []
    known: list[Any] = Augmentation.__subclasses__()
    for cls in known:
        package, _dot, kind = cls.__module__.rpartition(".")
        if package != "rlpyt.augment" or (kind == "vectors") != is_vector:
            continue
        if not all(has_default(setting) for setting in fields(cls)):
            continue
        try:
            changed = part.augmented(leaf, cls(), torch.Generator())
        except RlpytError:
            continue
        names += [cls.__name__] if changed.shape == leaf.shape else []
    return sorted(names)


def _is_vector(space: Space[Any]) -> bool:
    return isinstance(space, spaces.Box) and space.dtype.kind == "f" and len(space.shape) == 1
