"""C51's support, projection and losses: by hand, against the paper's loop and against rlax."""

import math
from functools import partial

import numpy as np
import pytest
import torch
from ops_checks import (
    assert_agrees_with_rlax,
    assert_compiles,
    assert_same,
    gradients,
    random_tensors,
)

from rlpyt.ops.categorical import (
    _project_by_product,
    _project_by_scattering,
    categorical_cross_entropy,
    categorical_kl,
    categorical_mean,
    categorical_support,
    categorical_target,
    project_categorical,
)
from rlpyt.ops.q_learning import at_action, greedy_action

CASES = 300
V_MIN, V_MAX = -3.0, 7.0


def support_of(n_atoms, dtype=torch.float64):
    return categorical_support(V_MIN, V_MAX, n_atoms, dtype)


def random_distribution(*shape, seed=0, dtype=torch.float64):
    (logits,) = random_tensors(shape, seed=seed, scale=2.0)
    return logits.detach().softmax(-1).to(dtype)


def random_case(seed, n_atoms, n_source=None):
    """Arrays: probabilities [N, M], atoms [N, M] (a quarter of them outside the support)."""
    rng = np.random.default_rng(seed)
    prob = random_distribution(CASES, n_source or n_atoms, seed=seed).numpy()
    atoms = rng.uniform(V_MIN - 2.0, V_MAX + 2.0, prob.shape)
    return prob, atoms


def loop_projection(prob, atoms, support):
    """Algorithm 1 of the paper, with the case l = u that it leaves out."""
    K = len(support)
    spacing = (support[-1] - support[0]) / (K - 1)
    rows = []
    for n in range(len(prob)):
        mass = [torch.zeros((), dtype=prob.dtype) for _ in range(K)]
        for j in range(prob.shape[1]):
            b = (atoms[n, j].clamp(support[0], support[-1]) - support[0]) / spacing
            low, up = math.floor(b.item()), math.ceil(b.item())
            if low == up:
                mass[low] = mass[low] + prob[n, j]
            else:
                mass[low] = mass[low] + prob[n, j] * (up - b)
                mass[up] = mass[up] + prob[n, j] * (b - low)
        rows.append(torch.stack(mass))
    return torch.stack(rows)


# --- against rlax --------------------------------------------------------------------------------


def rlax_projection(prob, atoms, *, n_atoms):
    import jax.numpy as jnp
    import rlax

    return rlax.categorical_l2_project(atoms, prob, jnp.linspace(V_MIN, V_MAX, n_atoms))


def rlax_q_learning(return_, next_discount, logits, next_logits, action, *, n_atoms):
    import jax.numpy as jnp
    import rlax

    z = jnp.linspace(V_MIN, V_MAX, n_atoms)
    return rlax.categorical_q_learning(
        z, logits, action, return_, next_discount, z, next_logits
    ).reshape(1)


def rlax_double_q_learning(
    return_, next_discount, logits, next_logits, selector, action, *, n_atoms
):
    import jax.numpy as jnp
    import rlax

    z = jnp.linspace(V_MIN, V_MAX, n_atoms)
    return rlax.categorical_double_q_learning(
        z, logits, action, return_, next_discount, z, next_logits, selector
    ).reshape(1)


def rlax_kl(target_logits, logits):
    import jax
    import rlax

    found = rlax.categorical_kl_divergence(target_logits, logits)
    return jax.lax.stop_gradient(found).reshape(1)


def transitions(seed, n_atoms, n_actions=4):
    rng = np.random.default_rng(seed)
    return_ = rng.standard_normal(CASES) * 3
    next_discount = np.where(rng.random(CASES) < 0.2, 0.0, 0.99 ** rng.integers(1, 6, CASES))
    logits, next_logits = rng.standard_normal((2, CASES, n_actions, n_atoms)) * 2
    selector = rng.standard_normal((CASES, n_actions))
    action = rng.integers(0, n_actions, CASES)
    return return_, next_discount, logits, next_logits, selector, action


