"""Randomness: one seed, one tree of streams, keyed by *global environment index*, never by worker
or process.

Every stream is ``SeedSequence(seed, spawn_key=(purpose, *keys))``: which worker owns an environment
does not matter.
"""

from collections.abc import Iterator
from contextlib import contextmanager
from enum import IntEnum
from typing import Any

import numpy as np
import torch

__all__ = [
    "Stream",
    "generator",
    "generator_state",
    "load_generator_state",
    "make_seed",
    "seed_int",
    "seeded_init",
]


class Stream(IntEnum):
    """What a stream of random numbers is for; the first element of its spawn key."""

    INIT = 0
    ENV = 1
    ACTION = 2
    ALGO = 3
    EVAL_ENV = 4
    EVAL_ACTION = 5
    DECORRELATE = 6
    TASK = 7
    REWARD = 8


def make_seed() -> int:
    """A fresh seed from the operating system's entropy, for a run that was given none."""
    return int(np.random.SeedSequence().generate_state(1)[0])


def _sequence(seed: int, stream: Stream, keys: tuple[int, ...]) -> np.random.SeedSequence:
    return np.random.SeedSequence(seed, spawn_key=(int(stream), *keys))


def generator(seed: int, stream: Stream, *keys: int) -> np.random.Generator:
    """The generator of one stream, e.g. ``generator(seed, Stream.ACTION, env_index)``."""
    return np.random.Generator(np.random.PCG64(_sequence(seed, stream, keys)))


def seed_int(seed: int, stream: Stream, *keys: int) -> int:
    """A 31-bit seed for code that takes an integer, such as ``env.reset(seed=...)``."""
    return int(_sequence(seed, stream, keys).generate_state(1)[0] >> 1)


def generator_state(rng: np.random.Generator) -> dict[str, Any]:
    """The generator's state as numbers and strings (128-bit integers as hexadecimal)."""
    state: dict[str, Any] = dict(rng.bit_generator.state)
    inner = {key: hex(value) for key, value in state.pop("state").items()}
    return {"state": inner, **state}


def load_generator_state(rng: np.random.Generator, state: dict[str, Any]) -> None:
    """Put ``rng`` back where :func:`generator_state` found it."""
    inner = {key: int(value, 16) for key, value in state["state"].items()}
    rng.bit_generator.state = {**state, "state": inner}


@contextmanager
def seeded_init(seed: int) -> Iterator[None]:
    """Build modules inside: torch's initialisers, which know only the global generator, draw from
    ``seed``.

    The global generator is put back afterwards, so that nothing outside notices.
    """
    before = torch.get_rng_state()
    torch.set_rng_state(torch.Generator().manual_seed(seed_int(seed, Stream.INIT)).get_state())
    try:
        yield
    finally:
        torch.set_rng_state(before)
