"""One seed is one tree of streams; states are plain data; nobody touches a global generator."""

import itertools
import json

import numpy as np
import pytest
import torch

from rlpyt.utils.seed import (
    Stream,
    generator,
    generator_state,
    load_generator_state,
    make_seed,
    seed_int,
    seeded_init,
)


def test_a_stream_depends_on_seed_purpose_and_keys_only():
    first = generator(3, Stream.ACTION, 5).random(4)
    generator(3, Stream.ACTION, 4).random(100)
    np.testing.assert_array_equal(first, generator(3, Stream.ACTION, 5).random(4))


def test_streams_differ_in_every_part_of_their_name():
    names = [
        (seed, stream, *keys)
        for seed, stream, keys in itertools.product(
            (0, 1, 2**31), Stream, ((), (0,), (1,), (0, 0), (0, 1), (1, 0))
        )
    ]
    numbers = {generator(*name).bit_generator.state["state"]["state"] for name in names}
    assert len(numbers) == len(names)
    assert len({seed_int(*name) for name in names}) == len(names)


def test_seed_int_fits_31_bits_and_is_this_one_for_ever():
    seeds = [seed_int(0, Stream.ENV, index, 0) for index in range(200)]
    assert all(0 <= seed < 2**31 for seed in seeds)
    # A change here changes every run that anyone has made: bump the checkpoint format with it.
    sequence = np.random.SeedSequence(7, spawn_key=(1, 3, 2))
    assert seed_int(7, Stream.ENV, 3, 2) == int(sequence.generate_state(1)[0] >> 1)
    assert [int(stream) for stream in Stream] == list(range(9))
    assert [stream.name for stream in Stream][:4] == ["INIT", "ENV", "ACTION", "ALGO"]


def test_a_generator_continues_from_its_state_after_json():
    rng = generator(0, Stream.ALGO)
    rng.integers(10, dtype=np.int32)  # leaves half of a 64-bit draw behind
    state = json.loads(json.dumps(generator_state(rng)))
    expected = [rng.integers(1000, dtype=np.int32) for _ in range(5)], rng.standard_normal(3)
    other = generator(1, Stream.ENV)
    load_generator_state(other, state)
    found = [other.integers(1000, dtype=np.int32) for _ in range(5)], other.standard_normal(3)
    assert found[0] == expected[0]
    np.testing.assert_array_equal(found[1], expected[1])


def test_a_saved_state_does_not_move_with_the_generator():
    rng = generator(0, Stream.ALGO)
    state = generator_state(rng)
    before = json.dumps(state)
    rng.random(10)
    assert json.dumps(state) == before
    load_generator_state(rng, state)
    assert json.dumps(state) == before


def test_seeded_init_makes_equal_modules_and_leaves_the_global_generator():
    before = torch.get_rng_state()

    def weight(seed):
        with seeded_init(seed):
            return torch.nn.Linear(3, 3).weight.detach()

    assert torch.equal(weight(0), weight(0))
    assert not torch.equal(weight(0), weight(1))
    assert torch.equal(torch.get_rng_state(), before)
    with pytest.raises(RuntimeError, match="inside"), seeded_init(0):
        _draw_and_raise()
    assert torch.equal(torch.get_rng_state(), before)


def _draw_and_raise():
    torch.rand(3)
    raise RuntimeError("inside")


def test_fresh_seeds_are_fresh_and_usable():
    seeds = {make_seed() for _ in range(8)}
    assert len(seeds) == 8
    assert all(0 <= seed < 2**32 for seed in seeds)
    assert all(type(seed) is int for seed in seeds)
