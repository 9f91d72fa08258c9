"""Every reward against its equation, written out in numpy step by step."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from reward_fakes import ACTIONS, DISCRETE, batch, make, one_hot, relu_mlp, standing

from rlpyt.rewards import ActionCode

B, DONE = 2, ((1, 0), (3, 1), (4, 0))


def plain(name, **options):
    """Without any scale but the observations' own."""
    return make(name, reward_norm="none", **options)


def flat(x):
    return x.flatten(0, 1).double().numpy()


def close(found, expected, rtol=2e-4):
    np.testing.assert_allclose(found.numpy(), expected, rtol=rtol, atol=1e-6)


# --- lifelong ----------------------------------------------------------------------------------


def icm_error(reward, samples, prefix="dynamics"):
    state = reward.state_dict()
    phi, following = (
        relu_mlp(state, f"{prefix}.inverse.features.body", flat(o))
        for o in (samples.observation, samples.next_observation)
    )
    code = one_hot(samples.action.flatten())
    guess = relu_mlp(state, f"{prefix}.forward_model", np.concatenate([phi, code], 1))
    logits = relu_mlp(state, f"{prefix}.inverse.head", np.concatenate([phi, following], 1))
    logits -= logits.max(1, keepdims=True)
    inverse = np.log(np.exp(logits).sum(1)) - (logits * code).sum(1)
    return 0.5 * ((guess - following) ** 2).sum(1), inverse


def test_icm():
    reward, samples = plain("icm", forward_weight=0.3), batch(done=DONE)
    forward, inverse = icm_error(reward, samples)
    close(reward.compute(samples), forward.reshape(6, B))
    report = reward.update(samples)  # one minibatch: the losses are of the parameters before
    assert report["inverseLoss"] == pytest.approx(inverse.mean(), rel=1e-4)
    assert report["forwardLoss"] == pytest.approx(forward.mean(), rel=1e-4)
    assert report["loss"] == pytest.approx(0.7 * inverse.mean() + 0.3 * forward.mean(), rel=1e-4)


def test_the_features_of_icm_learn_from_the_inverse_loss_alone():
    reward = plain("icm", forward_weight=1.0)
    before = {name: value.clone() for name, value in reward.named_parameters()}
    reward.update(batch())
    moved = {name for name, value in reward.named_parameters() if not value.equal(before[name])}
    assert moved == {name for name in before if ".forward_model." in name}


class Running:
    """Mean and deviation of everything, kept as a list."""

    def __init__(self):
        self.seen = []

    def __call__(self, x):
        seen = np.array(self.seen, dtype=np.float64)
        return np.clip((x - seen.mean(0)) / np.sqrt(seen.var(0) + 1e-8), -5, 5)


def rnd_error(reward, samples, running, prefix=""):
    running.seen += list(flat(samples.next_observation))
    x = running(flat(samples.next_observation))
    state = reward.state_dict()
    guess, target = (relu_mlp(state, f"{prefix}{n}.body", x) for n in ("predictor", "target"))
    return ((guess - target) ** 2).mean(1).reshape(samples.terminated.shape)


def test_rnd():
    reward, running = plain("rnd"), Running()
    for seed in range(3):
        samples = batch(seed=seed, done=DONE)
        expected = rnd_error(reward, samples, running)
        close(reward.compute(samples), expected)
        assert reward.update(samples)["loss"] == pytest.approx(expected.mean(), rel=1e-4)


@pytest.mark.parametrize(("name", "random"), [("rnd", "target"), ("disagreement", "features")])
def test_what_is_random_stays_as_it_is(name, random):
    reward = make(name, learning_rate=0.1)
    before = {key: value.clone() for key, value in reward.named_parameters()}
    for seed in range(2):
        reward.compute(batch(seed=seed))
        reward.update(batch(seed=seed))
    moved = {key for key, value in reward.named_parameters() if not value.equal(before[key])}
    assert moved
    assert not any(key.startswith(f"{random}.") for key in moved)


def test_rnd_is_scaled_by_the_deviation_of_returns_that_no_end_cuts():
    reward, bare = make("rnd", return_discount=0.8), plain("rnd")
    returns, open_return = [], np.zeros(B)
    for seed in range(3):
        samples = batch(seed=seed, done=DONE)
        error = bare.compute(samples).double().numpy()
        for row in error:
            open_return = 0.8 * open_return + row
            returns += list(open_return)
        close(reward.compute(samples), error / np.std(returns))


