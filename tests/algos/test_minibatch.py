"""Minibatches of an on-policy batch: what is in them, and how often."""

import numpy as np
import pytest
import torch

from rlpyt.algos.minibatch import channels_last_images, minibatches
from rlpyt.utils.collections import NamedArrayTuple


class Batch(NamedArrayTuple):
    number: torch.Tensor
    image: torch.Tensor
    nothing: torch.Tensor | None = None


class State(NamedArrayTuple):
    hidden: torch.Tensor


def numbered(T, B):
    number = torch.arange(T * B).reshape(T, B)
    image = number[..., None].expand(T, B, 2).clone()
    return Batch(number, image), State(torch.arange(B)[:, None].float())


CASES = [(6, 4, 1), (6, 4, 4), (6, 4, 5), (6, 4, 24), (7, 3, 2), (1, 5, 3)]


@pytest.mark.parametrize(("T", "B", "count"), CASES)
def test_every_step_comes_once_per_epoch(T, B, count):
    batch, state = numbered(T, B)
    rng = np.random.default_rng(0)
    parts = [p for p, _state in minibatches(batch, state, count, rng, sequences=False)]
    assert len(parts) == count
    sizes = [len(part.number) for part in parts]
    assert max(sizes) - min(sizes) <= 1
    seen = torch.cat([part.number for part in parts])
    assert sorted(seen.tolist()) == list(range(T * B))
    for part in parts:
        assert part.number.dim() == 1
        assert torch.equal(part.image, part.number[:, None].expand(-1, 2))
        assert part.nothing is None
        assert part.number.is_contiguous()


@pytest.mark.parametrize(
    ("T", "B", "count"), [(6, 4, 1), (6, 4, 2), (6, 5, 2), (1, 5, 3), (3, 7, 7)]
)
def test_every_sequence_comes_once_and_whole(T, B, count):
    batch, state = numbered(T, B)
    parts = list(minibatches(batch, state, count, np.random.default_rng(0), sequences=True))
    assert len(parts) == count
    sizes = [part.number.shape[1] for part, _state in parts]
    assert max(sizes) - min(sizes) <= 1
    columns = torch.cat([initial.hidden[:, 0] for _part, initial in parts]).long()
    assert sorted(columns.tolist()) == list(range(B))
    seen = torch.cat([part.number for part, _state in parts], dim=1)
    assert torch.equal(seen, batch.number[:, columns])
    for part, _initial in parts:
        assert torch.equal(part.image[..., 0], part.number)
        assert part.number.is_contiguous()


@pytest.mark.parametrize("sequences", [False, True])
def test_epochs_differ_and_the_generator_decides(sequences):
    batch, state = numbered(8, 16)

    def epoch(rng):
        parts = minibatches(batch, state, 2, rng, sequences=sequences)
        return torch.cat([part.number.flatten() for part, _state in parts]).tolist()

    rng = np.random.default_rng(3)
    first, second = epoch(rng), epoch(rng)
    assert first != second
    assert first == epoch(np.random.default_rng(3))
    assert first != sorted(first)


def test_the_batch_itself_is_left_alone():
    batch, state = numbered(4, 4)
    for part, initial in minibatches(batch, state, 2, np.random.default_rng(0), sequences=True):
        part.number.zero_()
        initial.hidden.zero_()
    assert torch.equal(batch.number, torch.arange(16).reshape(4, 4))
    assert torch.equal(state.hidden[:, 0], torch.arange(4.0))


def test_images_are_rearranged_in_memory_alone():
    draw = torch.Generator().manual_seed(0)
    images = torch.randint(0, 256, (6, 4, 3, 8, 9), dtype=torch.uint8, generator=draw)
    batch = Batch(torch.arange(24.0).view(6, 4), images)
    arranged = channels_last_images(batch)
    assert torch.equal(arranged.image, images)
    assert arranged.image.stride()[2:] == (1, 27, 3)
    assert arranged.number is batch.number
    rng = [np.random.default_rng(0) for _ in range(2)]
    pairs = zip(
        minibatches(batch, None, 3, rng[0], sequences=False),
        minibatches(arranged, None, 3, rng[1], sequences=False),
        strict=True,
    )
    for (plain, _), (ours, _) in pairs:
        assert torch.equal(plain.image, ours.image)
        assert torch.equal(plain.number, ours.number)
        assert ours.image.is_contiguous(memory_format=torch.channels_last)
