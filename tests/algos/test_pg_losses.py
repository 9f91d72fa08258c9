"""The losses of A2C and PPO: against rlax, against loops, and by hand; values and gradients."""

import math
from importlib.util import find_spec

import numpy as np
import pytest
import torch

from rlpyt.algos.pg.a2c import a2c_loss
from rlpyt.algos.pg.batch import LossInputs
from rlpyt.algos.pg.ppo import ppo_loss
from rlpyt.distributions.categorical import Categorical

ORACLE = 'the oracle is not here: pip install "rlpyt[oracles]"'
N = 500
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def loss_batch(n=N, valid=None, seed=0):
    rng = np.random.default_rng(seed)
    old_log_prob, old_value, return_, advantage = map(torch.tensor, rng.standard_normal((4, n)))
    return LossInputs(None, None, old_log_prob - 1.5, old_value, return_, advantage, valid)


def policy_outputs(batch, seed=1):
    """log π, V and H, of which log π is near the old one, so that some ratios are clipped."""
    rng = np.random.default_rng(seed)
    log_prob = batch.old_log_prob + 0.3 * torch.tensor(rng.standard_normal(len(batch.advantage)))
    value, entropy = map(torch.tensor, rng.standard_normal((2, len(batch.advantage))))
    return log_prob.requires_grad_(), value.requires_grad_(), entropy.requires_grad_()


def ppo(batch, outputs, clip=0.2, value_clip=None, c1=0.7, c2=0.03):
    clip = torch.tensor(clip, dtype=torch.float64)
    return ppo_loss(
        batch,
        *outputs,
        ratio_clip=clip,
        value_clip=value_clip,
        value_loss_coeff=c1,
        entropy_loss_coeff=c2,
    )


def a2c(batch, outputs, c1=0.7, c2=0.03):
    return a2c_loss(batch, *outputs, value_loss_coeff=c1, entropy_loss_coeff=c2)


def loop_ppo(batch, outputs, clip=0.2, value_clip=None, c1=0.7, c2=0.03):
    """One sample after the other, in Python; invalid ones are passed over."""
    policy, error, entropy, kl, outside, count = 0.0, 0.0, 0.0, 0.0, 0, 0
    for i in range(len(batch.advantage)):
        if batch.valid is not None and not batch.valid[i]:
            continue
        ratio = torch.exp(outputs[0][i] - batch.old_log_prob[i])
        advantage = batch.advantage[i]
        if advantage >= 0:
            policy = policy + advantage * (ratio if ratio < 1 + clip else 1 + clip)
        else:
            policy = policy + advantage * (ratio if ratio > 1 - clip else 1 - clip)
        missed = (batch.return_[i] - outputs[1][i]) ** 2
        if value_clip is not None:
            moved = outputs[1][i] - batch.old_value[i]
            near = batch.old_value[i] + min(max(moved, -value_clip), value_clip)
            other = (batch.return_[i] - near) ** 2
            missed = missed if missed >= other else other
        error, entropy = error + missed, entropy + outputs[2][i]
        kl += (ratio - 1 - torch.log(ratio)).item()
        outside, count = outside + int(abs(ratio.item() - 1) > clip), count + 1
    loss = -policy / count + c1 * 0.5 * error / count - c2 * entropy / count
    return loss, -policy / count, c1 * 0.5 * error / count, kl / count, outside / count


def gradients_of(loss, outputs):
    found = torch.autograd.grad(loss, outputs, allow_unused=True, retain_graph=True)
    return [torch.zeros(N) if gradient is None else gradient for gradient in found]


def assert_same_gradients(ours, reference, outputs):
    for found, expected in zip(
        gradients_of(ours, outputs), gradients_of(reference, outputs), strict=True
    ):
        torch.testing.assert_close(found, expected, **CLOSE)


