"""Reward normalisation against a loop over steps, numpy's variance, and stable-baselines3."""

import math

import numpy as np
import pytest
import torch
from toy_envs import make, walk

from rlpyt.algos.pg.a2c import A2C
from rlpyt.algos.pg.batch import RewardNormalizer
from rlpyt.data import Samples

DISCOUNT, CLIP, B = 0.9, 2.0, 3


def reward_batch(T, seed, masked=False):
    """Samples of rewards and ends only; where masked, columns end and wait, rewards at zero."""
    rng = np.random.default_rng(seed)
    reward = torch.tensor(rng.standard_normal((T, B)) * 3 + 1, dtype=torch.float32)
    terminated, truncated = (torch.tensor(rng.random((T, B)) < 0.15) for _ in range(2))
    valid = None
    if masked:
        before = torch.cumsum((terminated | truncated).int(), 0) - (terminated | truncated).int()
        valid = before == 0
        reward, terminated, truncated = reward * valid, terminated & valid, truncated & valid
    none = torch.zeros(T, B)
    return Samples(
        observation=None,
        prev_action=None,
        prev_reward=none,
        reset=none.bool(),
        action=None,
        agent_info=None,
        reward=reward,
        terminated=terminated,
        truncated=truncated,
        valid=valid,
    )


def loop(batches):
    """Step by step: G ← γ G + r, zero after an end; rewards over the deviation of all G so far."""
    seen, found, running = [], [], [0.0] * B
    for batch in batches:
        for t in range(len(batch.reward)):
            for b in range(B):
                if batch.valid is not None and not batch.valid[t, b]:
                    continue
                running[b] = DISCOUNT * running[b] + float(batch.reward[t, b])
                seen.append(running[b])
                if batch.done[t, b]:
                    running[b] = 0.0
        scale = math.sqrt(np.var(seen) + 1e-8)
        found.append(np.clip(batch.reward.numpy() / scale, -CLIP, CLIP))
        if batch.valid is not None:
            running = [0.0 if batch.done[:, b].any() else running[b] for b in range(B)]
    return found


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("T", [1, 5, 16])
def test_equals_a_loop_over_batches(T, masked):
    batches = [reward_batch(T, seed, masked) for seed in range(6)]
    normalizer = RewardNormalizer(B, DISCOUNT, CLIP)
    for batch, expected in zip(batches, loop(batches), strict=True):
        np.testing.assert_allclose(normalizer(batch).numpy(), expected, rtol=1e-4, atol=1e-5)
    clipped = np.concatenate([np.abs(found).ravel() for found in loop(batches)]) == CLIP
    assert 0 < clipped.mean() < 0.5


def test_statistics_are_those_of_sb3():
    """VecNormalize takes in the same discounted returns, one step of all environments at a time."""
    running = pytest.importorskip(
        "stable_baselines3.common.running_mean_std",
        reason='the oracle is not here: pip install "rlpyt[oracles]"',
    )
    statistics = running.RunningMeanStd(epsilon=1e-10, shape=())
    normalizer = RewardNormalizer(B, DISCOUNT, CLIP)
    returns = np.zeros(B)
    for seed in range(5):
        batch = reward_batch(16, seed)
        found = normalizer(batch)
        for t in range(16):
            returns = returns * DISCOUNT + batch.reward[t].numpy()
            statistics.update(returns)
            returns[batch.done[t].numpy()] = 0.0
        scale = np.sqrt(statistics.var + 1e-8)
        expected = np.clip(batch.reward.numpy() / scale, -CLIP, CLIP)
        np.testing.assert_allclose(found.numpy(), expected, rtol=1e-4, atol=1e-5)


def test_continues_from_its_state():
    batches = [reward_batch(7, seed) for seed in range(4)]
    one, other = RewardNormalizer(B, DISCOUNT, CLIP), RewardNormalizer(B, DISCOUNT, CLIP)
    for batch in batches[:2]:
        one(batch)
    state = {
        key: value.clone() if isinstance(value, torch.Tensor) else dict(value)
        for key, value in one.state_dict().items()
    }
    other.load_state_dict(state)
    for batch in batches[2:]:
        assert torch.equal(one(batch), other(batch))


def test_the_algorithm_learns_from_normalised_rewards_and_leaves_the_samples():
    """Scaling all rewards alike changes nothing once they are normalised."""

    def loss(normalize, factor):
        algo = A2C(normalize_reward=normalize)
        _agent, sampler = make(algo, walk(), T=8, B=4)
        samples = sampler.obtain_samples(0)[0]
        reward = samples.reward * factor
        kept = reward.clone()
        found = algo.optimize_agent(0, samples._replace(reward=reward))["loss"]
        sampler.shutdown()
        assert torch.equal(reward, kept)
        return found

    assert loss(True, 1.0) == pytest.approx(loss(True, 100.0), rel=1e-4)
    assert loss(False, 1.0) != pytest.approx(loss(False, 100.0), rel=1e-2)
    assert loss(False, 1.0) != pytest.approx(loss(True, 1.0), rel=1e-2)
