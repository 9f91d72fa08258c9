"""BYOL-Explore, SND and GIRM against loops over steps, and what they learn."""

import copy
import math

import pytest
import torch
from gymnasium import spaces
from transitions import BOX, DISCRETE, VECTOR, draw, seeded, transitions

from rlpyt.rewards import GIRM, SND, ActionCode, BYOLExplore
from rlpyt.rewards.girm import likely_code
from rlpyt.rewards.snd import VicRegWeights, vicreg_loss
from rlpyt.utils.errors import RlpytError

torch.set_num_threads(1)

FAST = {"learning_rate": 5e-3, "batch_size": 12, "epochs": 2}
SMALL = {"feature_size": 6, "hidden_sizes": (16,), "reward_norm": "none", "seed": 0}


def byol(n_envs=2, **options):
    own = {"memory_size": 7, "model_sizes": (16,), "horizon": 3}
    return BYOLExplore.from_spaces(VECTOR, DISCRETE, n_envs=n_envs, **{**SMALL, **own, **options})


def unit(vector):
    return vector / vector.norm()


@torch.no_grad()
def byol_loop(reward, batches, horizon):
    """Rewards step by step, one environment after the other, from the beginning of episodes."""
    model = reward.model
    found = [torch.zeros(batch.terminated.shape) for batch in batches]
    for b in range(batches[0].terminated.shape[1]):
        belief, prev_action, open_ones = torch.zeros(1, 7), torch.zeros(1, 4), []
        for batch, rewards in zip(batches, found, strict=True):
            for t in range(len(rewards)):
                seen = torch.cat([model.encoder(batch.observation[t, b][None]), prev_action], 1)
                belief = model.closed(seen, belief)
                open_ones = [belief, *open_ones][:horizon]
                action = model.action_code(batch.action[t, b][None])
                open_ones = [model.open(action, state) for state in open_ones]
                target = unit(reward.target(batch.next_observation[t, b][None])[0])
                for state in open_ones:
                    error = unit(model.predictor(state)[0]) - target
                    rewards[t, b] += error.square().sum()
                prev_action = action
                if batch.done[t, b]:
                    belief, prev_action, open_ones = torch.zeros(1, 7), torch.zeros(1, 4), []
    return found


@pytest.mark.parametrize("horizon", [1, 3])
def test_byol_explore_is_its_equation_however_batches_are_cut(horizon):
    reward = byol(horizon=horizon)
    reward.target.body.output.weight.data.mul_(-0.7)  # another than the encoder
    batches = [transitions(T, 2, seed=T, done=0.15) for T in (5, 1, 9, 2)]
    for batch, expected in zip(batches, byol_loop(reward, batches, horizon), strict=True):
        torch.testing.assert_close(reward.compute(batch), expected, rtol=1e-4, atol=1e-5)


def test_byol_explore_learns_from_what_it_was_rewarded_for():
    """The loss is the mean over terms, from the states in which the batch began."""
    reward = byol(learning_rate=0.0)
    for seed in range(3):
        batch = transitions(6, 2, seed=seed, done=0.2)
        found = reward.compute(batch)
        before = reward._state("before")
        terms = reward.model(batch, before)[1].sum()
        assert reward.update(batch)["loss"] == pytest.approx((found.sum() / terms).item(), 1e-5)


def test_byol_explore_target_follows_slowly():
    reward = byol(target_decay=0.75)
    old = reward.target.body.output.weight.clone()
    batch = transitions(6, 2)
    reward.compute(batch)
    reward.update(batch)
    new = reward.model.encoder.body.output.weight
    torch.testing.assert_close(reward.target.body.output.weight, 0.75 * old + 0.25 * new)
    assert not torch.equal(old, new)


def test_byol_explore_learns_some_environments_at_a_time():
    reward, batch = byol(n_envs=5, batch_size=12, epochs=2), transitions(6, 5)
    steps = []
    step = reward.learner.step
    reward.learner.step = lambda losses, world, valid: (
        steps.append(tuple(valid.shape)) or step(losses, world, valid)
    )
    reward.compute(batch)
    reward.update(batch)
    assert steps == [(6, 2, 3), (6, 2, 3), (6, 1, 3)] * 2


def ring(T, B, seed, places=slice(0, 6)):
    """Steps on a ring of places, to the left or right; each place looks its own way."""
    looks = torch.randn(12, 5, generator=seeded(99))
    names = torch.arange(12)[places]
    action = draw(DISCRETE, T, B, seed=seed) % 2
    start = torch.randint(len(names), (1, B), generator=seeded(seed))
    walked = torch.cat([start, start + (2 * action - 1).cumsum(0)]) % len(names)
    seen = looks[names[walked]]
    return transitions(T, B)._replace(
        observation=seen[:-1], next_observation=seen[1:], action=action
    )


