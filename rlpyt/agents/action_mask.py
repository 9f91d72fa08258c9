"""Which actions an observation allows: the field ``action_mask`` of a Dict observation."""

from typing import Any

from gymnasium import Space, spaces

from rlpyt.utils.errors import RlpytError

__all__ = ["has_action_mask"]


def has_action_mask(observation_space: Space[Any], size: int) -> bool:
    """Whether observations carry an ``action_mask``, for an action space that takes ``size``
    entries: one for each discrete choice.

    Raises:
        RlpytError: ``space``, for a mask of another shape than (size,).
    """
    fields = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {}
    if "action_mask" not in fields:
        return False
    shape = fields["action_mask"].shape
    if shape != (size,):
        raise RlpytError(
            "space",
            f"observation['action_mask'] has shape {shape}, the action space takes {size} entries",
            hint="one entry for each discrete choice, in the order of the action space, in one "
            "dimension; none for a Box",
        )
    return True
