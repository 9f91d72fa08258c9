"""RE3, RISE and REVD against loops over states, and the memory of neighbours."""

import math

import pytest
import torch
from transitions import DISCRETE, VECTOR, draw, seeded, transitions

from rlpyt.rewards import RE3, REVD, RISE
from rlpyt.rewards.neighbors import NeighborMemory, kth_distance, nearest_distances
from rlpyt.utils.errors import RlpytError

torch.set_num_threads(1)

SMALL = {"feature_size": 6, "hidden_sizes": (16,), "n_envs": 2, "seed": 0}


def features_of(reward, batch):
    """y of each next observation, [T, B] lists of numbers."""
    with torch.no_grad():
        return reward.encoder(batch.next_observation).double().tolist()


def sorted_distances(state, others):
    return sorted(math.dist(state, other) for other in others)


def kth(distances, k):
    return distances[min(k, len(distances)) - 1] if distances else 0.0


def entropy_loop(reward, batches, of_distances, capacity):
    """Rewards of ``batches`` one by one: for each state, all distances to others, sorted."""
    memory, found = [], []
    for batch in batches:
        states = [state for row in features_of(reward, batch) for state in row]
        rows = []
        for i, state in enumerate(states):
            others = memory[-capacity:] + states[:i] + states[i + 1 :]
            rows.append(of_distances(sorted_distances(state, others)))
        memory += states
        found.append(torch.tensor(rows).reshape(batch.terminated.shape))
    return found


@pytest.mark.parametrize("capacity", [11, 1000])
@pytest.mark.parametrize("average", [False, True])
def test_re3_is_its_equation(capacity, average):
    reward = RE3.from_spaces(
        VECTOR,
        DISCRETE,
        **SMALL,
        n_neighbors=3,
        average=average,
        capacity=capacity,
        reward_norm="none",
    )

    def of_distances(distances):
        if average:
            return sum(math.log(1 + d) for d in distances[:3]) / 3
        return math.log(1 + kth(distances, 3))

    batches = [transitions(4, 2, seed=seed) for seed in range(5)]
    for batch, expected in zip(
        batches, entropy_loop(reward, batches, of_distances, capacity), strict=True
    ):
        torch.testing.assert_close(reward.compute(batch), expected)


def test_rise_is_its_equation():
    reward = RISE.from_spaces(
        VECTOR, DISCRETE, **SMALL, n_neighbors=2, alpha=0.3, capacity=9, reward_norm="none"
    )
    batches = [transitions(3, 2, seed=seed) for seed in range(4)]
    expected = entropy_loop(reward, batches, lambda d: kth(d, 2) ** 0.7, 9)
    for batch, rewards in zip(batches, expected, strict=True):
        torch.testing.assert_close(reward.compute(batch), rewards)


def test_without_capacity_neighbours_are_those_of_the_batch():
    reward = RE3.from_spaces(VECTOR, DISCRETE, **SMALL, capacity=0, reward_norm="none")
    batch = transitions(5, 2)
    first = reward.compute(batch)
    reward.compute(transitions(5, 2, seed=7))
    assert torch.equal(reward.compute(batch), first)
    (expected,) = entropy_loop(reward, [batch], lambda d: math.log(1 + kth(d, 3)), 1)
    torch.testing.assert_close(first, expected)
    assert reward.compute(transitions(1, 1)).item() == 0  # no other at all


def test_revd_is_its_equation():
    reward = REVD.from_spaces(
        VECTOR,
        DISCRETE,
        **SMALL,
        n_neighbors=2,
        alpha=0.4,
        epsilon=0.01,
        capacity=5,
        reward_norm="none",
    )
    before = [[], []]
    for seed, T in enumerate((4, 7, 3, 6)):
        batch = transitions(T, 2, seed=seed)
        features = features_of(reward, batch)
        found = reward.compute(batch)
        for b in range(2):
            states = [row[b] for row in features]
            inner = [
                sorted_distances(state, states[:t] + states[t + 1 :])
                for t, state in enumerate(states)
            ]
            scale = sum(distances[0] for distances in inner) / T
            for t, state in enumerate(states):
                outer = kth(sorted_distances(state, before[b]), 2)
                expected = scale * (outer / (kth(inner[t], 2) + 0.01)) ** 0.6
                assert found[t, b].item() == pytest.approx(expected, rel=1e-4)
            assert (found[:, b] == 0).all() == (seed == 0)
            before[b] = states[-5:]


@pytest.mark.parametrize("cls", [RE3, RISE])
def test_novelty_falls_with_visits_and_is_higher_elsewhere(cls):
    reward = cls.from_spaces(VECTOR, DISCRETE, **SMALL, n_neighbors=3, reward_norm="none")
    reward.compute(transitions(50, 2))  # what it is used to
    place = draw(VECTOR, 1, 1, seed=5)
    visits = []
    for _ in range(6):
        batch = transitions(1, 1)._replace(next_observation=place)
        visits.append(reward.compute(batch).item())
    assert visits[0] > 0
    assert visits == sorted(visits, reverse=True)
    assert visits[-1] == 0
    elsewhere = transitions(1, 1)._replace(next_observation=place + 3.0)
    assert reward.compute(elsewhere).item() > visits[0]


