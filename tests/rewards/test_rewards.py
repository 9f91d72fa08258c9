"""What holds for every intrinsic reward."""

import copy

import numpy as np
import pytest
import torch
from gymnasium import spaces
from reward_fakes import ACTIONS, OBSERVATIONS, REWARDS, batch, make, standing

from rlpyt.checkpoint.tree import flatten, unflatten
from rlpyt.rewards import IntrinsicReward, reward_samples
from rlpyt.utils.errors import RlpytError

every_reward = pytest.mark.parametrize("name", REWARDS)


@every_reward
@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("observation", OBSERVATIONS)
def test_every_space(name, observation, action):
    observation_space, action_space = OBSERVATIONS[observation], ACTIONS[action]
    reward = make(name, observation_space, action_space)
    samples = batch(
        observation_space=observation_space, action_space=action_space, done=((1, 0), (4, 1))
    )
    for _ in range(2):
        found = reward.compute(samples)
        assert found.shape == (6, 2)
        assert found.dtype == torch.float32
        assert found.isfinite().all()
        assert not found.requires_grad
        assert all(map(np.isfinite, reward.update(samples).values()))
    assert found.abs().sum() > 0


@every_reward
def test_a_space_of_actions_that_nobody_can_predict_is_refused(name):
    action_space = spaces.Dict(x=spaces.Discrete(2))
    if name == "rnd":
        make(name, action_space=action_space)
    else:
        with pytest.raises(RlpytError, match="flatten it"):
            make(name, action_space=action_space)


@every_reward
@pytest.mark.parametrize(("T", "B"), [(1, 1), (1, 3), (5, 1)])
def test_one_step_or_one_environment(name, T, B):
    reward = make(name, n_envs=B)
    for seed in range(3):
        samples = batch(T, B, seed=seed)
        found = reward.compute(samples)
        assert found.shape == (T, B)
        assert found.isfinite().all()
        reward.update(samples)


@every_reward
@pytest.mark.parametrize("norm", ["rms", "minmax", "none"])
@pytest.mark.parametrize("observation", ["vector", "chw", "dict"])
def test_constant_observations_give_finite_rewards(name, norm, observation):
    space = OBSERVATIONS[observation]
    reward = make(name, space, reward_norm=norm)
    samples = standing(batch(observation_space=space, done=((2, 1),)))
    for _ in range(3):
        found = reward.compute(samples)
        assert found.isfinite().all()
        assert found.abs().max() <= (10.001 if norm == "rms" else 1001)
        reward.update(samples)


@every_reward
def test_the_last_bit_comes_back(name):
    one, other = make(name), make(name, seed=8)
    for seed in range(3):
        samples = batch(seed=seed, done=((1, 0), (4, 1)))
        one.compute(samples)
        one.update(samples)
    saved = unflatten(*flatten(copy.deepcopy(one.state_dict())))
    ahead = [batch(seed=seed, done=((3, 1),)) for seed in range(10, 13)]
    expected = [(one.compute(samples), one.update(samples)) for samples in ahead]
    other.load_state_dict(saved)
    for samples, (values, losses) in zip(ahead, expected, strict=True):
        assert torch.equal(other.compute(samples), values)
        assert other.update(samples) == losses
    for x, y in zip(one.parameters(), other.parameters(), strict=True):
        assert torch.equal(x, y)


@every_reward
def test_what_was_loaded_is_nobody_elses(name):
    one, other = make(name), make(name)
    samples = batch()
    one.update(samples)
    other.load_state_dict(one.state_dict())
    one.update(samples)
    one.compute(samples)
    other.compute(samples)
    before = copy.deepcopy(other.state_dict())
    one.update(samples)
    one.compute(samples)
    assert flatten(before)[1] == flatten(other.state_dict())[1]
    pairs = zip(flatten(before)[0].values(), flatten(other.state_dict())[0].values(), strict=True)
    assert all(torch.equal(x, y) for x, y in pairs)


@every_reward
def test_what_is_to_move_moves_and_targets_never_do(name):
    reward = make(name)
    before = {key: value.clone() for key, value in reward.named_parameters()}
    for seed in range(3):
        reward.compute(batch(32, 2, seed=seed))
        reward.update(batch(32, 2, seed=seed))
    for key, value in reward.named_parameters():
        assert torch.equal(value, before[key]) == (not value.requires_grad), key
    fixed = {key.partition(".")[0] for key, value in before.items() if not value.requires_grad}
    expected = {"rnd": {"target"}, "ngu": {"lifelong"}, "disagreement": {"features"}}
    assert fixed == expected.get(name, set())
    assert any(value.requires_grad for value in before.values())


