"""What holds for the rewards of nearest neighbours, ellipsoids and generated observations, whatever
their equations, and for their sum.
"""

import copy
import math

import pytest
import torch
from reward_fakes import ACTIONS, OBSERVATIONS, batch
from transitions import DISCRETE, VECTOR, constant, transitions

from rlpyt.checkpoint.tree import flatten, unflatten
from rlpyt.rewards import (
    E3B,
    GIRM,
    RE3,
    REVD,
    RISE,
    RND,
    SND,
    BYOLExplore,
    Fabric,
    FabricPart,
)
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.errors import RlpytError

torch.set_num_threads(1)

SMALL = {"feature_size": 8, "hidden_sizes": (16,)}
PARTS = [
    FabricPart(RewardCls=RND, reward_kwargs=SMALL),
    FabricPart(RewardCls=E3B, reward_kwargs=SMALL, weight=0.5),
]
# What there is, its options, whether it learns.
REWARDS = {
    "RE3": (RE3, SMALL, False),
    "RE3 average": (RE3, {**SMALL, "average": True}, False),
    "RISE": (RISE, SMALL, False),
    "REVD": (REVD, SMALL, False),
    "E3B": (E3B, SMALL, True),
    "BYOLExplore": (BYOLExplore, {**SMALL, "memory_size": 12, "horizon": 3}, True),
    "SND": (SND, SMALL, True),
    "GIRM": (GIRM, SMALL, True),
    "Fabric": (Fabric, {"parts": PARTS}, True),
}
each_reward = pytest.mark.parametrize("name", REWARDS)


def build(name, *, observation_space=VECTOR, action_space=DISCRETE, n_envs=3, **options):
    cls, own, _learns = REWARDS[name]
    return cls.from_spaces(
        observation_space, action_space, n_envs=n_envs, seed=0, **{**own, **options}
    )


SPACES = [("vector", action) for action in ACTIONS]
SPACES += [(observation, "discrete") for observation in OBSERVATIONS]
SPACES += [(image, "box") for image in ("chw", "hwc", "grey")]


@each_reward
@pytest.mark.parametrize(("observation", "action"), SPACES)
def test_every_space_runs(name, observation, action):
    observation_space, action_space = OBSERVATIONS[observation], ACTIONS[action]
    reward = build(name, observation_space=observation_space, action_space=action_space, n_envs=2)
    for seed in range(2):
        samples = batch(
            observation_space=observation_space,
            action_space=action_space,
            done=((1, 0), (4, 1)),
            seed=seed,
        )
        found = reward.compute(samples)
        assert found.shape == (6, 2)
        assert found.dtype == torch.float32
        assert not found.requires_grad
        assert found.isfinite().all()
        assert (found >= 0).all()
        report = reward.update(samples)
        assert bool(report) == REWARDS[name][2]
        assert all(math.isfinite(value) for value in report.values())
    assert (found > 0).any()


@each_reward
@pytest.mark.parametrize("shape", [(1, 1), (1, 3), (5, 1)])
def test_one_step_and_one_environment_are_enough(name, shape):
    T, B = shape
    reward = build(name, n_envs=B)
    if reward.min_batch_T > T:
        with pytest.raises(RlpytError, match=r"T=1: .*\(REVD\) - .*sampler.batch_T=32"):
            reward.compute(transitions(T, B))
        return
    for seed in range(3):
        samples = transitions(T, B, seed=seed, done=0.3)
        found = reward.compute(samples)
        assert found.shape == shape
        assert found.isfinite().all()
        reward.update(samples)


@each_reward
def test_constant_observations_give_finite_rewards(name):
    reward = build(name)
    for _ in range(4):
        samples = constant(transitions(8, 3, done=0.1))
        found = reward.compute(samples)
        assert found.isfinite().all()
        assert found.abs().max() < 100
        reward.update(samples)


