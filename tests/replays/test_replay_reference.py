"""Every kind of replay against plain loops over lists of steps, on made-up steps of all kinds."""

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from replay_reference import (
    Env,
    Reference,
    check_sequences,
    check_transitions,
    env_spaces,
    samples_of,
    start_of,
)

from rlpyt.replays import ArrayStorage, FrameStorage, Prioritized, ReplayBuffer

DISCOUNT = 0.9


class Priorities:
    """What every start's priority should be, to the power of α."""

    def __init__(self, settings: Prioritized) -> None:
        self.settings, self.highest, self.values = settings, 0.0, {}

    def follow(self, starts) -> None:
        self.values = {start: self.values.get(start, self.highest or 1.0) for start in starts}
        self.highest = max(self.highest, *self.values.values()) if starts else self.highest

    def update(self, starts, priorities) -> None:
        for start, priority in zip(starts, priorities, strict=True):
            self.values[start] = float(priority) ** self.settings.alpha
        self.highest = max(self.highest, *(float(p) ** self.settings.alpha for p in priorities))

    def check_weights(self, batch, starts, n_steps) -> None:
        beta = self.settings.beta_at(n_steps)
        total = sum(self.values.values())
        n = len(self.values)
        weights = np.array([(n * self.values[start] / total) ** -beta for start in starts])
        np.testing.assert_allclose(batch.is_weight.numpy(), weights / weights.max(), rtol=1e-5)


def run(buffer, ref, rng, chunks, *, check, initial=False):
    B, expected = len(ref.envs), None
    if buffer.prioritized is not None:
        expected = Priorities(buffer.prioritized)
    for T in chunks:
        rows = [[env.step() for env in ref.envs] for _ in range(T)]
        buffer.append(samples_of(rows))
        if rng.integers(3) == 0:
            continue  # several appends before anything is sampled
        starts = ref.starts()
        assert buffer.n_sampleable == len(starts)
        assert buffer.n_stored == len(buffer) == (ref.total - ref.oldest) * B
        if not starts:
            continue
        if expected is not None:
            expected.follow(starts)
        for n in (1, 5):
            batch = check(buffer, n)
            drawn = [start_of(i, B, buffer.storage) for i in batch.indices.tolist()]
            if expected is None:
                assert batch.is_weight is None
                continue
            expected.check_weights(batch, drawn, ref.total * B)
            priorities = torch.from_numpy(rng.random(n) + 0.01)
            buffer.update_priorities(batch.indices, priorities)
            expected.update(drawn, priorities)


@pytest.mark.parametrize("prioritized", [None, Prioritized(beta_steps=100)], ids=["uniform", "per"])
@pytest.mark.parametrize("frames", [False, True], ids=["array", "frames"])
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    seed=st.integers(0, 2**32),
    B=st.integers(1, 3),
    n=st.integers(1, 4),
    n_frames=st.integers(2, 4),
    capacity=st.integers(9, 30),
    chunks=st.lists(st.integers(1, 9), min_size=1, max_size=12),
)
def test_transitions(frames, prioritized, seed, B, n, n_frames, capacity, chunks):
    rng = np.random.default_rng(seed)
    size = (2, 4) if seed % 2 else (3, 3)
    envs = [Env(rng, n_frames, size) for _ in range(B)]
    ref = Reference(envs, capacity, n, DISCOUNT)
    storage = FrameStorage(n_frames=n_frames) if frames else ArrayStorage()
    buffer = ReplayBuffer(
        size=capacity * B, storage=storage, n_step_return=n, prioritized=prioritized
    )
    buffer.initialize(env_spaces(n_frames, size), B=B, T=9, discount=DISCOUNT, rng=rng)

    def check(buffer, n):
        batch = buffer.sample(n)
        check_transitions(batch, ref, storage)
        return batch

    run(buffer, ref, rng, chunks, check=check)


@pytest.mark.parametrize("prioritized", [None, Prioritized(beta_steps=100)], ids=["uniform", "per"])
@pytest.mark.parametrize("frames", [False, True], ids=["array", "frames"])
@settings(max_examples=30, deadline=None, derandomize=True, database=None)
@given(
    seed=st.integers(0, 2**32),
    B=st.integers(1, 3),
    n=st.integers(1, 3),
    length=st.integers(1, 5),
    burn_in=st.integers(0, 4),
    interval=st.integers(1, 4),
    spare=st.integers(0, 20),
    chunks=st.lists(st.integers(1, 9), min_size=1, max_size=12),
)
def test_sequences(frames, prioritized, seed, B, n, length, burn_in, interval, spare, chunks):
    rng = np.random.default_rng(seed)
    n_frames = 2 + seed % 3
    envs = [Env(rng, n_frames, longest=9) for _ in range(B)]
    capacity = max(9, burn_in + length + n + interval) + spare
    ref = Reference(envs, capacity, n, DISCOUNT, length, burn_in, interval)
    storage = FrameStorage(n_frames=n_frames) if frames else ArrayStorage()
    buffer = ReplayBuffer(
        size=capacity * B,
        storage=storage,
        n_step_return=n,
        sequence_length=length,
        burn_in=burn_in,
        rnn_state_interval=interval,
        prioritized=prioritized,
    )
    state = samples_of([[Env(rng, 2).step()]]).agent_info.prev_rnn_state[0, 0]
    buffer.initialize(
        env_spaces(n_frames), B=B, T=9, discount=DISCOUNT, rng=rng, prev_rnn_state=state
    )

    def check(buffer, n):
        batch = buffer.sample_sequences(n)
        check_sequences(batch, ref, storage)
        return batch

    run(buffer, ref, rng, chunks, check=check)