def our_loss(return_, next_discount, logits, next_logits, selector, action):
    """The C51 loss from the pieces, [N, 1]; ``selector`` may be ``None``."""
    support = support_of(logits.shape[-1])
    next_prob = next_logits.softmax(-1)
    q = categorical_mean(next_prob, support) if selector is None else selector
    next_prob = at_action(next_prob, greedy_action(q))
    target = categorical_target(return_, next_discount, next_prob, support)
    log_prob = at_action(logits, action).log_softmax(-1)
    return categorical_cross_entropy(target, log_prob).unsqueeze(-1)


@pytest.mark.parametrize(("n_atoms", "n_source"), [(51, 51), (2, 5), (5, 40)])
def test_projections_are_those_of_rlax(n_atoms, n_source, apart):
    def ours(prob, atoms):
        return project_categorical(prob, atoms, support_of(n_atoms))

    case = random_case(n_atoms, n_atoms, n_source)
    assert_agrees_with_rlax(apart, ours, partial(rlax_projection, n_atoms=n_atoms), case)


@pytest.mark.parametrize("n_atoms", [2, 51])
def test_losses_are_those_of_rlax(n_atoms, apart):
    return_, next_discount, logits, next_logits, _selector, action = transitions(0, n_atoms)

    def ours(return_, next_discount, logits, next_logits, action):
        return our_loss(return_, next_discount, logits, next_logits, None, action)

    case = (return_, next_discount, logits, next_logits, action)
    assert_agrees_with_rlax(apart, ours, partial(rlax_q_learning, n_atoms=n_atoms), case)


def test_double_losses_are_those_of_rlax(apart):
    theirs = partial(rlax_double_q_learning, n_atoms=51)
    assert_agrees_with_rlax(apart, our_loss, theirs, transitions(1, 51))


def test_divergences_are_those_of_rlax(apart):
    def ours(target_logits, logits):
        return categorical_kl(target_logits.softmax(-1), logits.log_softmax(-1)).unsqueeze(-1)

    case = np.random.default_rng(2).standard_normal((2, CASES, 51))
    assert_agrees_with_rlax(apart, ours, rlax_kl, list(case))


# --- against loops -------------------------------------------------------------------------------


@pytest.mark.parametrize("n_atoms", [2, 7])
def test_projections_equal_the_loop_of_the_paper(n_atoms):
    prob, atoms = (torch.tensor(x[:25], requires_grad=True) for x in random_case(3, n_atoms, 4))
    support = support_of(n_atoms)
    ours = project_categorical(prob, atoms, support)
    assert_same(ours, loop_projection(prob, atoms, support), [prob, atoms])


@pytest.mark.parametrize("n_atoms", [2, 7, 51])
def test_both_ways_of_computing_agree(n_atoms):
    """The one of accelerators too is tested where there is none."""
    prob, position = random_tensors((4, 5, 9), (4, 5, 9), scale=n_atoms)
    with torch.no_grad():
        position.clamp_(0.0, n_atoms - 1.0)
        position[0] = position[0].round()
    ways = [
        lambda prob, position: _project_by_scattering(prob, position, n_atoms),
        lambda prob, position: _project_by_product(prob, position, n_atoms),
    ]
    assert_same(*(way(prob, position) for way in ways), [prob], rtol=1e-10, atol=1e-10)
    on_atom = position == position.round()  # a kink, where each way has another slope
    slopes = [gradients(way(prob, position), [position])[0] for way in ways]
    one, other = (slope.masked_fill(on_atom, 0.0) for slope in slopes)
    torch.testing.assert_close(one, other, rtol=1e-10, atol=1e-10)
    assert one.any()


def test_losses_equal_loops():
    target, log_prob = random_distribution(6, 5), random_distribution(6, 5, seed=1).log()
    target[0, 1:3] = 0.0
    log_prob.requires_grad_()
    cross = [
        -sum(m * p for m, p in zip(*rows, strict=True))
        for rows in zip(target, log_prob, strict=True)
    ]
    assert_same(categorical_cross_entropy(target, log_prob), torch.stack(cross), [log_prob])
    divergence = [
        sum(m * (math.log(m) - p) for m, p in zip(*rows, strict=True) if m > 0)
        for rows in zip(target.tolist(), log_prob.tolist(), strict=True)
    ]
    expected = [max(each, 0.0) for each in divergence]
    assert categorical_kl(target, log_prob).tolist() == pytest.approx(expected, rel=1e-12)


