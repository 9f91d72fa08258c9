"""The parts that rewards are made of."""

import threading
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from reward_fakes import OBSERVATIONS, batch, make

from rlpyt.agents.pg import PgAgent
from rlpyt.data import EnvSpaces
from rlpyt.models.normalize import RunningMeanStd
from rlpyt.rewards import (
    EpisodicMemory,
    LearnerOptions,
    ObservationStatistics,
    RewardLearner,
    RewardScale,
    reward_samples,
    samples_of,
)
from rlpyt.rewards.features import in_chunks
from rlpyt.rewards.normalize import normalized_space
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

ALONE = World()


# --- samples -----------------------------------------------------------------------------------


class CountEnv(gymnasium.Env):
    """Observes (episode, step); every third episode is cut, the others end."""

    observation_space = spaces.Box(0, np.inf, (2,), np.float32)
    action_space = spaces.Discrete(2)
    episode, step_ = -1, 0

    def reset(self, *, seed=None, options=None):
        self.episode, self.step_ = self.episode + 1, 0
        return self._seen(), {}

    def step(self, action):
        self.step_ += 1
        end = self.step_ == 3 + self.episode % 2
        cut = self.episode % 3 == 0
        return self._seen(), 0.0, end and not cut, end and cut, {}

    def _seen(self):
        return np.array([self.episode, self.step_], np.float32)


@pytest.mark.parametrize("mid_batch_reset", [True, False])
@pytest.mark.parametrize("told", [True, False])
def test_the_next_observation_is_the_true_one_everywhere(mid_batch_reset, told):
    sampler = SerialSampler(
        env=CountEnv,
        batch_T=5,
        batch_B=2,
        mid_batch_reset=mid_batch_reset,
        max_decorrelation_steps=4,
    )
    agent = PgAgent(model_kwargs={"hidden_sizes": (4,)})
    spaces_ = EnvSpaces(CountEnv.observation_space, CountEnv.action_space)
    agent.initialize(spaces_, device=torch.device("cpu"), seed=0)
    sampler.initialize(agent, seed=0)
    ends = 0
    try:
        for itr in range(4):
            samples, _ = sampler.obtain_samples(itr)
            last = None
            if told:
                last = torch.as_tensor(sampler.state_dict()["observation"]["0"])
            found = samples_of(samples, last)
            valid = torch.ones_like(samples.done) if samples.valid is None else samples.valid
            if not mid_batch_reset:
                assert found.valid is samples.valid
            expected = samples.observation + torch.tensor([0.0, 1.0])
            assert torch.equal(found.next_observation[valid], expected[valid])
            ends += int(samples.done.sum())
            assert torch.equal(found.done, samples.done)
    finally:
        sampler.shutdown()
    assert ends > 4


def test_anyones_arrays():
    observation = {"a": np.zeros((4, 2, 3)), "b": (np.zeros((4, 2)), np.zeros((4, 2), np.uint8))}
    samples = reward_samples(
        observation=observation,
        action=np.zeros((4, 2), np.int64),
        next_observation=observation,
        terminated=np.zeros((4, 2)),
        reset=[[1, 1]] + [[0, 0]] * 3,
        valid=torch.ones(4, 2),
    )
    assert samples.observation.a.dtype == torch.float32  # as the environment's edge makes it
    assert samples.observation.b.item_1.dtype == torch.uint8
    assert samples.terminated.dtype == samples.reset.dtype == samples.valid.dtype == torch.bool
    assert not samples.truncated.any()
    assert samples[1:].action.shape == (3, 2)


# --- scales ------------------------------------------------------------------------------------


def test_rewards_by_their_running_deviation():
    scale, seen = RewardScale("rms"), []
    rng = np.random.default_rng(0)
    for _ in range(4):
        reward = rng.gamma(2.0, size=(5, 3)).astype(np.float32)
        seen += list(reward.flatten())
        found = scale(torch.as_tensor(reward), None, ALONE)
        np.testing.assert_allclose(found.numpy(), reward / np.std(seen), rtol=1e-5)


def test_a_constant_reward_becomes_ten_at_most():
    for discount in (None, 0.99, 0.5):
        scale = RewardScale("rms", discount=discount, n_envs=3)
        for T in (1, 1, *[10] * 40):
            found = scale(torch.full((T, 3), 7.0), None, ALONE)
            assert found.min() > 0
            assert found.max() <= 10.001
    assert (RewardScale("rms")(torch.zeros(2, 2), None, ALONE) == 0).all()


