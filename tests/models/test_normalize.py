import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlpyt.envs.spaces import tree_class
from rlpyt.models.normalize import ObservationNormalizer, RunningMeanStd


def test_statistics_equal_numpy_s_over_all_batches():
    rng = np.random.default_rng(0)
    batches = [(5 + 3 * rng.standard_normal((T, 4, 3))).astype(np.float32) for T in (1, 7, 2, 30)]
    statistics = RunningMeanStd((3,))
    for batch in batches:
        statistics.update(torch.from_numpy(batch))
    data = np.concatenate([batch.reshape(-1, 3) for batch in batches]).astype(np.float64)
    assert statistics.count.item() == len(data)
    np.testing.assert_allclose(statistics.mean.numpy(), data.mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.var.numpy(), data.var(0), rtol=1e-12)


@pytest.mark.parametrize("invalid", [float("nan"), 1000.0])
def test_only_valid_entries_count_and_the_rest_may_be_nan(invalid):
    rng = np.random.default_rng(1)
    x = torch.from_numpy(rng.standard_normal((6, 4, 2, 3)).astype(np.float32))
    valid = torch.from_numpy(rng.random((6, 4)) < 0.5)
    kept = x[valid].numpy().astype(np.float64)
    poisoned = x.clone()
    poisoned[~valid] = invalid
    statistics = RunningMeanStd((2, 3))
    statistics.update(poisoned, valid)
    statistics.update(poisoned, torch.zeros_like(valid))
    assert statistics.count.item() == len(kept)
    np.testing.assert_allclose(statistics.mean.numpy(), kept.mean(0), rtol=1e-12)
    np.testing.assert_allclose(statistics.var.numpy(), kept.var(0), rtol=1e-12)


@pytest.mark.parametrize("valid", [None, torch.ones(5, 2, dtype=torch.bool)])
def test_batches_come_to_where_the_statistics_are(valid):
    """As those of a sampler to a model on an accelerator; a device without numbers will do."""
    normalizer = ObservationNormalizer(spaces.Box(-1, 1, (3,), np.float32)).to("meta")
    normalizer.update(torch.randn(5, 2, 3), valid)
    assert {buffer.device.type for buffer in normalizer.buffers()} == {"meta"}


def test_nothing_valid_at_first_leaves_the_identity():
    statistics = RunningMeanStd((2,))
    statistics.update(torch.full((3, 2), float("nan")), torch.zeros(3, dtype=torch.bool))
    torch.testing.assert_close(statistics.var, torch.ones(2, dtype=torch.float64))
    x = torch.tensor([[0.5, -2.0]])
    torch.testing.assert_close(statistics.normalize(x), x)


def test_merge_equals_seeing_the_other_s_data():
    first, second, both = RunningMeanStd((3,)), RunningMeanStd((3,)), RunningMeanStd((3,))
    a, b = torch.randn(10, 3) + 4, torch.randn(25, 3) * 2
    first.update(a)
    second.update(b)
    first.merge(second.count, second.mean, second.var)
    both.update(torch.cat([a, b]))
    for name, buffer in both.state_dict().items():
        torch.testing.assert_close(first.state_dict()[name], buffer, rtol=1e-12, atol=1e-14)


def test_normalize_whitens_clips_and_keeps_the_dtype():
    statistics = RunningMeanStd((2,))
    x = torch.randn(1000, 2) * torch.tensor([3.0, 0.1]) + 7
    statistics.update(x)
    out = statistics.normalize(x)
    assert out.dtype == torch.float32
    torch.testing.assert_close(out.mean(0), torch.zeros(2), rtol=0, atol=1e-4)
    torch.testing.assert_close(out.std(0, correction=0), torch.ones(2), rtol=0, atol=1e-4)
    assert statistics.normalize(torch.tensor([1e6, -1e6]), clip=2.5).tolist() == [2.5, -2.5]


def test_a_small_variance_far_from_zero_survives():
    statistics = RunningMeanStd(())
    data = 1e4 + torch.arange(100, dtype=torch.float32) % 2
    for part in data.split(7):
        statistics.update(part)
    assert abs(statistics.var.item() - 0.25) < 1e-9


def test_only_float_vectors_of_a_tree_are_normalized():
    space = spaces.Dict(
        {
            "action_mask": spaces.Box(0, 1, (2,), np.float32),
            "float_image": spaces.Box(0, 1, (8, 8, 3), np.float32),
            "image": spaces.Box(0, 255, (8, 8, 3), np.uint8),
            "inner": spaces.Tuple((spaces.Box(-9, 9, (3,), np.float32), spaces.Discrete(4))),
            "integers": spaces.Box(0, 9, (2,), np.int64),
            "position": spaces.Box(-9, 9, (), np.float64),
        }
    )
    normalizer = ObservationNormalizer(space)
    assert normalizer.paths == [("inner", "item_0"), ("position",)]
    inner = tree_class(space["inner"])(torch.randn(5, 2, 3) + 3, torch.ones(5, 2).long())
    observation = tree_class(space)(
        torch.ones(5, 2, 2),
        torch.rand(5, 2, 8, 8, 3),
        torch.ones(5, 2, 8, 8, 3, dtype=torch.uint8),
        inner,
        torch.ones(5, 2, 2).long(),
        torch.randn(5, 2) - 4,
    )
    normalizer.update(observation)
    out = normalizer(observation)
    assert type(out) is type(observation)
    for name in ("action_mask", "float_image", "image", "integers"):
        assert getattr(out, name) is getattr(observation, name)
    assert out.inner.item_1 is inner.item_1
    assert out.inner.item_0.mean().abs() < 1e-5
    assert out.position.mean().abs() < 1e-5
    assert observation.position.mean() < -2  # the input is left alone


def test_statistics_are_in_the_state_dict():
    space = spaces.Box(-1, 1, (3,), np.float32)
    normalizer, other = ObservationNormalizer(space), ObservationNormalizer(space)
    normalizer.update(torch.randn(20, 2, 3) * 2 + 1)
    other.load_state_dict(normalizer.state_dict())
    x = torch.randn(4, 3)
    assert torch.equal(normalizer(x), other(x))
    assert not torch.equal(other(x), x)