# --- properties ----------------------------------------------------------------------------------


def test_the_support_is_evenly_spaced():
    assert categorical_support(-10.0, 10.0, 5).tolist() == [-10.0, -5.0, 0.0, 5.0, 10.0]
    assert categorical_support(0.0, 1.0, 51).dtype == torch.float32
    assert categorical_support(-1.0, 1.0, 2, torch.float64).dtype == torch.float64


def test_by_hand():
    support = torch.tensor([0.0, 1.0, 2.0])
    atoms = torch.tensor([[0.25, 1.0, 5.0], [-4.0, 0.0, 1.5]])
    prob = torch.tensor([[0.4, 0.5, 0.1], [0.2, 0.2, 0.6]])
    expected = [[0.3, 0.6, 0.1], [0.4, 0.3, 0.3]]
    for row, other in zip(project_categorical(prob, atoms, support), expected, strict=True):
        assert row.tolist() == pytest.approx(other)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
@pytest.mark.parametrize("n_atoms", [2, 3, 51, 201])
def test_atoms_on_the_support_keep_their_mass(n_atoms, dtype):
    """The case l = u, for every atom at once, the first and the last among them."""
    prob, support = random_distribution(20, n_atoms, dtype=dtype), support_of(n_atoms, dtype)
    found = project_categorical(prob, support.expand(20, n_atoms), support)
    torch.testing.assert_close(found, prob, rtol=0.0, atol=n_atoms * torch.finfo(dtype).eps)
    back = categorical_target(torch.zeros(20, dtype=dtype), torch.ones(20).to(dtype), prob, support)
    assert torch.equal(back, found)


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_mass_is_preserved(dtype):
    prob, atoms = (torch.tensor(x, dtype=dtype) for x in random_case(4, 51))
    found = project_categorical(prob, atoms * 10.0, support_of(51, dtype))
    assert found.dtype == dtype
    assert (found >= 0.0).all()
    total = torch.ones(CASES, dtype=dtype)
    torch.testing.assert_close(found.sum(-1), total, rtol=0.0, atol=20 * torch.finfo(dtype).eps)


def test_the_mean_is_preserved_inside_and_clipped_outside():
    prob, atoms = (torch.tensor(x) for x in random_case(5, 51))
    support, atoms = support_of(51), atoms.clamp(V_MIN, V_MAX)
    found = categorical_mean(project_categorical(prob, atoms, support), support)
    torch.testing.assert_close(found, (prob * atoms).sum(-1), rtol=1e-12, atol=1e-12)
    for shift, end in ((100.0, 50), (-100.0, 0), (float("inf"), 50), (float("-inf"), 0)):
        found = project_categorical(prob, atoms + shift, support)
        torch.testing.assert_close(found[:, end], torch.ones(CASES, dtype=torch.float64))


def test_a_return_of_one_spacing_moves_each_mass_by_one_atom():
    prob, support = random_distribution(CASES, 11), support_of(11)
    spacing = torch.full((CASES,), (V_MAX - V_MIN) / 10.0, dtype=torch.float64)
    found = categorical_target(spacing, torch.ones_like(spacing), prob, support)
    moved = torch.cat([torch.zeros(CASES, 1), prob[:, :-2], prob[:, -2:].sum(-1, True)], -1)
    torch.testing.assert_close(found, moved, rtol=1e-10, atol=1e-12)


def test_a_terminal_return_takes_all_mass():
    prob, support = random_distribution(3, 11), support_of(11)
    return_ = torch.tensor([0.0, 2.5, 99.0], dtype=torch.float64)
    found = categorical_target(return_, torch.zeros_like(return_), prob, support)
    expected = torch.zeros(3, 11, dtype=torch.float64)
    expected[0, 3], expected[1, 5:7], expected[2, 10] = 1.0, 0.5, 1.0
    torch.testing.assert_close(found, expected, rtol=0.0, atol=1e-12)