def test_revd_rewards_what_was_not_there_before():
    reward = REVD.from_spaces(VECTOR, DISCRETE, **SMALL, reward_norm="none")
    here = transitions(20, 2)
    reward.compute(here)
    again = reward.compute(here)
    elsewhere = here._replace(next_observation=here.next_observation + 4.0)
    assert reward.compute(elsewhere).mean() > 1.5 * again.mean()


def test_revd_of_states_that_come_often_is_bounded():
    reward = REVD.from_spaces(VECTOR, DISCRETE, **SMALL, reward_norm="none")
    few = draw(VECTOR, 3)
    for seed in range(2):
        pick = torch.randint(3, (30, 2), generator=seeded(seed))
        found = reward.compute(transitions(30, 2)._replace(next_observation=few[pick]))
        assert found.max() < 10


# --- neighbours --------------------------------------------------------------------------------


@pytest.mark.parametrize("offset", [0.0, 1e3])
@pytest.mark.parametrize("k", [1, 4, 30])
def test_nearest_distances_are_those_of_a_loop(k, offset):
    query = torch.randn(2, 7, 5, generator=seeded(1)) + offset
    entries = torch.randn(2, 20, 5, generator=seeded(2)) + offset
    entries[:, 3] = query[:, 0]
    known = torch.rand(2, 20, generator=seeded(3)) < 0.7
    known[:, 3] = True
    found = nearest_distances(query, entries, k, known=known)
    assert found.shape == (2, 7, k)
    for b in range(2):
        for m in range(7):
            others = [entries[b, n].tolist() for n in range(20) if known[b, n]]
            expected = sorted_distances(query[b, m].tolist(), others)[:k]
            expected += [math.inf] * (k - len(expected))
            assert found[b, m].tolist() == pytest.approx(expected, rel=1e-4)
    assert (found[:, 0, 0] == 0).all()  # exactly


def test_what_is_not_yet_remembered_costs_no_digits():
    """Entries far from zero, in a memory that is filled to a fifth."""
    points = torch.randn(1, 600, 16, generator=seeded(), dtype=torch.float64) + 1e3
    query, entries = points[:, :100].float(), points[:, 100:].float()
    known = torch.arange(500).unsqueeze(0) < 100
    entries[~known] = 0.0
    found = nearest_distances(query, entries, 3, known=known)[0]
    exact = torch.cdist(query[0].double(), entries[0, :100].double()).sort(dim=1).values[:, :3]
    torch.testing.assert_close(found, exact.float(), rtol=1e-4, atol=0.0)


def test_own_entry_is_no_neighbour_but_its_equals_are():
    points = torch.randn(1, 6, 3, generator=seeded())
    points[0, 4] = points[0, 1]
    known, own = torch.ones(1, 6, dtype=torch.bool), torch.arange(6).unsqueeze(0)
    found = nearest_distances(points, points, 5, known=known, own=own)[0]
    assert (found[:, 0] == 0).tolist() == [False, True, False, False, True, False]
    assert found.isfinite().all()
    assert nearest_distances(points, points, 6, known=known, own=own)[0, 0, 5] == math.inf


def test_many_queries_are_measured_in_parts():
    points = torch.randn(1, 600, 3, generator=seeded())
    known, own = torch.ones(1, 600, dtype=torch.bool), torch.arange(600).unsqueeze(0)
    found = nearest_distances(points, points, 2, known=known, own=own)[0]
    exact = torch.cdist(points[0].double(), points[0].double()).sort(dim=1).values[:, 1:3]
    torch.testing.assert_close(found, exact.float())


def test_kth_distance_takes_the_last_there_is():
    distances = torch.tensor([[1.0, 2.0, 3.0], [1.0, 2.0, math.inf], [math.inf] * 3])
    assert kth_distance(distances).tolist() == [3.0, 2.0, 0.0]


def test_memory_is_the_last_ones_in_a_ring():
    memory = NeighborMemory(5, 1)
    held = []
    for start, T in ((0, 2), (10, 1), (20, 3), (30, 7), (40, 1)):
        vectors = torch.arange(start, start + T).float().reshape(T, 1, 1)
        memory.add(vectors, None)
        held = (held + vectors.flatten().tolist())[-5:]
        n = min(int(memory.count), 5)
        assert sorted(memory.entries[:n].flatten().tolist()) == sorted(held)
    valid = torch.tensor([[True], [False], [True]])
    memory.add(torch.tensor([[[50.0]], [[51.0]], [[52.0]]]), valid)
    held = [*held, 50.0, 52.0][-5:]
    assert sorted(memory.entries.flatten().tolist()) == sorted(held)


@pytest.mark.parametrize(
    ("cls", "options", "named"),
    [
        (RE3, {"n_neighbors": 0}, "n_neighbors=0"),
        (RISE, {"alpha": 1.0}, "alpha=1.0"),
        (REVD, {"alpha": -0.1}, "alpha=-0.1"),
        (RE3, {"capacity": -1}, "capacity=-1"),
        (REVD, {"capacity": 0}, "0 vectors"),
        (RISE, {"feature_size": 0}, "feature_size=0"),
        (RE3, {"reward_norm": "rsm"}, "rsm"),
    ],
)
def test_options_out_of_range_are_named(cls, options, named):
    with pytest.raises(RlpytError, match=named):
        cls.from_spaces(VECTOR, DISCRETE, **{**SMALL, **options})