def test_disagreement():
    reward, samples = plain("disagreement", normalize_observation=False), batch(done=DONE)
    state = reward.state_dict()
    phi, target = (
        relu_mlp(state, "features.body", flat(o))
        for o in (samples.observation, samples.next_observation)
    )
    x = np.concatenate([phi, one_hot(samples.action.flatten())], 1)
    guesses = []
    for k in range(4):
        w, b, v, c = (
            state[f"models.{part}"][k].double().numpy()
            for part in ("hidden.0.weight", "hidden.0.bias", "output.weight", "output.bias")
        )
        guesses.append(np.maximum(x @ w + b, 0) @ v + c)
    expected = np.mean([np.var([guess[:, i] for guess in guesses], axis=0) for i in range(8)], 0)
    close(reward.compute(samples), expected.reshape(6, B))
    errors = np.stack([((guess - target) ** 2).mean(1) for guess in guesses])
    loss = reward.loss(flattened(samples)).loss
    for n in range(12):  # the n-th transition is left out by one of the four
        assert loss[n].item() == pytest.approx(errors[:, n].sum() - errors[n % 4, n], rel=1e-3)
    few = reward.loss(flattened(samples)[:3]).loss
    close(few.detach(), errors[:, :3].sum(0), rtol=1e-3)


def flattened(samples):
    return type(samples)(*(None if leaf is None else leaf.flatten(0, 1) for leaf in samples))


# --- episodic ----------------------------------------------------------------------------------


class Episodes:
    """Σ K by loops over lists: of the k nearest, or of all that are remembered."""

    def __init__(self, *, everything=False, k=10, capacity=2048, epsilon=1e-4):
        self.everything, self.k, self.capacity = everything, k, capacity
        self.epsilon = epsilon
        self.memory = [[] for _ in range(B)]
        self.distances = []

    def __call__(self, phi, following, done):
        T = len(done)
        found = np.zeros((T, B))
        for t in range(T):
            squares = []
            for b in range(B):
                if not self.memory[b]:
                    self.memory[b].append(phi[t, b])
                squares.append([((following[t, b] - m) ** 2).sum() for m in self.memory[b]])
                self.distances += sorted(squares[b])[: self.k]
            for b in range(B):
                counted = squares[b] if self.everything else sorted(squares[b])[: self.k]
                for d in counted:
                    rate = max(d / np.mean(self.distances) - 0.008, 0.0)
                    found[t, b] += self.epsilon / (rate + self.epsilon)
                self.memory[b] = [*self.memory[b], following[t, b]][-self.capacity :]
                if done[t, b]:
                    self.memory[b] = []
        return found


def walk(seed):
    """Consecutive transitions among five places, so that some come again."""
    rng = np.random.default_rng(seed)
    places = torch.as_tensor(rng.uniform(-1, 1, (5, 3)).astype(np.float32))
    at = torch.as_tensor(rng.integers(0, 5, (9, B)))
    samples = batch(8, B, done=((2, 0), (5, 1), (6, 0)), seed=seed)
    ended = samples.done.unsqueeze(-1)
    following = torch.where(ended, samples.next_observation, places[at[1:]])
    return samples._replace(observation=places[at[:-1]], next_observation=following)


def features(reward, samples, prefix):
    state, shape = reward.state_dict(), (*samples.terminated.shape, -1)
    return [
        relu_mlp(state, f"{prefix}.features.body", flat(o)).reshape(shape)
        for o in (samples.observation, samples.next_observation)
    ]


@pytest.mark.parametrize(("k", "capacity"), [(10, 2048), (3, 4)])
def test_pseudo_counts(k, capacity):
    reward = plain("pseudo_counts", kernel_kwargs={"n_neighbors": k, "capacity": capacity})
    episodes = Episodes(k=k, capacity=capacity)
    for seed in range(3):
        samples = walk(seed)
        phi, following = features(reward, samples, "inverse")
        similarity = episodes(phi, following, samples.done.numpy())
        close(reward.compute(samples), 1 / (np.sqrt(similarity) + 1e-3), rtol=2e-3)


def test_pseudo_counts_beyond_the_greatest_similarity_nothing_is_new():
    samples = standing(walk(0))
    found = plain("pseudo_counts", max_similarity=0.9).compute(samples)
    assert (found == 0).all()
    assert (plain("pseudo_counts").compute(samples) > 0).all()


