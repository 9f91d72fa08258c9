"""E3B against explicit inverses of what each episode has seen."""

import pytest
import torch
from transitions import BOX, DISCRETE, VECTOR, seeded, transitions

from rlpyt.rewards import E3B
from rlpyt.rewards.e3b import elliptical_bonus
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.errors import RlpytError

torch.set_num_threads(1)

SMALL = {"feature_size": 6, "hidden_sizes": (16,), "reward_norm": "none", "seed": 0}


def build(n_envs=3, **options):
    return E3B.from_spaces(VECTOR, DISCRETE, n_envs=n_envs, **{**SMALL, **options})


def features(reward, observation):
    with torch.no_grad():
        return reward.dynamics.features(observation).double()


@pytest.mark.parametrize("tells_resets", [False, True])
def test_bonus_is_that_of_the_explicit_inverse(tells_resets):
    """Batches of different lengths, episodes that end inside and at the last row of one."""
    reward = build(ridge=0.2)
    prior = torch.eye(6, dtype=torch.float64) * 0.2
    covariance = [None] * 3
    for seed, T in enumerate((5, 1, 8, 20, 4)):
        batch = transitions(T, 3, seed=10 * seed, done=0.25)
        batch.terminated[-1, 0] = seed == 2
        if tells_resets:
            done = batch.done
            fresh = torch.tensor([matrix is None for matrix in covariance])
            reset = torch.cat([fresh.unsqueeze(0), done[:-1]])
            batch = batch._replace(reset=reset)
        found = reward.compute(batch)
        before, after = (
            features(reward, leaf) for leaf in (batch.observation, batch.next_observation)
        )
        for b in range(3):
            for t in range(T):
                if covariance[b] is None:
                    covariance[b] = prior + torch.outer(before[t, b], before[t, b])
                phi = after[t, b]
                expected = phi @ torch.linalg.inv(covariance[b]) @ phi
                assert found[t, b].item() == pytest.approx(expected.item(), rel=1e-4)
                covariance[b] = covariance[b] + torch.outer(phi, phi)
                if batch.done[t, b]:
                    covariance[b] = None
        for b, matrix in enumerate(covariance):
            assert bool(reward.is_new[b]) == (matrix is None)
            if matrix is not None:
                torch.testing.assert_close(
                    reward.inverse[b].double(), torch.linalg.inv(matrix), rtol=1e-4, atol=1e-5
                )


def test_a_step_between_two_episodes_that_is_not_valid_is_as_if_it_were_not():
    """Also where a batch ends with it."""
    batch = transitions(8, 1, done=0.0)
    batch.terminated[2] = True
    expected = build(1).compute(batch)[:, 0]
    valid = torch.ones(9, 1, dtype=torch.bool)
    valid[3] = False
    rows = [0, 1, 2, 2, 3, 4, 5, 6, 7]
    longer = buffer_map(lambda leaf: leaf[rows], batch._replace(valid=None))
    longer.terminated[3] = False
    longer.observation[3], longer.next_observation[3] = 0.0, 0.0
    longer = longer._replace(valid=valid)
    torch.testing.assert_close(build(1).compute(longer)[valid], expected)
    cut = build(1)
    found = torch.cat([cut.compute(longer[:4]), cut.compute(longer[4:])])
    torch.testing.assert_close(found[valid], expected)


def test_a_reset_in_the_middle_of_a_batch_starts_anew():
    batch = transitions(6, 1)
    reset = torch.zeros(6, 1, dtype=torch.bool)
    reset[3] = True
    whole = build(n_envs=1).compute(batch._replace(reset=reset))
    second = build(n_envs=1).compute(batch[3:])
    torch.testing.assert_close(whole[3:], second)


def test_novelty_falls_on_what_was_seen_and_comes_back_with_the_next_episode():
    reward = build(n_envs=1)
    place = torch.randn(1, 1, 5, generator=seeded(3))
    step = transitions(1, 1)._replace(observation=place * 0.5, next_observation=place)
    visits = [reward.compute(step).item() for _ in range(5)]
    assert visits == sorted(visits, reverse=True)
    assert visits[-1] < 0.5 * visits[0]
    unseen = step._replace(next_observation=torch.randn(1, 1, 5, generator=seeded(9)))
    assert reward.compute(unseen).item() > 2 * visits[-1]
    reward.compute(step._replace(terminated=torch.ones(1, 1, dtype=torch.bool)))
    assert reward.compute(step).item() == pytest.approx(visits[0], rel=1e-5)


def test_the_first_state_of_an_episode_is_seen():
    """Who stays where it started finds less new there than who moves."""
    step = transitions(1, 1)
    stay = step._replace(next_observation=step.observation)
    bonus = build(n_envs=1).compute(stay).item()
    assert bonus < 1  # b / (1 + b) of a state seen once: never 1
    phi = features(build(n_envs=1), step.observation)[0, 0]
    first = (phi @ phi).item() / 0.1
    assert bonus == pytest.approx(first / (1 + first), rel=1e-4)


def test_long_episodes_keep_the_inverse_exact():
    d, steps = 32, 5000
    vectors = torch.randn(steps, 2, d, generator=seeded()) * torch.logspace(-2, 1, d)
    inverse = (torch.eye(d) / 0.1).repeat(2, 1, 1)
    for vector in vectors:
        bonus, inverse = elliptical_bonus(inverse, vector)
        assert (bonus >= 0).all()
    wide = vectors.double()
    covariance = 0.1 * torch.eye(d) + torch.einsum("tbi,tbj->bij", wide, wide)
    exact = torch.linalg.inv(covariance)
    assert torch.equal(inverse, inverse.transpose(1, 2))
    scale = exact.diagonal(dim1=1, dim2=2).sqrt()
    relative = (inverse - exact) / (scale.unsqueeze(1) * scale.unsqueeze(2))
    assert relative.abs().max() < 1e-3


@pytest.mark.parametrize("action_space", [DISCRETE, BOX], ids=["discrete", "box"])
def test_features_learn_what_actions_change(action_space):
    """The action moves the first number; the others are noise."""
    reward = E3B.from_spaces(
        VECTOR, action_space, n_envs=4, **SMALL, learning_rate=3e-3, batch_size=64, epochs=4
    )
    losses = []
    for seed in range(15):
        batch = transitions(64, 4, action_space=action_space, seed=10 * seed)
        moved = batch.action[..., :1] if batch.action.dim() > 2 else batch.action.unsqueeze(-1)
        following = torch.randn(64, 4, 5, generator=seeded(seed))
        following[..., :1] = batch.observation[..., :1] + moved.clamp(-1, 3)
        reward_batch = batch._replace(next_observation=following)
        losses.append(reward.update(reward_batch)["loss"])
    assert losses[-1] < 0.75 * losses[0]


def test_options_out_of_range_are_named():
    with pytest.raises(RlpytError, match="ridge=0"):
        build(ridge=0.0)
    with pytest.raises(RlpytError, match="n_envs=0"):
        build(n_envs=0)