@pytest.mark.parametrize(
    ("build", "T"),
    [
        (lambda: byol(n_envs=4, **FAST, target_decay=0.95, horizon=2, memory_size=32), 6),
        (lambda: SND.from_spaces(VECTOR, DISCRETE, n_envs=4, **SMALL, **FAST), 16),
        (lambda: GIRM.from_spaces(VECTOR, DISCRETE, n_envs=4, **SMALL, **FAST), 16),
    ],
    ids=["BYOLExplore", "SND", "GIRM"],
)
def test_novelty_falls_on_what_is_known_and_is_higher_elsewhere(build, T):
    reward = build()
    rewards = []
    for seed in range(50):
        batch = ring(T, 4, seed)
        rewards.append(reward.compute(batch).mean().item())
        reward.update(batch)
    known = sum(rewards[-5:]) / 5
    assert known < 0.5 * rewards[0]
    elsewhere = reward.compute(ring(T, 4, 0, places=slice(6, 12))).mean().item()
    assert elsewhere > 1.5 * known


# --- SND ---------------------------------------------------------------------------------------


def test_snd_is_its_equation():
    reward = SND.from_spaces(VECTOR, DISCRETE, n_envs=2, **SMALL, normalize_observation=False)
    batch = transitions(3, 2)
    found = reward.compute(batch)
    for t in range(3):
        for b in range(2):
            state = batch.next_observation[t, b][None]
            with torch.no_grad():
                error = (reward.predictor(state) - reward.target(state))[0].tolist()
            assert found[t, b].item() == pytest.approx(sum(e * e for e in error) / 6, rel=1e-4)


def test_vicreg_is_that_of_a_loop():
    N, d = 7, 3
    first, second = (torch.randn(N, d, generator=seeded(i)) * 0.6 for i in range(2))
    valid = torch.tensor([True] * 5 + [False] * 2)
    expected = 2.0 * (first - second)[:5].square().mean().item()
    for view in (first[:5].tolist(), second[:5].tolist()):
        mean = [sum(row[i] for row in view) / 5 for i in range(d)]
        for i in range(d):
            for j in range(d):
                cov = sum((row[i] - mean[i]) * (row[j] - mean[j]) for row in view) / 4
                if i == j:
                    expected += 3.0 * max(0.0, 1 - math.sqrt(cov + 1e-4)) / d
                else:
                    expected += 5.0 * cov**2 / d
    first[5:] = 100.0
    found = vicreg_loss(first, second, valid, VicRegWeights(2.0, 3.0, 5.0))
    assert found.item() == pytest.approx(expected, rel=1e-5)


def test_snd_predictor_does_not_move_the_target():
    """The distillation error has no gradient to the target: it would meet the predictor halfway."""
    reward = SND.from_spaces(VECTOR, DISCRETE, n_envs=2, **SMALL, vicreg_weights=(0.0, 0.0, 0.0))
    before = reward.target.body.output.weight.clone()
    batch = transitions(8, 2)
    reward.compute(batch)
    report = reward.update(batch)
    assert torch.equal(reward.target.body.output.weight, before)
    assert report["targetLoss"] == 0
    assert report["distillationLoss"] == pytest.approx(report["loss"]) != 0


def test_snd_of_one_transition_is_finite():
    reward = SND.from_spaces(VECTOR, DISCRETE, n_envs=1, **SMALL)
    for seed in range(3):
        batch = transitions(1, 1, seed=seed)
        reward.compute(batch)
        assert all(math.isfinite(value) for value in reward.update(batch).values())


# --- GIRM --------------------------------------------------------------------------------------


@pytest.mark.parametrize("action_space", [DISCRETE, BOX], ids=["discrete", "box"])
def test_girm_is_its_equation(action_space):
    reward = GIRM.from_spaces(
        VECTOR,
        action_space,
        n_envs=2,
        **SMALL,
        vae_kwargs={"action_share": 0.3},
        normalize_observation=False,
    )
    batch = transitions(3, 2, action_space=action_space)
    batch = batch._replace(action=batch.action.clamp(-1, 3)) if action_space is DISCRETE else batch
    found = reward.compute(batch)
    n = 4 if action_space is DISCRETE else 2
    for t in range(3):
        for b in range(2):
            with torch.no_grad():
                now, after = (
                    reward.features(leaf[t, b][None])
                    for leaf in (batch.observation, batch.next_observation)
                )
                latent = reward.vae.encoder(torch.cat([now, after], 1))[:, :n]
                if action_space is DISCRETE:
                    likely = latent.exp() / latent.exp().sum()
                    done = torch.eye(4)[batch.action[t, b]][None]
                else:
                    likely, done = latent.tanh(), batch.action[t, b][None].clamp(-1, 1)
                generated = reward.vae.decoder(torch.cat([now, 0.3 * done + 0.7 * likely], 1))
            expected = (generated - after).square().mean().item()
            assert found[t, b].item() == pytest.approx(expected, rel=1e-4)