@each_reward
def test_all_parameters_that_learn_move(name):
    reward = build(name)
    before = {key: value.detach().clone() for key, value in reward.named_parameters()}
    for seed in range(3):
        samples = transitions(8, 3, seed=seed)
        reward.compute(samples)
        reward.update(samples)
    for key, value in reward.named_parameters():
        follows = name == "BYOLExplore" and key.startswith("target.")
        assert torch.equal(value, before[key]) != (value.requires_grad or follows), key
    assert any(p.requires_grad for p in reward.parameters()) == REWARDS[name][2]


@each_reward
def test_its_state_is_all_of_it(name):
    """Saved in the middle of episodes, loaded into one of another seed: on to the last bit."""
    cls, own, _learns = REWARDS[name]
    reward = build(name)
    other = cls.from_spaces(VECTOR, DISCRETE, n_envs=3, seed=9, **own)
    for seed in range(3):
        samples = transitions(7, 3, seed=seed, done=0.1)
        reward.compute(samples)
        reward.update(samples)
    other.load_state_dict(unflatten(*flatten(copy.deepcopy(reward.state_dict()))))
    for seed in range(3, 6):
        samples = transitions(7, 3, seed=seed, done=0.1)
        assert torch.equal(reward.compute(samples), other.compute(samples))
        assert reward.update(samples) == other.update(samples)


@each_reward
def test_it_does_not_grow(name):
    reward = build(name, **({"capacity": 10} if name[:2] == "RE" or name == "RISE" else {}))
    sizes = {key: value.shape for key, value in reward.named_buffers()}
    for seed in range(5):
        reward.compute(transitions(9, 3, seed=seed))
    assert {key: value.shape for key, value in reward.named_buffers()} == sizes


@each_reward
def test_same_seed_same_rewards_and_no_global_generator(name):
    before = torch.get_rng_state()
    samples = transitions(8, 3, done=0.1)
    found = []
    for _ in range(2):
        reward = build(name)
        reward.compute(samples)
        reward.update(samples)
        found.append(reward.compute(samples))
    assert torch.equal(*found)
    assert torch.equal(torch.get_rng_state(), before)


@each_reward
def test_invalid_steps_count_for_nothing(name):
    """What stands in them changes neither rewards nor what is learned."""
    valid = torch.ones(8, 3, dtype=torch.bool)
    valid[5:, 1] = False
    found = []
    for garbage in (0.0, 50.0):
        reward = build(name)
        for seed in range(2):
            samples = transitions(8, 3, seed=seed)._replace(valid=valid)
            samples.observation[5:, 1] = garbage
            samples.next_observation[5:, 1] = garbage
            rewards = reward.compute(samples)
            assert (rewards[~valid] == 0).all()
            report = reward.update(samples)
        found.append((rewards, report))
    (some, report), (others, other_report) = found
    torch.testing.assert_close(some, others)
    assert report == pytest.approx(other_report, rel=1e-4)


@pytest.mark.parametrize("name", ["E3B", "REVD", "BYOLExplore", "Fabric"])
def test_a_batch_of_other_environments_is_refused(name):
    reward = build(name)
    assert reward.episodic
    with pytest.raises(RlpytError, match="3 environments, and 4 columns"):
        reward.compute(transitions(5, 4))


@pytest.mark.parametrize("name", [name for name, row in REWARDS.items() if row[0].episodic])
def test_environments_do_not_see_each_other_in_episodes(name):
    """A column is the same whatever stands in the others."""
    if name == "Fabric":
        pytest.skip("one of its parts remembers all environments together")
    samples = transitions(9, 3, done=0.2)
    other = buffer_map(lambda leaf: leaf.clone(), samples)
    other.next_observation[:, 1] += 1.0
    other.observation[:, 1] += 1.0
    found = []
    for each in (samples, other):
        reward = build(name)
        reward.novelty(samples)
        found.append(reward.novelty(each))
    first, second = found
    torch.testing.assert_close(first[:, [0, 2]], second[:, [0, 2]])
    assert not torch.allclose(first[:, 1], second[:, 1])
