"""What is new is worth more than what is known; and what others got wrong (rllte 1.0.1)."""

import numpy as np
import pytest
import torch
from reward_fakes import OBSERVATIONS, REWARDS, batch, make, standing

from rlpyt.rewards import RewardWeight
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.errors import RlpytError

LIFELONG = [name for name in REWARDS if not REWARDS[name][0].episodic]
EPISODIC = [name for name in REWARDS if REWARDS[name][0].episodic]


def places(mean, seed=0):
    """Transitions [20, 4] around one place; the action says where they lead."""
    samples = batch(20, 4, seed=seed)
    step = 0.1 * torch.nn.functional.one_hot(samples.action, 4)[..., :3].float()
    observation = mean + 0.2 * samples.observation
    return samples._replace(observation=observation, next_observation=observation + step)


def with_gap(samples, at):
    """``samples`` [T, 1] with a row of zeros before row ``at``, and where it is."""

    def longer(leaf):
        return torch.cat([leaf[:at], torch.zeros_like(leaf[:1]), leaf[at:]])

    gap = torch.zeros(len(samples.terminated) + 1, 1, dtype=torch.bool)
    gap[at] = True
    longer_samples = buffer_map(longer, samples._replace(valid=None, reset=None))
    return gap, longer_samples._replace(valid=~gap)


@pytest.mark.parametrize("name", LIFELONG)
def test_novelty_falls_where_it_was_learned_and_is_higher_elsewhere(name):
    reward = make(name, n_envs=4, normalize_observation=False, learning_rate=1e-2, batch_size=20)
    known, unknown = places(0.4), places(-1.5)
    before = reward.novelty(known).mean()
    for _ in range(15):
        reward.update(known)
    after = reward.novelty(known).mean()
    assert after < 0.5 * before
    assert reward.novelty(unknown).mean() > 2 * after


@pytest.mark.parametrize("name", EPISODIC)
def test_coming_back_within_an_episode_is_worth_less_and_an_end_makes_all_new(name):
    """Column 0 goes to and fro, column 1 further and further; then both start anew."""
    t = torch.arange(12.0).reshape(-1, 1, 1)
    line = torch.cat([t % 2, t], dim=1) * torch.ones(12, 2, 3)
    samples = batch(11, 2)
    ended = samples.terminated.clone()
    ended[10] = True
    samples = samples._replace(observation=line[:-1], next_observation=line[1:], terminated=ended)
    reward = make(name, reward_norm="none")
    found = reward.novelty(samples)
    assert found[-1, 0] < 0.75 * found[0, 0]
    assert found[-1, 0] < 0.75 * found[-1, 1]
    again = reward.novelty(samples)
    assert again[0, 0] > 1.3 * found[-1, 0]  # the end was an end
    assert (reward.counts if name != "ngu" else reward.in_episode.counts).memory.count.tolist() == [
        0,
        0,
    ]