def test_projecting_a_mixture_is_mixing_projections():
    prob, atoms = (torch.tensor(x) for x in random_case(6, 11))
    other, support = random_distribution(CASES, 11, seed=9), support_of(11)
    mixed = project_categorical(0.3 * prob + 0.7 * other, atoms, support)
    parts = [project_categorical(each, atoms, support) for each in (prob, other)]
    torch.testing.assert_close(mixed, 0.3 * parts[0] + 0.7 * parts[1], rtol=1e-10, atol=1e-12)


def test_the_order_of_the_atoms_does_not_matter():
    prob, atoms = (torch.tensor(x) for x in random_case(7, 11))
    order, support = torch.randperm(11), support_of(11)
    found = project_categorical(prob[:, order], atoms[:, order], support)
    torch.testing.assert_close(
        found, project_categorical(prob, atoms, support), rtol=1e-10, atol=1e-12
    )


def test_a_return_that_is_no_number_shows():
    nowhere = torch.full((1,), float("nan"))
    found = categorical_target(
        nowhere, torch.ones(1), torch.ones(1, 11) / 11, support_of(11).float()
    )
    assert found.isnan().any()


def test_any_leading_dimensions():
    prob, atoms = random_distribution(2, 3, 5), torch.randn(2, 3, 5, dtype=torch.float64) * 4
    found = project_categorical(prob, atoms, support_of(7))
    assert found.shape == (2, 3, 7)
    flat = project_categorical(prob.reshape(6, 5), atoms.reshape(6, 5), support_of(7))
    assert torch.equal(found.reshape(6, 7), flat)
    single = project_categorical(prob[1, 2], atoms[1, 2], support_of(7))
    assert torch.equal(found[1, 2], single)


def test_divergence_is_cross_entropy_less_entropy_and_zero_among_equals():
    target, prob = random_distribution(CASES, 51), random_distribution(CASES, 51, seed=1)
    divergence = categorical_kl(target, prob.log())
    entropy = categorical_cross_entropy(target, target.log())
    cross = categorical_cross_entropy(target, prob.log())
    torch.testing.assert_close(divergence, cross - entropy, rtol=1e-10, atol=1e-12)
    assert (divergence > 0.0).all()
    equal = categorical_kl(target.float(), target.float().log())
    assert (equal >= 0.0).all()
    assert equal.max() < 1e-6


def test_the_loss_leaves_the_target_alone_and_pulls_towards_it():
    (logits,) = random_tensors((4, 11))
    target = random_distribution(4, 11, seed=3).requires_grad_()
    loss = categorical_cross_entropy(target, logits.log_softmax(-1)).sum()
    by_logits, by_target = torch.autograd.grad(loss, [logits, target], allow_unused=True)
    assert by_target is None
    torch.testing.assert_close(by_logits, logits.softmax(-1) - target, rtol=1e-10, atol=1e-12)
    assert not categorical_kl(target, logits.log_softmax(-1)).requires_grad


@pytest.mark.parametrize("dtype", [torch.float32, torch.float64])
def test_a_compiled_graph_gives_the_same(dtype):
    return_, next_discount, logits, next_logits, _selector, action = transitions(2, 11)
    floats = [
        torch.tensor(x[:6], dtype=dtype, requires_grad=True)
        for x in (return_, next_discount, logits, next_logits)
    ]

    def loss(return_, next_discount, logits, next_logits, action):
        support = support_of(11, dtype)
        next_prob = next_logits.softmax(-1)
        next_prob = at_action(next_prob, greedy_action(categorical_mean(next_prob, support)))
        target = categorical_target(return_, next_discount, next_prob, support)
        log_prob = at_action(logits, action).log_softmax(-1)
        cross = categorical_cross_entropy(target, log_prob)
        return torch.cat([cross, categorical_kl(target, log_prob), target.sum(-1)])

    assert_compiles(loss, *floats, torch.tensor(action[:6]))
