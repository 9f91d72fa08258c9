import gc
import os
from copy import deepcopy
from pathlib import Path

import numpy as np
import pytest
import torch
from gymnasium import spaces
from replay_reference import Env, Reference, check_transitions, env_spaces, samples_of
from scipy import stats

import rlpyt.replays.memory
from rlpyt.checkpoint import read_checkpoint, write_checkpoint
from rlpyt.data import EnvSpaces, Samples
from rlpyt.ops.q_learning import sequence_priority
from rlpyt.replays import (
    ArrayStorage,
    FrameStorage,
    Prioritized,
    ReplayBuffer,
)
from rlpyt.utils.buffer import leaves
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides
from rlpyt.utils.rebuild import component_from

ATARI = EnvSpaces(spaces.Box(0, 255, (4, 84, 84), np.uint8), spaces.Discrete(18))
BOX = EnvSpaces(spaces.Box(-1, 1, (3,), np.float32), spaces.Discrete(4))


def initialized(buffer, env_spaces_, *, B=1, T=1, seed=0, **kwargs):
    rng = np.random.default_rng(seed)
    buffer.initialize(env_spaces_, B=B, T=T, discount=0.9, rng=rng, **kwargs)
    return buffer


def plain(T, B=1, *, first=False, terminated=False):
    """Steps of one long episode."""
    zeros = torch.zeros(T, B)
    reset = zeros.bool()
    reset[0] = first
    end = zeros.bool()
    end[-1] = terminated
    return Samples(
        observation=torch.rand(T, B, 3),
        prev_action=zeros.long(),
        prev_reward=zeros,
        reset=reset,
        action=zeros.long(),
        agent_info=None,
        reward=torch.rand(T, B),
        terminated=end,
        truncated=zeros.bool(),
    )


def refused(code, what, call, *args, **kwargs):
    with pytest.raises(RlpytError, match=what) as found:
        call(*args, **kwargs)
    assert found.value.code == code


def batches_equal(one, other):
    pairs = zip(leaves(one), leaves(other), strict=True)
    return all(torch.equal(a, b) and a.dtype == b.dtype for a, b in pairs)


def clone(batch):
    return type(batch)._make(
        None
        if field is None
        else torch.clone(field)
        if isinstance(field, torch.Tensor)
        else clone(field)
        for field in batch
    )


# --- what is sampled ---------------------------------------------------------------------------


@pytest.mark.parametrize("sequence_length", [None, 3])
def test_uniform_samples_are_uniform(sequence_length):
    buffer = ReplayBuffer(size=400, sequence_length=sequence_length, rnn_state_interval=1)
    initialized(buffer, BOX, B=4, T=20)
    for i in range(9):
        buffer.append(plain(20, 4, first=i == 0, terminated=i % 2 == 0))
    sample = buffer.sample if sequence_length is None else buffer.sample_sequences
    drawn = np.concatenate([sample(500).indices.numpy() for _ in range(40)])
    found, counts = np.unique(drawn, return_counts=True)
    assert len(found) == buffer.n_sampleable
    assert stats.chisquare(counts).pvalue > 1e-4


def test_uniform_samples_are_uniform_where_few_of_many_can_be_sampled():
    buffer = initialized(ReplayBuffer(size=4000), BOX, T=50)
    for i in range(80):
        one = plain(50, first=True)
        valid = torch.zeros(50, 1, dtype=torch.bool)
        valid[3:5] = i % 4 == 0  # two steps, of which one has a successor
        buffer.append(one._replace(valid=valid))
    assert buffer.n_sampleable == 20
    drawn = np.concatenate([buffer.sample(500).indices.numpy() for _ in range(10)])
    found, counts = np.unique(drawn, return_counts=True)
    assert len(found) == 20
    assert stats.chisquare(counts).pvalue > 1e-4