@pytest.mark.parametrize("name", EPISODIC)
def test_the_cut_into_batches_is_nothing(name):
    """Also not where an episode ends with a batch."""
    samples = batch(12, 2, done=((3, 0), (5, 1), (9, 0), (11, 1)))
    options = {"normalize_observation": False, "reward_norm": "none"}
    if name == "ngu":
        options = {"reward_norm": "none", "lifelong_kwargs": {"normalize_observation": False}}
    whole = make(name, **options)
    parts = make(name, **options)
    expected = whole.compute(samples)
    found = torch.cat([parts.compute(samples[t : t + 6]) for t in (0, 6)])
    if name == "ngu":  # its statistics know the batch: only the episodic half is compared
        whole, parts = (make(name, **options).in_episode for _ in range(2))
        expected = whole.novelty(samples)
        found = torch.cat([parts.novelty(samples[t : t + 6]) for t in (0, 6)])
    torch.testing.assert_close(found, expected, rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", [name for name in EPISODIC if name != "ngu"])  # made of one
def test_a_step_between_two_episodes_that_is_not_valid_is_as_if_it_were_not(name):
    """Of a library that resets one step after an end, and does not say where episodes start."""
    options = {"n_envs": 1, "normalize_observation": False, "reward_norm": "none"}
    samples = batch(8, 1, done=((2, 0),))
    expected = make(name, **options).novelty(samples)
    gap, between = with_gap(samples, 3)
    found = make(name, **options).novelty(between)
    torch.testing.assert_close(found[~gap], expected[:, 0])


@pytest.mark.parametrize("name", EPISODIC)
def test_environments_know_nothing_of_each_other(name):
    """But for the running means, which are of all."""
    samples = batch(6, 3, done=((2, 1),))
    order = [2, 0, 1]
    one = make(name, n_envs=3).compute(samples)
    other = make(name, n_envs=3).compute(samples[:, order])
    torch.testing.assert_close(other, one[:, order], rtol=1e-3, atol=1e-5)


@pytest.mark.parametrize("name", ["pseudo_counts", "ride"])
def test_memory_is_bounded(name):
    reward = make(name, kernel_kwargs={"capacity": 5})
    sizes = {key: value.shape for key, value in reward.state_dict().items() if "memory" in key}
    for seed in range(4):
        assert reward.compute(batch(9, 2, seed=seed)).isfinite().all()
    after = {key: value.shape for key, value in reward.state_dict().items() if "memory" in key}
    assert sizes == after
    assert reward.counts.memory.entries.shape == (2, 5, 8)
    assert reward.counts.memory.count.tolist() == [37, 37]


# --- what others got wrong ---------------------------------------------------------------------


def test_an_episodes_first_step_is_new():
    """There an empty memory gave zero, and in RIDE every first step."""
    samples = batch(8, 2, done=((3, 0),))
    assert make("ride").compute(samples)[[0, 4], 0].gt(0).all()
    counts = make("pseudo_counts", reward_norm="none").novelty(samples)
    assert counts[0, 0] > 2 * counts[3, 0]
    assert counts[4, 0] > counts[3, 0]


def test_minmax_of_a_single_step_or_of_equal_ones_is_a_number():
    reward = make("rnd", n_envs=1, reward_norm="minmax")
    assert reward.compute(batch(1, 1)).tolist() == [[0.0]]
    assert (make("rnd", reward_norm="minmax").compute(standing(batch())) == 0).all()


def test_the_discounted_return_scales_the_reward_and_does_not_replace_it():
    samples = batch(done=((2, 0),))
    bare = make("rnd", reward_norm="none").compute(samples)
    scaled = make("rnd", return_discount=0.99).compute(samples)
    ratio = bare / scaled
    torch.testing.assert_close(ratio, ratio[0, 0].expand_as(ratio))


@pytest.mark.parametrize("name", REWARDS)
def test_samples_stay_as_they_are(name):
    samples = batch(done=((2, 0),))
    before = [None if leaf is None else leaf.clone() for leaf in samples]
    reward = make(name)
    reward.compute(samples)
    reward.update(samples)
    for leaf, copy in zip(samples, before, strict=True):
        assert (leaf is None and copy is None) or torch.equal(leaf, copy)


def test_the_weight_goes_by_environment_steps_and_not_by_calls():
    reward, samples = make("rnd", reward_norm="none"), batch()
    assert torch.equal(reward.novelty(samples), reward.novelty(samples))
    weight = RewardWeight(beta=0.5, schedule="exponential", kappa=1e-3)
    assert weight(0) == 0.5
    assert weight(1000) == pytest.approx(0.5 * 0.999**1000)
    assert RewardWeight(beta=2.0)(10**9) == 2.0
    linear = RewardWeight(beta=2.0, schedule="linear", n_steps=100)
    assert [linear(steps) for steps in (0, 25, 100, 200)] == [2.0, 1.5, 0.0, 0.0]


@pytest.mark.parametrize(
    "options",
    [
        {"beta": -1},
        {"kappa": 1.0},
        {"kappa": -0.1},
        {"schedule": "linear"},
        {"schedule": "lineer"},
        {"schedule": "linear", "n_steps": float("inf")},
        {"schedule": "exponential"},
        {"n_steps": 1000},
        {"kappa": 1e-5},
        {"schedule": "linear", "n_steps": 1000, "kappa": 1e-5},
        {"beta": float("nan")},
    ],
)
def test_a_weight_out_of_range_is_refused(options):
    with pytest.raises(RlpytError, match="intrinsic reward"):
        RewardWeight(**options)


def test_neither_part_of_ngu_is_scaled_on_its_own():
    samples = batch(done=((2, 0),))
    options = {"reward_norm": "minmax", "hidden_sizes": (16,), "feature_size": 8}
    one = make("ngu", reward_norm="none")
    other = make("ngu", reward_norm="none", episodic_kwargs=options, lifelong_kwargs=options)
    assert torch.equal(one.compute(samples), other.compute(samples))
    with pytest.raises(RlpytError, match=r"lifelong_kwargs.n_neighbours"):
        make("ngu", lifelong_kwargs={"n_neighbours": 3})


def test_rnd_learns_what_it_is_asked_about():
    """The next observation, and not the one before."""
    reward, samples = make("rnd", normalize_observation=False), batch()
    still = samples._replace(observation=torch.zeros_like(samples.observation))
    error = reward.novelty(samples).mean().item()
    assert reward.update(still)["loss"] == pytest.approx(error, rel=1e-5)
    assert make("rnd").update(still) == make("rnd").update(samples)


def test_random_features_are_linear_outputs():
    """Behind a ReLU half of them would be zero."""
    target = make("rnd", feature_size=64).target(batch(50, 2).observation)
    assert 0.2 < (target < 0).float().mean() < 0.8


def test_every_model_of_an_ensemble_learns_from_every_minibatch():
    reward = make("disagreement")
    before = reward.models.output.weight.detach().clone()
    reward.update(batch())
    moved = (reward.models.output.weight != before).flatten(1).any(1)
    assert moved.all()


def test_images_are_scaled_once():
    scales = [
        make("rnd", OBSERVATIONS["chw"], normalize_observation=n)
        .predictor.encoder.networks[0]
        .scale
        for n in (True, False)
    ]
    assert scales == [1.0, pytest.approx(1 / 255)]


def test_without_statistics_of_images_a_random_network_tells_little():
    """RND needs them, for images that differ in one faint cell."""
    space = OBSERVATIONS["chw"]
    rng = np.random.default_rng(0)
    images = np.empty((1, 64, 1, 8, 8), np.uint8)
    images[...] = rng.integers(0, 250, (8, 8))
    images[..., 3, 4] = rng.integers(0, 6, (1, 64, 1))
    samples = batch(1, 64, observation_space=space)
    images = torch.as_tensor(images)
    samples = samples._replace(observation=images, next_observation=images)
    spread = []
    for normalize in (True, False):
        reward = make("rnd", space, normalize_observation=normalize, reward_norm="none")
        novelty = reward.compute(samples)
        spread.append((novelty.std() / novelty.mean()).item())
    assert spread[0] > 5 * spread[1]
