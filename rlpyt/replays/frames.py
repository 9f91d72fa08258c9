"""The storage of image stacks, frame by frame."""

from dataclasses import dataclass
from typing import Any, final

import numpy as np

from rlpyt.replays.frame_leaf import FrameLeaf
from rlpyt.replays.memory import Array
from rlpyt.replays.storage import ArrayLeaf, LeafStore, Storage
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError

__all__ = ["FrameStorage"]


@final
@dataclass(kw_only=True)
class FrameStorage(Storage):
    """Keeps the newest frame of each image stack, other leaves whole.

    A stack is a uint8 leaf [n_frames * C, H, W] or [n_frames, H, W, ...], oldest first.

    Observations that are no such stacks are refused when they come. Not noticed are stray pixels of
    single stacks, since after the first rows only parts of them are compared (frame_check.py).
    """

    n_frames: int = 4

    @property
    def history(self) -> int:
        """The frames before the newest."""
        return self.n_frames - 1

    def leaf_stores(self, example: Any) -> list[LeafStore]:
        """Frames for the image stacks, arrays for the rest.

        Raises:
            RlpytError: ``config``, if no leaf is such a stack.
        """
        stores: list[LeafStore] = []
        for i, leaf in enumerate(leaves(example)):
            name, is_stack = f"observation/{i}", self._is_stack(leaf)
            stores.append(
                FrameLeaf(leaf, name, self.n_frames) if is_stack else ArrayLeaf(leaf, name)
            )
        if not any(self._is_stack(leaf) for leaf in leaves(example)):
            found = ", ".join(f"{leaf.dtype}{list(leaf.shape)}" for leaf in leaves(example))
            raise RlpytError(
                "config",
                f"no part of the observation ({found}) is a stack of {self.n_frames} images",
                where="FrameStorage",
                hint="use ArrayStorage, or the environment's number of frames as n_frames",
            )
        return stores

    def _is_stack(self, leaf: Array) -> bool:
        is_image = leaf.dtype == np.uint8 and leaf.ndim >= 3
        return self.n_frames > 1 and is_image and leaf.shape[0] % self.n_frames == 0