@every_reward
def test_computing_moves_no_parameter_and_draws_from_no_global_generator(name):
    reward, samples = make(name), batch()
    before = [value.clone() for value in reward.parameters()]
    state = torch.get_rng_state()
    reward.compute(samples)
    for x, y in zip(reward.parameters(), before, strict=True):
        assert torch.equal(x, y)
    reward.update(samples)
    make(name)
    assert torch.equal(state, torch.get_rng_state())


@every_reward
def test_the_seed_is_all_that_is_left_to_chance(name):
    def run(seed):
        reward = make(name, seed=seed)
        samples = batch(seed=1, done=((2, 0),))
        reward.update(samples)
        return reward.compute(samples)

    assert torch.equal(run(4), run(4))
    assert not torch.equal(run(4), run(5))


@every_reward
def test_steps_that_do_not_count_give_nothing_and_teach_nothing(name):
    def run(samples):
        reward = make(name)
        losses = reward.update(samples)
        return reward.compute(samples), reward.compute(batch(5, 2, seed=7)), losses

    samples = batch(5, 2)
    valid = torch.ones(5, 2, dtype=torch.bool)
    valid[3:, 1] = False
    other = batch(5, 2, seed=9)

    def swapped(one, two):  # where not valid: something else
        shape = [5, 2] + [1] * (one.dim() - 2)
        return torch.where(valid.reshape(shape), one, two)

    mixed = samples._replace(
        action=swapped(samples.action, other.action),
        next_observation=swapped(samples.next_observation, other.next_observation),
    )
    first = run(samples._replace(valid=valid))
    second = run(mixed._replace(valid=valid))
    assert (first[0][~valid] == 0).all()
    for x, y in zip(first[:2], second[:2], strict=True):
        torch.testing.assert_close(x, y, rtol=1e-4, atol=1e-5)
    assert first[2] == pytest.approx(second[2], rel=1e-4)
    everywhere = run(samples)[2]
    assert everywhere["gradNorm" if name != "ngu" else "lifelongGradNorm"] != pytest.approx(
        first[2]["gradNorm" if name != "ngu" else "lifelongGradNorm"], rel=1e-6
    )


@every_reward
def test_a_batch_without_time_is_refused(name):
    with pytest.raises(RlpytError, match=r"not \[T, B\]"):
        make(name).compute(batch()[0])


@every_reward
@pytest.mark.parametrize("option", [{"reward_norm": "rsm"}])
def test_unknown_options_are_refused(name, option):
    with pytest.raises(RlpytError, match="did you mean 'rms'"):
        make(name, **option)


@every_reward
def test_it_is_said_whether_it_follows_episodes(name):
    reward = make(name)
    assert isinstance(reward, IntrinsicReward)
    again = make(name)
    samples = batch(4, 2)
    first = reward.compute(samples)
    assert first.shape == again.compute(samples).shape
    raw, later = (make(name, reward_norm="none").novelty(samples) for _ in range(2))
    assert torch.equal(raw, later)
    reward = make(name, reward_norm="none")
    changed = not torch.equal(reward.novelty(samples), reward.novelty(samples))
    assert changed == reward.episodic


@pytest.mark.parametrize("name", [name for name in REWARDS if REWARDS[name][0].episodic])
def test_other_environments_than_it_follows_are_refused(name):
    with pytest.raises(RlpytError, match="of 2 environments, and 3 columns came"):
        make(name, n_envs=2).compute(batch(4, 3))


@every_reward
def test_the_order_of_a_dicts_keys_is_nothing(name):
    space = OBSERVATIONS["dict"]
    samples = batch(observation_space=space)

    def turned(tree):
        return {key: getattr(tree, key) for key in reversed(tree._fields)}

    other = reward_samples(
        observation=turned(samples.observation),
        action=samples.action,
        next_observation=turned(samples.next_observation),
        terminated=samples.terminated,
    )
    assert other.observation._fields[0] == samples.observation._fields[-1]
    one, two = make(name, space), make(name, space)
    assert one.update(samples) == two.update(other)
    assert torch.equal(one.compute(samples), two.compute(other))