def test_girm_loss_is_the_sum_of_its_parts_over_the_mean_of_transitions():
    options = {"action_weight": 0.5, "latent_weight": 0.25}
    reward = GIRM.from_spaces(VECTOR, DISCRETE, n_envs=2, **SMALL, vae_kwargs=options)
    reward.vae.encoder.output.weight.data.mul_(4.0)  # deviations other than 1
    batch, rng = buffer_flat(transitions(8, 2)), copy.deepcopy(reward._rng)
    parts = reward.loss(batch)
    torch.testing.assert_close(
        parts.loss, parts.generationLoss + 0.5 * parts.actionLoss + 0.25 * parts.klLoss
    )
    assert parts.loss.shape == (16,)
    with torch.no_grad():
        now, after = (
            reward.features(reward.normalized(leaf))
            for leaf in (batch.observation, batch.next_observation)
        )
        mean, log_var = reward.vae.encode(now, after)
        normal = torch.distributions.Normal(mean, (0.5 * log_var).exp())
        kl = torch.distributions.kl_divergence(normal, torch.distributions.Normal(0.0, 1.0)).sum(-1)
        drawn = torch.from_numpy(rng.standard_normal(mean.shape, dtype="float32"))
        latent = mean + log_var.exp().sqrt() * drawn
        code = 0.5 * latent.softmax(-1) + 0.5 * torch.eye(4)[batch.action]
        generated = reward.vae.decoder(torch.cat([now, code], 1))
        entropy = -latent.log_softmax(-1).gather(1, batch.action[:, None])[:, 0]
    torch.testing.assert_close(parts.klLoss.detach(), kl)
    torch.testing.assert_close(parts.generationLoss.detach(), (generated - after).square().mean(-1))
    torch.testing.assert_close(parts.actionLoss.detach(), entropy)


def test_girm_features_stay_random():
    reward = GIRM.from_spaces(VECTOR, DISCRETE, n_envs=2, **SMALL, learning_rate=0.1)
    before = {name: value.clone() for name, value in reward.named_parameters()}
    reward.compute(transitions(8, 2))
    reward.update(transitions(8, 2))
    moved = {name for name, value in reward.named_parameters() if not value.equal(before[name])}
    assert moved == {name for name in before if name.startswith("vae.")}


def buffer_flat(batch):
    return batch._replace(
        **{name: leaf.flatten(0, 1) for name, leaf in batch.items() if leaf is not None}
    )


@pytest.mark.parametrize(
    "space",
    [DISCRETE, BOX, spaces.MultiDiscrete([2, 3]), spaces.MultiBinary(3)],
    ids=["discrete", "box", "multi-discrete", "multi-binary"],
)
def test_likely_code_is_that_of_the_action_when_certain(space):
    code = ActionCode(space)
    space.seed(0)
    actions = torch.stack([torch.as_tensor(space.sample()) for _ in range(6)])
    exact = code(actions)
    certain = torch.atanh(exact.clamp(-0.999, 0.999)) if code.scale else 40 * (exact - 0.5)
    torch.testing.assert_close(likely_code(code, certain), exact, atol=1e-3, rtol=0)


@pytest.mark.parametrize(
    ("build", "named"),
    [
        (lambda: byol(horizon=0), "horizon=0"),
        (lambda: byol(target_decay=1.5), "target_decay=1.5"),
        (
            lambda: GIRM.from_spaces(
                VECTOR, DISCRETE, n_envs=1, **SMALL, vae_kwargs={"action_share": 2.0}
            ),
            "action_share=2.0",
        ),
        (
            lambda: GIRM.from_spaces(
                VECTOR, DISCRETE, n_envs=1, **SMALL, vae_kwargs={"actionshare": 2.0}
            ),
            "action_share",
        ),
    ],
)
def test_options_out_of_range_are_named(build, named):
    with pytest.raises(RlpytError, match=named):
        build()