@pytest.mark.parametrize("masked", [False, True])
@pytest.mark.parametrize("value_clip", [None, 0.3])
def test_ppo_equals_a_loop(masked, value_clip):
    valid = torch.rand(N) < 0.7 if masked else None
    batch = loss_batch(valid=valid)
    outputs = policy_outputs(batch)
    ours = ppo(batch, outputs, value_clip=value_clip)
    loss, pi_loss, value_loss, kl, outside = loop_ppo(batch, outputs, value_clip=value_clip)
    torch.testing.assert_close(ours.loss, loss, **CLOSE)
    torch.testing.assert_close(ours.piLoss, pi_loss, **CLOSE)
    torch.testing.assert_close(ours.valueLoss, value_loss, **CLOSE)
    assert ours.approxKl.item() == pytest.approx(kl, rel=1e-10)
    assert ours.clipFraction.item() == pytest.approx(outside, rel=1e-10)
    assert 0.1 < outside < 0.9
    assert ours.perplexity.item() == pytest.approx(math.exp(ours.entropy.item()))
    assert_same_gradients(ours.loss, loss, outputs)


@pytest.mark.parametrize("masked", [False, True])
def test_a2c_equals_a_loop(masked):
    valid = torch.rand(N) < 0.7 if masked else None
    batch = loss_batch(valid=valid)
    outputs = policy_outputs(batch)
    kept = [i for i in range(N) if valid is None or valid[i]]
    policy = sum(batch.advantage[i] * outputs[0][i] for i in kept) / len(kept)
    error = sum((batch.return_[i] - outputs[1][i]) ** 2 for i in kept) / len(kept)
    entropy = sum(outputs[2][i] for i in kept) / len(kept)
    ours = a2c(batch, outputs)
    torch.testing.assert_close(ours.piLoss, -policy, **CLOSE)
    torch.testing.assert_close(ours.valueLoss, 0.7 * 0.5 * error, **CLOSE)
    torch.testing.assert_close(ours.entropy, entropy, **CLOSE)
    assert ours.perplexity.item() == pytest.approx(math.exp(entropy.item()))
    assert_same_gradients(ours.loss, -policy + 0.35 * error - 0.03 * entropy, outputs)


def test_the_value_is_clipped_as_computed_by_hand():
    """The larger of two errors counts; where the clipped value wins, V gets no gradient."""
    old_value, value, return_ = (
        torch.tensor(x, dtype=torch.float64)
        for x in ([0.0, 0.0, 0.0, 0.0], [0.3, 0.9, 0.9, -0.9], [1.0, 1.0, 0.0, 1.0])
    )
    value.requires_grad_()
    zeros = torch.zeros(4, dtype=torch.float64)
    batch = LossInputs(None, None, zeros, old_value, return_, zeros)
    ours = ppo(batch, (zeros, value, zeros), value_clip=0.5, c1=2.0)
    # errors (R - V)²: 0.49, 0.01, 0.81, 3.61; clipped at ±0.5: 0.49, 0.25, 0.25, 2.25
    assert ours.valueLoss.item() == pytest.approx((0.49 + 0.25 + 0.81 + 3.61) / 4)
    (gradient,) = torch.autograd.grad(ours.loss, value)
    expected = [-2 * 0.7 / 4, 0.0, 2 * 0.9 / 4, -2 * 1.9 / 4]
    assert gradient.tolist() == pytest.approx(expected)


def test_invalid_samples_get_no_gradient_and_do_not_matter():
    valid = torch.rand(N) < 0.5
    batch = loss_batch(valid=valid)
    outputs = policy_outputs(batch)
    other = loss_batch(valid=valid, seed=5)
    mixed = LossInputs(
        None,
        None,
        *(
            torch.where(valid, a, b)
            for a, b in zip(list(batch)[2:6], list(other)[2:6], strict=True)
        ),
    )._replace(valid=valid)
    for function in (ppo, a2c):
        ours, changed = function(batch, outputs), function(mixed, outputs)
        torch.testing.assert_close(ours.loss, changed.loss, **CLOSE)
        assert_same_gradients(ours.loss, changed.loss, outputs)
        assert not any(g[~valid].any() for g in gradients_of(ours.loss, outputs))


def test_a_time_major_batch_is_the_flat_one():
    batch = loss_batch()
    outputs = policy_outputs(batch)
    rows = LossInputs(None, None, *(x.reshape(20, 25) for x in list(batch)[2:6]))
    shaped = [x.reshape(20, 25) for x in outputs]
    for function in (ppo, a2c):
        torch.testing.assert_close(
            function(batch, outputs).loss, function(rows, shaped).loss, **CLOSE
        )


