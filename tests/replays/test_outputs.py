"""Batches stay what they are while anything refers to them; then their memory is used again."""

import numpy as np
import pytest
import torch
from replay_reference import Env, env_spaces, samples_of

from rlpyt.replays import ArrayStorage, FrameStorage, ReplayBuffer


def make(storage, **settings):
    buffer = ReplayBuffer(size=60, storage=storage, **settings)
    rng = np.random.default_rng(0)
    buffer.initialize(env_spaces(3), B=2, T=30, discount=0.9, rng=rng)
    envs = [Env(np.random.default_rng(b), n_frames=3) for b in range(2)]
    buffer.append(samples_of([[env.step() for env in envs] for _ in range(30)]))
    return buffer


STORAGES = pytest.mark.parametrize("storage", [ArrayStorage(), FrameStorage(n_frames=3)])


@STORAGES
@pytest.mark.parametrize("length", [None, 3])
def test_a_batch_is_not_overwritten_while_it_is_used(storage, length):
    buffer = make(storage, sequence_length=length)
    sample = buffer.sample if length is None else buffer.sample_sequences
    batches = [sample(8) for _ in range(5)]
    copies = [batch.observation.image.clone() for batch in batches]
    view = sample(8).observation.image[0].numpy()  # an array of a part of a batch that is gone
    copy = view.copy()
    for _ in range(20):
        sample(8)
    assert all(
        torch.equal(batch.observation.image, was)
        for batch, was in zip(batches, copies, strict=True)
    )
    assert np.array_equal(view, copy)


@STORAGES
def test_the_memory_of_a_batch_that_is_gone_is_used_again(storage):
    buffer = make(storage)
    batch, places = buffer.sample(8), set()
    for _ in range(20):
        places.add(batch.observation.image.data_ptr())
        batch = buffer.sample(8)
    assert len(places) == 2