def test_minmax():
    reward = torch.tensor([[3.0, 5.0], [4.0, 99.0]])
    valid = torch.tensor([[True, True], [True, False]])
    found = RewardScale("minmax")(reward, valid, ALONE)
    assert found.tolist() == [[0.0, 1.0], [0.5, 0.0]]


def test_returns_want_the_same_environments():
    scale = RewardScale("rms", discount=0.9, n_envs=2)
    with pytest.raises(RlpytError, match="follows 2 environments, and 7 columns came"):
        scale(torch.zeros(1, 7), None, ALONE)
    with pytest.raises(RlpytError, match="return_discount=1"):
        RewardScale("rms", discount=1.0, n_envs=2)


@pytest.mark.parametrize("name", OBSERVATIONS)
def test_observations_are_normalised_leaf_by_leaf(name):
    statistics = ObservationStatistics(OBSERVATIONS[name])
    samples = batch(70, 2, observation_space=OBSERVATIONS[name])
    statistics.update(samples.next_observation, None, ALONE)
    found = statistics(samples.next_observation)
    if name == "dict":
        assert torch.equal(found.cell, samples.next_observation.cell)
        assert torch.equal(found.action_mask, samples.next_observation.action_mask)
        assert found.view.shape == (70, 2, 1, 7, 7)
        pairs = [(found.place, samples.next_observation.place)]
        pairs += [(found.view[:, :, 0], samples.next_observation.view)]
    else:
        pairs = [(found, samples.next_observation)]
    for leaf, x in pairs:
        x = x.double().numpy()
        expected = np.clip((x - x.mean((0, 1))) / x.std((0, 1)), -5, 5)
        np.testing.assert_allclose(leaf.reshape(x.shape).numpy(), expected, rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize(("name", "part"), [("chw", 1), ("hwc", 2)])
def test_the_last_channels_of_an_image_alone(name, part):
    space = OBSERVATIONS[name]
    samples = batch(20, 2, observation_space=space)
    statistics = ObservationStatistics(space, last_channels=part)
    whole = ObservationStatistics(space)
    for each in (statistics, whole):
        each.update(samples.observation, None, ALONE)
    found, expected = statistics(samples.observation), whole(samples.observation)
    last = expected[..., -part:, :, :] if name == "chw" else expected[..., -part:]
    assert torch.equal(found, last)
    assert found.shape[2:] == normalized_space(space, part).shape
    assert make("rnd", space, last_channels=1).compute(samples).isfinite().all()
    with pytest.raises(RlpytError, match="last_channels=4"):
        make("rnd", space, last_channels=4)


def test_statistics_leave_out_what_does_not_count():
    space = OBSERVATIONS["chw"]
    samples = batch(70, 2, observation_space=space)
    valid = torch.rand(70, 2) < 0.6
    one, other = ObservationStatistics(space), RunningMeanStd(space.shape)
    one.update(samples.observation, valid, ALONE)
    other.update(samples.observation[valid])
    found = one.statistics[0]
    torch.testing.assert_close(found.mean, other.mean)
    torch.testing.assert_close(found.var, other.var)


# --- memory ------------------------------------------------------------------------------------


def test_the_memory_is_a_ring_for_each_environment():
    memory, lists = EpisodicMemory(3, 4, 2), [[], [], []]
    rng = np.random.default_rng(0)
    for _ in range(40):
        x, where, gone = rng.normal(size=(3, 2)), rng.random(3) < 0.7, rng.random(3) < 0.1
        query = rng.normal(size=(3, 2))
        memory.add(torch.as_tensor(x, dtype=torch.float32), torch.as_tensor(where))
        for b in range(3):
            lists[b] = [*lists[b], x[b]][-4:] if where[b] else lists[b]
        distances = memory.square_distances(torch.as_tensor(query, dtype=torch.float32))
        for b in range(3):
            expected = sorted(((query[b] - m) ** 2).sum() for m in lists[b])
            found = sorted(d for d in distances[b].tolist() if np.isfinite(d))
            assert found == pytest.approx(expected, rel=1e-4, abs=1e-5)
        memory.forget(torch.as_tensor(gone))
        lists = [[] if gone[b] else lists[b] for b in range(3)]
    assert memory.entries.shape == (3, 4, 2)


def test_a_memory_of_nothing_is_refused():
    with pytest.raises(RlpytError, match="use 1 or more"):
        EpisodicMemory(2, 0, 3)


# --- learning ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "options",
    [
        {"learning_rate": -1.0},
        {"batch_size": 0},
        {"epochs": 0},
        {"update_proportion": 0.0},
        {"update_proportion": 1.5},
        {"clip_grad_norm": 0.0},
        {"feature_size": 0},
        {"hidden_sizes": (0,)},
    ],
)
def test_options_out_of_range_are_refused(options):
    with pytest.raises(RlpytError, match="use "):
        make("icm", **options)