def rlax_surrogate(cases):
    """rlax's clipped surrogate of each batch, and its gradient by log π."""
    import jax
    import rlax

    def loss(log_prob, old_log_prob, advantage, epsilon):
        ratio = jax.numpy.exp(log_prob - old_log_prob)
        return rlax.clipped_surrogate_pg_loss(ratio, advantage, epsilon)

    with jax.enable_x64(True):
        run = jax.jit(jax.value_and_grad(loss))
        return [tuple(map(np.asarray, run(*map(jax.numpy.asarray, case)))) for case in cases]


def rlax_actor_critic(logits, value, action, advantage, return_, weight):
    """The sum of rlax's policy, value and entropy losses, and its gradients by logits and V."""
    import jax
    import rlax

    def loss(logits, value):
        policy_loss = rlax.policy_gradient_loss(logits, action, asarray(advantage), asarray(weight))
        value_loss = (rlax.l2_loss(value, return_) * weight).mean()  # half the square
        return policy_loss + 0.7 * value_loss + 0.03 * rlax.entropy_loss(logits, asarray(weight))

    asarray = jax.numpy.asarray
    with jax.enable_x64(True):
        value, gradients = jax.value_and_grad(loss, argnums=(0, 1))(logits, value)
        return float(value), [np.asarray(gradient) for gradient in gradients]


@pytest.mark.skipif(find_spec("rlax") is None, reason=ORACLE)
def test_the_surrogate_equals_rlax(apart):
    found, cases = [], []
    for seed, epsilon in enumerate((0.05, 0.1, 0.2, 0.5)):
        batch = loss_batch(seed=seed)
        outputs = policy_outputs(batch, seed=seed + 50)
        ours = ppo(batch, outputs, clip=epsilon)
        found.append((ours.piLoss.item(), *torch.autograd.grad(ours.piLoss, outputs[0])))
        arrays = [x.detach().numpy() for x in (outputs[0], batch.old_log_prob, batch.advantage)]
        cases.append((*arrays, epsilon))
    for (loss, gradient), (value, expected) in zip(
        found, apart(rlax_surrogate, cases), strict=True
    ):
        assert loss == pytest.approx(float(value), rel=1e-10, abs=1e-12)
        np.testing.assert_allclose(gradient, expected, **CLOSE)


@pytest.mark.skipif(find_spec("rlax") is None, reason=ORACLE)
@pytest.mark.parametrize("masked", [False, True])
def test_a2c_equals_rlax_through_the_policy(masked, apart):
    """rlax's weights are ours: N valid / (number valid)."""
    rng = np.random.default_rng(3)
    logits = torch.tensor(rng.standard_normal((N, 5)), requires_grad=True)
    value = torch.tensor(rng.standard_normal(N), requires_grad=True)
    action = rng.integers(0, 5, N)
    valid = torch.tensor(rng.random(N) < 0.7) if masked else None
    batch = loss_batch(valid=valid)
    policy = Categorical(5)
    info = policy.dist_info(logits)
    ours = a2c(batch, (policy.log_prob(info, torch.tensor(action)), value, policy.entropy(info)))
    gradient = torch.autograd.grad(ours.loss, (logits, value))
    kept = np.ones(N) if valid is None else valid.double().numpy()
    loss, expected = apart(
        rlax_actor_critic,
        logits.detach().numpy(),
        value.detach().numpy(),
        action,
        batch.advantage.numpy(),
        batch.return_.numpy(),
        kept * N / kept.sum(),
    )
    assert ours.loss.item() == pytest.approx(loss, rel=1e-10)
    for found, theirs in zip(gradient, expected, strict=True):
        np.testing.assert_allclose(found, theirs, **CLOSE)


@pytest.mark.parametrize("function", [ppo, a2c])
def test_a_compiled_graph_gives_the_same(function):
    batch = loss_batch(valid=torch.rand(N) < 0.7)
    outputs = policy_outputs(batch)
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    for found, expected in zip(compiled(batch, outputs), function(batch, outputs), strict=True):
        torch.testing.assert_close(found, expected, **CLOSE)