@pytest.mark.parametrize("alpha", [0.0, 0.5, 1.0])
def test_prioritised_samples_are_distributed_by_priority_to_the_alpha(alpha):
    buffer = ReplayBuffer(size=303, prioritized=Prioritized(alpha=alpha))
    initialized(buffer, BOX, B=3, T=101)
    buffer.append(plain(101, 3, first=True))
    priorities = torch.linspace(0.01, 5.0, 300, dtype=torch.float64)
    buffer.update_priorities(torch.arange(3, 303), priorities)
    drawn = np.concatenate([buffer.sample(1).indices.numpy() for _ in range(6000)])
    expected = priorities.numpy() ** alpha
    bins = np.bincount((drawn - 3) // 30, minlength=10)
    share = expected.reshape(10, 30).sum(1) / expected.sum()
    assert stats.chisquare(bins, share * 6000).pvalue > 1e-4


def test_importance_weights_undo_the_priorities():
    """With β = 1 the weighted mean of anything is its mean under uniform sampling."""
    settings = Prioritized(alpha=1.0, beta=1.0)
    buffer = initialized(ReplayBuffer(size=200, prioritized=settings), BOX, T=101)
    buffer.append(plain(101, first=True))
    indices = torch.arange(1, 101)
    buffer.update_priorities(indices, torch.rand(100) + 0.1)
    total = torch.zeros(2)
    for _ in range(300):
        batch = buffer.sample(100)
        total += torch.stack([(batch.is_weight * batch.return_).sum(), batch.is_weight.sum()])
    rewards = buffer._contents.ring.reward[1:101, 0]
    assert float(total[0] / total[1]) == pytest.approx(float(rewards.mean()), abs=0.01)


def test_beta_moves_with_the_environment_steps():
    settings = Prioritized(beta=0.4, beta_final=1.0, beta_steps=100)
    assert [settings.beta_at(t) for t in (0, 50, 100, 1000)] == pytest.approx([0.4, 0.7, 1.0, 1.0])
    assert Prioritized(beta_steps=0).beta_at(0) == 1.0


def test_new_data_has_the_highest_priority_and_low_ones_are_rarely_sampled():
    buffer = initialized(ReplayBuffer(size=1000, prioritized=Prioritized(alpha=1.0)), BOX, T=101)
    buffer.append(plain(101, first=True))
    buffer.update_priorities(torch.arange(1, 101), torch.full((100,), 1e-3))
    buffer.update_priorities(torch.tensor([7]), torch.tensor([5.0]))
    buffer.append(plain(1))  # the last one's successor
    drawn = torch.cat([buffer.sample(10).indices for _ in range(50)])
    counts = torch.bincount(drawn, minlength=103)
    assert counts[7] + counts[101] > 480
    assert abs(counts[7] - counts[101]) < 60  # 101 came with the highest so far, 5


def test_a_priority_of_0_is_never_sampled():
    buffer = initialized(ReplayBuffer(size=50, prioritized=Prioritized()), BOX, T=21)
    buffer.append(plain(21, first=True))
    buffer.update_priorities(torch.arange(1, 20), torch.zeros(19))
    assert set(buffer.sample(64).indices.tolist()) == {20}


def test_data_that_comes_with_its_priorities():
    settings = Prioritized(alpha=1.0, initial_priorities=True)
    buffer = initialized(ReplayBuffer(size=50, n_step_return=2, prioritized=settings), BOX, T=6)
    given = torch.arange(1.0, 13.0)[:, None]
    buffer.append(plain(6, first=True), -given[:6])  # errors count by size
    buffer.append(plain(6), given[6:])
    assert buffer.n_sampleable == 10
    tree = buffer._contents.priorities.tree
    assert tree.get(np.arange(1, 13)).tolist() == [1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 0, 0]
    refused("replay", "are missing", buffer.append, plain(6))
    refused("replay", "not finite", buffer.append, plain(1), torch.full((1, 1), torch.nan))
    uniform = initialized(ReplayBuffer(size=50, prioritized=Prioritized()), BOX, T=6)
    refused("replay", "not used", uniform.append, plain(6), given[:6])


def test_sequences_that_come_with_the_priorities_of_their_steps():
    settings = Prioritized(alpha=0.5, eta=0.9, initial_priorities=True)
    buffer = ReplayBuffer(size=50, sequence_length=3, burn_in=1, prioritized=settings)
    initialized(buffer, BOX, T=6)
    buffer.append(plain(6, first=True, terminated=True), torch.tensor([[9.0, 1, 2, 6, 3, 4]]).T)
    assert buffer.n_sampleable == 5
    expected = [0.9 * 6 + 0.1 * 3, 0.9 * 6 + 0.1 * 11 / 3, 0.9 * 6 + 0.1 * 13 / 3]
    expected += [0.9 * 4 + 0.1 * 3.5, 4.0]  # from the third on they end with the episode
    found = buffer._contents.priorities.tree.get(np.arange(1, 6))
    np.testing.assert_allclose(found, np.sqrt(expected), rtol=1e-6)


def test_mixed_priority():
    error = torch.tensor([[1.0, -4.0], [-3.0, 9.0], [2.0, 9.0]])
    valid = torch.tensor([[True, True], [True, False], [True, False]])
    assert sequence_priority(error, 0.9, valid).tolist() == pytest.approx([0.9 * 3 + 0.1 * 2, 4.0])
    assert sequence_priority(error, 0.9, torch.zeros_like(valid)).tolist() == [0.0, 0.0]


def test_leaves_keep_their_dtypes_and_masks_and_trees_come_back():
    observation = namedarraytuple("DictTree", ("action_mask", "image"))
    action = namedarraytuple("DictTree", ("left", "right"))
    space = EnvSpaces(
        spaces.Dict(
            {
                "image": spaces.Box(0, 255, (3, 4, 4, 3), np.uint8),  # stacked RGB
                "action_mask": spaces.MultiBinary(5),
            }
        ),
        spaces.Dict({"left": spaces.Discrete(5), "right": spaces.Box(-1, 1, (2,), np.float32)}),
    )
    buffer = initialized(ReplayBuffer(size=40, storage=FrameStorage(n_frames=3)), space, T=20)
    rng = np.random.default_rng(0)
    frames = torch.from_numpy(rng.integers(0, 255, (22, 4, 4, 3), dtype=np.uint8))
    image = torch.stack([frames[t : t + 3] for t in range(20)])[:, None]
    mask = torch.from_numpy(rng.integers(0, 2, (20, 1, 5), dtype=np.int8))
    left = torch.arange(20)[:, None]
    batch = plain(20, first=True)._replace(
        observation=observation(mask, image),
        action=action(left, torch.rand(20, 1, 2)),
        prev_action=action(left - 1, torch.rand(20, 1, 2)),
    )
    buffer.append(batch)
    found = buffer.sample(64)
    t = found.action.left
    assert found.observation.image.dtype == torch.uint8
    assert found.observation.action_mask.dtype == torch.int8
    assert torch.equal(found.observation.image, image[t, 0])
    assert torch.equal(found.next_observation.image, image[t + 1, 0])
    assert torch.equal(found.observation.action_mask, mask[t, 0])
    assert torch.equal(found.next_observation.action_mask, mask[t + 1, 0])
    assert torch.equal(found.action.right, batch.action.right[t, 0])
    assert torch.equal(found.prev_action.left, (t - 1).clamp(min=0))
    assert torch.equal(found.next_inputs.prev_action.left, t)
    assert not found.next_inputs.reset.any()
    assert found.agent_inputs.observation is found.observation


def test_stacks_of_colour_images_with_channels_first():
    rng = np.random.default_rng(0)
    space = EnvSpaces(spaces.Box(0, 255, (6, 4, 4), np.uint8), spaces.Discrete(4))
    buffers = [
        ReplayBuffer(size=40, storage=FrameStorage(n_frames=2), sequence_length=length)
        for length in (None, 4)
    ]
    frames = torch.from_numpy(rng.integers(0, 255, (21, 3, 4, 4), dtype=np.uint8))
    stacks = torch.stack([frames[t : t + 2].flatten(0, 1) for t in range(20)])
    for buffer in buffers:
        initialized(buffer, space, T=20)
        buffer.append(plain(20, first=True)._replace(observation=stacks[:, None]))
    found = buffers[0].sample(32)
    assert torch.equal(found.observation, stacks[found.indices - 1])
    found = buffers[1].sample_sequences(32)
    for p in range(5):
        assert torch.equal(found.observation[p], stacks[found.indices - 1 + p])


# --- refusals ----------------------------------------------------------------------------------


def test_nothing_to_sample_is_said():
    buffer = initialized(ReplayBuffer(size=10), BOX)
    refused("replay", "0 rows of 1 are stored", buffer.sample, 4)
    prioritised = initialized(ReplayBuffer(size=10, prioritized=Prioritized()), BOX)
    prioritised.append(plain(1, first=True))
    refused("replay", "1 rows of 1 are stored", prioritised.sample, 4)


@pytest.mark.parametrize(
    ("settings", "what"),
    [
        ({"size": 0}, "size=0"),
        ({"n_step_return": 0}, "n_step_return=0"),
        ({"sequence_length": 0}, "sequence_length=0"),
        ({"sequence_length": 2, "burn_in": -1}, "burn_in=-1"),
        ({"sequence_length": 2, "rnn_state_interval": 0}, "rnn_state_interval=0"),
        ({"burn_in": 2}, "are for sequences"),
        ({"size": 10}, "size=10 is 5 rows of 2 environments; 8 needed"),
        ({"size": 20, "n_step_return": 20}, "size=20 is 10 rows of 2 environments; 21 needed"),
        ({"prioritized": Prioritized(alpha=1.5)}, "alpha=1.5"),
        ({"storage": FrameStorage()}, "is a stack of 4 images"),
    ],
)
def test_settings_that_cannot_be(settings, what):
    refused("config", what, initialized, ReplayBuffer(**{"size": 99, **settings}), BOX, B=2, T=8)


def test_samples_that_do_not_fit():
    buffer = initialized(ReplayBuffer(size=20), BOX, B=2, T=8)
    refused("replay", r"\[4, 3\] do not fit into \[10, 2\]", buffer.append, plain(4, 3))
    refused("replay", r"\[11, 2\] do not fit into \[10, 2\]", buffer.append, plain(11, 2))
    cut = plain(4, 2)._replace(truncated=torch.ones(4, 2, dtype=torch.bool))
    refused("replay", "final_observation is None", buffer.append, cut)
    assert len(buffer) == 0


def test_the_wrong_question():
    transitions = initialized(ReplayBuffer(size=20), BOX)
    sequences = initialized(ReplayBuffer(size=20, sequence_length=2), BOX)
    refused("replay", "has transitions", transitions.sample_sequences, 2)
    refused("replay", "has sequences", sequences.sample, 2)
    none = torch.zeros(1)
    refused("replay", "no priorities", transitions.update_priorities, none.long(), none)


def test_priorities_that_are_not_finite_are_refused():
    buffer = initialized(ReplayBuffer(size=20, prioritized=Prioritized()), BOX, T=4)
    buffer.append(plain(4, first=True))
    index = buffer.sample(2).indices
    nan = torch.tensor([1.0, torch.nan])
    refused("replay", "not a nonnegative number", buffer.update_priorities, index, nan)


def test_observations_that_are_no_stacks_are_refused():
    space = EnvSpaces(spaces.Box(0, 255, (2, 4, 4), np.uint8), spaces.Discrete(4))
    buffer = initialized(ReplayBuffer(size=20, storage=FrameStorage(n_frames=2)), space, T=4)
    image = torch.arange(4 * 32, dtype=torch.uint8).reshape(4, 1, 2, 4, 4)
    batch = plain(4, first=True)._replace(observation=image)
    refused("replay", "step 1, environment 0 is not the stack", buffer.append, batch)
    assert len(buffer) == 0
    cut = torch.zeros(4, 1, dtype=torch.bool)
    cut[3] = True
    zeros = torch.zeros_like(image)
    one_off = zeros.clone()
    one_off[3, 0, 0, 3, 3] = 1
    batch = batch._replace(observation=zeros, final_observation=one_off, truncated=cut)
    refused("replay", "a final observation is not the stack", buffer.append, batch)


# --- memory ------------------------------------------------------------------------------------


def test_a_million_atari_transitions_fit_into_7_5_gb():
    frames = ReplayBuffer(size=1_000_000, storage=FrameStorage(), prioritized=Prioritized())
    assert 7.056e9 < frames.forecast(ATARI, B=1) < 7.15e9
    assert 7.056e9 < frames.forecast(ATARI, B=256) < 7.2e9
    arrays = ReplayBuffer(size=1_000_000)
    assert 28.2e9 < arrays.forecast(ATARI, B=8) < 28.3e9


def test_the_forecast_is_what_is_allocated():
    buffer = ReplayBuffer(size=1000, storage=FrameStorage(), prioritized=Prioritized())
    initialized(buffer, ATARI, B=2)
    contents = buffer._contents
    dense = [contents._arrays[n].nbytes for n, spec in contents.specs.items() if not spec.sparse]
    assert sum(dense) == buffer.forecast(ATARI, B=2)


def test_too_large_is_refused_with_both_numbers(monkeypatch):
    monkeypatch.setattr(rlpyt.replays.memory, "available_memory", lambda: 5_000_000_000)
    buffer = ReplayBuffer(size=1_000_000, storage=FrameStorage())
    refused("memory", r"takes 7\.\d GB, 5\.0 GB of memory are free", initialized, buffer, ATARI)


def test_too_large_for_this_machine_and_for_its_disk(tmp_path):
    buffer = ReplayBuffer(size=10**12, storage=FrameStorage())
    refused(
        "memory", r"takes 70\d\d\d\d\d\.\d GB, .* of memory are free", initialized, buffer, ATARI
    )
    buffer = ReplayBuffer(size=10**12, storage=FrameStorage(), memory_map=tmp_path)
    refused("memory", r"GB, .* in .* are free", initialized, buffer, ATARI)
    buffer = ReplayBuffer(size=100, memory_map=tmp_path / "none")
    refused("memory", "no directory that can be used", initialized, buffer, BOX)


def filled(buffer, *, seed=0, chunks=8, **kwargs):
    """A buffer with episodes of all kinds, and its reference."""
    rng = np.random.default_rng(seed)
    envs = [Env(rng, 3) for _ in range(2)]
    state = samples_of([[Env(rng, 3).step()]]).agent_info.prev_rnn_state[0, 0]
    state = state if buffer.sequence_length else None
    initialized(buffer, env_spaces(3), B=2, T=7, prev_rnn_state=state, **kwargs)
    for _ in range(chunks):
        append(buffer, envs)
    capacity = -(-buffer.size // 2)
    return envs, Reference(envs, capacity, buffer.n_step_return, 0.9)


def append(buffer, envs):
    rows = [[env.step() for env in envs] for _ in range(7)]
    given = buffer.prioritized is not None and buffer.prioritized.initial_priorities
    buffer.append(samples_of(rows), torch.rand(7, 2) if given else None)


@pytest.mark.parametrize("storage", [ArrayStorage(), FrameStorage(n_frames=3)])
def test_memory_mapped(tmp_path, storage):
    buffer = ReplayBuffer(size=60, storage=storage, n_step_return=2, memory_map=tmp_path)
    _envs, ref = filled(buffer)
    check_transitions(buffer.sample(64), ref, storage)
    assert list(tmp_path.iterdir()) == []  # the file has no name: nothing is left behind
    assert os.readlink(f"/proc/self/fd/{buffer.shared_fd}").startswith(str(tmp_path))


def test_a_buffer_that_goes_leaves_nothing_open(tmp_path):
    before = set(os.listdir("/proc/self/fd"))
    for settings in ({}, {"share_memory": True}, {"memory_map": tmp_path}):
        buffer = ReplayBuffer(size=60, **settings)
        filled(buffer)
        batch = buffer.sample(4)
        del buffer
        gc.collect()
        assert batch.observation.vector.isfinite().all()
        del batch
    assert set(os.listdir("/proc/self/fd")) <= before


def attach_and_append(path, seed, storage):
    """In another process: append to the buffer whose memory is at ``path``."""
    fd = os.open(path, os.O_RDWR)
    buffer = ReplayBuffer(size=60, storage=storage, prioritized=Prioritized(), share_memory=True)
    filled(buffer, seed=seed, shared_fd=fd)
    os.close(fd)
    return len(buffer)


@pytest.mark.parametrize("storage", [ArrayStorage(), FrameStorage(n_frames=3)])
def test_another_process_appends(apart, storage):
    buffer = ReplayBuffer(size=60, storage=storage, prioritized=Prioritized(), share_memory=True)
    _envs, ref = filled(buffer, chunks=0)
    path = f"/proc/{os.getpid()}/fd/{buffer.shared_fd}"
    assert apart(attach_and_append, path, 5, storage) == 60
    rng = np.random.default_rng(5)
    envs = [Env(rng, 3) for _ in range(2)]
    Env(rng, 3).step()
    for _ in range(8):
        [[env.step() for env in envs] for _ in range(7)]
    ref = Reference(envs, 30, 1, 0.9)
    assert buffer.n_sampleable == len(ref.starts())
    check_transitions(buffer.sample(64), ref, storage)


# --- state -------------------------------------------------------------------------------------

KINDS = {
    "uniform": {},
    "frames": {"storage": FrameStorage(n_frames=3), "n_step_return": 3},
    "prioritised": {"prioritized": Prioritized(), "n_step_return": 2},
    "given": {"prioritized": Prioritized(initial_priorities=True)},
    "sequences": {
        "storage": FrameStorage(n_frames=3),
        "prioritized": Prioritized(),
        "sequence_length": 3,
        "burn_in": 2,
        "rnn_state_interval": 2,
    },
}


def following(buffer, envs, n=20):
    """The next batches, priorities updated and steps appended in between."""
    torch.manual_seed(0)
    batches = []
    for i in range(n):
        sample = buffer.sample_sequences if buffer.sequence_length else buffer.sample
        batches.append(clone(sample(16)))
        if buffer.prioritized is not None:
            buffer.update_priorities(batches[-1].indices, torch.rand(16))
        if i % 3 == 2:
            append(buffer, envs)
    return batches


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize("chunks", [2, 9], ids=["filling", "wrapped"])
@pytest.mark.parametrize("used", [False, True], ids=["fresh", "used"])
def test_a_checkpoint_goes_on_bit_for_bit(tmp_path, kind, chunks, used):
    buffer = ReplayBuffer(size=60, **KINDS[kind])
    envs, _ref = filled(buffer, chunks=chunks)
    following(buffer, envs, n=2)
    write_checkpoint(tmp_path / "one", {"replay": buffer.state_dict()}, itr=1, cum_steps=1)
    resumed_envs = deepcopy(envs)
    expected = following(buffer, envs)

    resumed = ReplayBuffer(size=60, **KINDS[kind])
    filled(resumed, seed=99, chunks=11 if used else 0)
    resumed.load_state_dict(read_checkpoint(tmp_path / "one")[0]["replay"])
    found = following(resumed, resumed_envs)
    assert len(found) == 20
    assert all(batches_equal(one, other) for one, other in zip(found, expected, strict=True))


def test_only_what_is_filled_is_saved():
    buffer = ReplayBuffer(size=100_000, storage=FrameStorage(n_frames=3), prioritized=None)
    filled(buffer)
    sizes = {name: array.nbytes for name, array in buffer.state_dict()["arrays"].items()}
    assert sum(sizes.values()) < 10_000
    assert buffer.forecast(env_spaces(3), B=2) > 1_000_000


def test_a_checkpoint_of_another_replay_is_refused():
    buffer = ReplayBuffer(size=60, storage=FrameStorage(n_frames=3))
    filled(buffer)
    state = buffer.state_dict()
    for settings, what in [
        ({"size": 80}, "capacity=30, now 40"),
        ({"n_step_return": 2}, "span=1, now 2"),
        ({"prioritized": Prioritized()}, "prioritized"),
        ({"storage": ArrayStorage()}, "observation/0 in only one of both"),
    ]:
        other = ReplayBuffer(**{"size": 60, "storage": FrameStorage(n_frames=3), **settings})
        filled(other, chunks=0)
        refused("checkpoint", what, other.load_state_dict, state)
    other = ReplayBuffer(size=60, storage=FrameStorage(n_frames=3))
    initialized(other, env_spaces(3, (2, 4)), B=2, T=7)
    refused(
        "checkpoint",
        r"observation/0/frame uint8\(2, 9\), now uint8\(2, 8\)",
        other.load_state_dict,
        state,
    )


def test_a_configuration_is_written_overridden_and_rebuilt():
    buffer = ReplayBuffer(
        size=500, storage=FrameStorage(n_frames=3), prioritized=Prioritized(), memory_map=Path("x")
    )
    changed = apply_overrides(
        buffer, ["size=1000", "storage.n_frames=2", "prioritized.alpha=0.9", "memory_map=none"]
    )
    assert changed.storage == FrameStorage(n_frames=2)
    assert changed.prioritized.alpha == 0.9
    assert changed.memory_map is None
    assert component_from(config_dict(changed), "replay") == changed
    assert component_from(config_dict(buffer), "replay") == buffer
    initialized(changed, BOX._replace(observation=spaces.Box(0, 255, (2, 3, 3), np.uint8)))
    assert component_from(config_dict(changed), "replay") == changed


@pytest.mark.gpu
@pytest.mark.parametrize("kind", KINDS)
def test_batches_on_a_device_are_those_on_the_cpu(kind):
    device = torch.accelerator.current_accelerator()
    here, there = ReplayBuffer(size=60, **KINDS[kind]), ReplayBuffer(size=60, **KINDS[kind])
    filled(here)
    torch.manual_seed(0)
    filled(there, device=device)
    for _ in range(50):
        sample = [b.sample_sequences if b.sequence_length else b.sample for b in (here, there)]
        one, other = sample[0](16), sample[1](16)
        pairs = zip(one.items(), other.items(), strict=True)
        for (name, a), (_, b) in pairs:
            for x, y in zip(leaves(a), leaves(b), strict=True):
                assert torch.equal(x, y.cpu())
                assert name == "indices" or y.device.type == device.type