def test_passes_and_minibatches():
    network = torch.nn.Linear(1, 1)
    options = LearnerOptions(batch_size=5, epochs=3, update_proportion=0.5)
    learner = RewardLearner(network, options=options, seed=0)
    samples = batch(6, 4)
    number = torch.arange(24).reshape(6, 4)
    passes = [part.action.tolist() for part in learner.minibatches(samples._replace(action=number))]
    assert [len(part) for part in passes] == [5, 5, 2] * 3
    drawn = [[n for part in passes[i : i + 3] for n in part] for i in (0, 3, 6)]
    assert all(len(set(part)) == 12 for part in drawn)
    assert len({tuple(part) for part in drawn}) == 3


def test_a_gradient_is_clipped_and_its_norm_told():
    samples = batch()
    one, other = make("icm"), make("icm", clip_grad_norm=1e-4)
    assert one.update(samples) == pytest.approx(other.update(samples), rel=1e-6)
    with pytest.raises(RlpytError, match="gradient's norm is nan"):
        one.update(samples._replace(next_observation=samples.observation * torch.nan))


def test_a_few_at_a_time_is_all_of_them():
    x, y = torch.rand(150, 4, 3), torch.rand(150, 4)
    found = in_chunks(lambda a, b: a.sum(-1) * b, x, y)
    torch.testing.assert_close(found, x.sum(-1) * y)


# --- several processes -------------------------------------------------------------------------


class Half:
    """One of two threads that learn together."""

    size = 2

    def __init__(self, rank: int, barrier: threading.Barrier, table: list[Any]) -> None:
        self.rank, self.barrier, self.table = rank, barrier, table

    def _both(self, tensor: torch.Tensor) -> list[torch.Tensor]:
        self.table[self.rank] = tensor.clone()
        self.barrier.wait(10)
        both = list(self.table)
        self.barrier.wait(10)
        return both

    def mean_(self, tensor):
        return tensor.copy_(sum(self._both(tensor)) / 2)

    def broadcast_(self, tensor):
        return tensor.copy_(self._both(tensor)[0])

    def share(self, valid):
        return None

    def combine(self, count, mean, var):
        merged = RunningMeanStd(mean.shape)
        parts = zip(*(self._both(x) for x in (count, mean, var)), strict=True)
        for part in parts:
            merged.merge(*part)
        return merged.count, merged.mean, merged.var


@pytest.mark.parametrize("name", ["rnd", "icm", "disagreement", "ngu"])
def test_two_processes_learn_as_one_would(name):
    samples = batch(8, 4, done=((3, 1),))
    options = {"learning_rate": 1e-3, "return_discount": None} if name == "rnd" else {}
    rewards = [make(name, seed=rank, **options) for rank in range(2)]
    barrier, table, found = threading.Barrier(2), [None, None], [None, None]

    def learn(rank):
        reward = rewards[rank]
        reward.join(Half(rank, barrier, table))
        columns = samples[:, 2 * rank : 2 * rank + 2]
        for _ in range(2):
            found[rank] = reward.compute(columns)
            reward.update(columns)

    threads = [threading.Thread(target=learn, args=(rank,)) for rank in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    alone = make(name, seed=0, n_envs=4, **options)
    for _ in range(2):
        expected = alone.compute(samples)
        alone.update(samples)
    for x, y in zip(rewards[0].parameters(), rewards[1].parameters(), strict=True):
        assert torch.equal(x, y)
    if name in ("rnd", "icm"):  # the others' sums are of one process
        torch.testing.assert_close(torch.cat(found, 1), expected, rtol=1e-3, atol=1e-4)