def test_ride():
    # A wide kernel: N_ep counts more than the 1 nearest, and those beyond have to be seen in it.
    reward = plain("ride", kernel_kwargs={"n_neighbors": 1, "kernel_epsilon": 0.5})
    episodes = Episodes(everything=True, k=1, epsilon=0.5)
    for seed in range(3):
        samples = walk(seed)
        phi, following = features(reward, samples, "dynamics.inverse")
        count = 1 + episodes(phi, following, samples.done.numpy())
        close(
            reward.compute(samples),
            np.sqrt(((following - phi) ** 2).sum(-1)) / np.sqrt(count),
            rtol=2e-3,
        )
        report = reward.update(samples)
        assert report["loss"] == pytest.approx(
            0.8 * report["inverseLoss"] + 0.2 * report["forwardLoss"], rel=1e-5
        )


def test_ngu():
    reward, episodes, running, errors = plain("ngu", max_scale=1.5), Episodes(), Running(), []
    clipped = 0
    for seed in range(3):
        samples = walk(seed)
        phi, following = features(reward, samples, "in_episode.inverse")
        similarity = episodes(phi, following, samples.done.numpy())
        error = rnd_error(reward, samples, running, "lifelong.")
        errors += list(error.flatten())
        alpha = 1 + (error - np.mean(errors)) / np.std(errors)
        clipped += (alpha > 1.5).sum()
        expected = np.clip(alpha, 1, 1.5) / (np.sqrt(similarity) + 1e-3)
        close(reward.compute(samples), expected, rtol=2e-3)
    assert clipped > 0


# --- actions -----------------------------------------------------------------------------------


def test_a_box_is_predicted_in_units_of_its_bounds():
    code = ActionCode(ACTIONS["box"])  # [-2, 2], and from 0 without end
    action = torch.tensor([[1.0, 3.0], [-7.0, -1.0]])
    torch.testing.assert_close(code(action), torch.tensor([[0.5, 3.0], [-1.0, 0.0]]))
    prediction = torch.tensor([[0.0, 1.0], [-1.0, 2.0]])
    torch.testing.assert_close(code.loss(prediction, action), torch.tensor([4.25 / 2, 2.0]))
    matrix = ActionCode(spaces.Box(-1, 1, (2, 3)))
    assert matrix(torch.zeros(4, 5, 2, 3)).shape == (4, 5, 6)


def test_discrete_actions_are_predicted_by_logits():
    def entropy(logits, k):
        return np.log(np.exp(logits).sum()) - logits[k]

    x = np.array([0.3, -1.0, 2.0, 0.1, 0.5])
    logits = torch.as_tensor(x, dtype=torch.float32).unsqueeze(0)
    found = ActionCode(DISCRETE).loss(logits[:, :4], torch.tensor([2]))
    assert found.item() == pytest.approx(entropy(x[:4], 2), rel=1e-5)
    found = ActionCode(ACTIONS["multi_discrete"]).loss(logits, torch.tensor([[1, 2]]))
    assert found.item() == pytest.approx(entropy(x[:2], 1) + entropy(x[2:], 2), rel=1e-5)
    found = ActionCode(ACTIONS["multi_binary"]).loss(logits[:, :3], torch.tensor([[1, 0, 1]]))
    each = np.log1p(np.exp(-x[0])) + np.log1p(np.exp(x[1])) + np.log1p(np.exp(-x[2]))
    assert found.item() == pytest.approx(each, rel=1e-5)


def test_where_one_observation_follows_another_it_is_encoded_once():
    """With ``reset`` inside of a batch, and where it is not behind an end."""
    reward = plain("pseudo_counts")
    samples = batch(8, B, done=((2, 0),), seed=4)
    other = batch(8, B, seed=5)
    reset = torch.zeros(8, B, dtype=torch.bool)
    reset[4, 1] = reset[3, 0] = True
    jump = samples._replace(
        observation=torch.where(reset.unsqueeze(-1), other.observation, samples.observation)
    )
    episodes = Episodes()
    phi, following = features(reward, jump, "inverse")
    cut = jump.done.numpy().copy()
    cut[3, 1] = True  # the episode before a reset is over
    similarity = episodes(phi, following, cut)
    found = reward.compute(jump._replace(reset=reset))
    close(found, 1 / (np.sqrt(similarity) + 1e-3), rtol=2e-3)
