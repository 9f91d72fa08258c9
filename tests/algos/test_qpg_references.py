"""Losses of actor-critics that no other library shares, against plain torch."""

from typing import Any

import numpy as np
import pytest
import torch
from qpg_fakes import CASES
from torch import Tensor, nn
from toy_envs import CPU, copied

from rlpyt.algos.qpg import CrossQ, DiscreteSAC, QpgAlgorithm
from rlpyt.algos.qpg.batch import QpgBatch, States, Steps, transitions
from rlpyt.algos.qpg.discrete_sac import discrete_policy_losses, discrete_soft_value
from rlpyt.algos.qpg.tqc import truncated
from rlpyt.data import AgentInputs
from rlpyt.models.batch_renorm import BatchRenorm
from rlpyt.models.batched import BatchedLinear, BatchedMlp

N = 24


def learner(name: str) -> tuple[QpgAlgorithm, QpgBatch]:
    """Initialised, and a batch of its replay."""
    made = CASES[name].runner()
    algo, agent, sampler = made.algo, made.agent, made.sampler
    assert isinstance(algo, QpgAlgorithm)
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    sampler.initialize(agent, seed=0, discount=algo.discount)
    algo.initialize(agent, n_itr=20, batch_spec=sampler.batch_spec, seed=0)
    for itr in range(8):
        algo.replay.append(copied(sampler.obtain_samples(itr)[0]))
    sampler.shutdown()
    torch.manual_seed(0)
    for network in (algo.online.policy, algo.online.critic, algo.target.critic):
        for parameter in network.parameters():
            parameter.data.add_(0.2 * torch.randn_like(parameter))
    return algo, transitions(algo.replay.sample(N))


def plain(networks: BatchedMlp, k: int) -> nn.Sequential:
    """Network ``k`` of torch's own layers, normalising by batches."""
    layers: list[nn.Module] = []
    for n, (linear, norm) in enumerate(
        zip([*networks.hidden, networks.output], networks.renorms, strict=True)
    ):
        assert isinstance(linear, BatchedLinear)
        assert isinstance(norm, BatchRenorm)
        size_in, size_out = linear.weight.shape[1:]
        layers += [nn.ReLU()] if n else []
        layers += [nn.BatchNorm1d(size_in, eps=1e-3), nn.Linear(size_in, size_out)]
        layers[-2].weight.data = norm.weight[k, 0].detach().clone()
        layers[-2].bias.data = norm.bias[k, 0].detach().clone()
        layers[-1].weight.data = linear.weight[k].detach().T.clone()
        layers[-1].bias.data = linear.bias[k, 0].detach().clone()
    return nn.Sequential(*layers)


def test_crossq_normalises_both_sides_of_the_bellman_equation_as_one_batch() -> None:
    algo, batch = learner("crossq")
    assert isinstance(algo, CrossQ)
    noise = torch.randn(N, 1)
    with torch.no_grad():
        next_action, log_prob = algo.online.sample(batch.following, noise)
    losses = algo.critic_losses(batch, noise)
    observation = torch.cat([batch.now.inputs.observation, batch.following.inputs.observation])
    action = torch.cat([batch.action, next_action]) / 2 - 0.5  # in units of -1 ... 3
    nets = [plain(algo.online.critic.networks, k) for k in range(2)]
    both = torch.stack([net(torch.cat([observation, action], 1)).squeeze(1) for net in nets])
    q, next_q = both[:, :N], both[:, N:].detach()
    assert algo.temperature is not None
    value = next_q.amin(0) - 0.05 * log_prob
    target = batch.return_ + batch.next_discount * value
    expected = 0.5 * (target - q).square().sum(0)
    torch.testing.assert_close(losses.loss, expected, rtol=1e-4, atol=1e-5)
    losses.loss.mean().backward()
    expected.mean().backward()
    for k, net in enumerate(nets):
        found = algo.online.critic.networks.hidden[0].weight.grad[k].T
        torch.testing.assert_close(found, net[1].weight.grad, rtol=1e-3, atol=1e-5)


def test_redq_takes_the_smaller_of_the_drawn_critics_and_climbs_the_mean() -> None:
    algo, batch = learner("redq")
    draw: Any = algo.draw(np.random.default_rng(3), (N,), "critic")
    assert len(set(draw.subset.tolist())) == 2
    action, log_prob = algo.online.sample(batch.following, draw.noise)
    q = algo.target.q(batch.following, action)
    assert q.shape == (5, N)
    one, other = draw.subset.tolist()
    alpha = 1.0
    target = batch.target(torch.minimum(q[one], q[other]) - alpha * log_prob).detach()
    losses = algo.critic_losses(batch, draw)
    expected = 0.5 * (target - algo.online.q(batch.now, batch.action)).square().sum(0)
    torch.testing.assert_close(losses.loss, expected)
    policy = algo.policy_losses(batch, draw.noise)
    action, log_prob = algo.online.sample(batch.now, draw.noise)
    mean = sum(algo.online.q(batch.now, action)) / 5
    torch.testing.assert_close(policy.loss, alpha * log_prob - mean)


def test_redq_draws_every_pair_of_critics() -> None:
    algo, _batch = learner("redq")
    rng = np.random.default_rng(0)
    pairs = {frozenset(algo.draw(rng, (1,), "critic").subset.tolist()) for _ in range(200)}
    assert len(pairs) == 10  # of five


def test_discrete_soft_values_are_expectations() -> None:
    """Of each action in turn; one that is not allowed counts for nothing."""
    log_prob = torch.tensor([[0.5, 0.3, 0.2], [0.9, 0.1, 0.0]]).log().clamp(min=-1e8)
    q, alpha = torch.tensor([[1.0, -2.0, 4.0], [3.0, 1.0, 1e6]]), torch.tensor(0.25)
    expected = []
    for row in range(2):
        terms = [
            p.exp().item() * (value.item() - 0.25 * p.item())
            for p, value in zip(log_prob[row], q[row], strict=True)
        ]
        expected.append(sum(terms))
    assert discrete_soft_value(q, log_prob, alpha).tolist() == pytest.approx(expected)
    losses = discrete_policy_losses(q, log_prob, alpha)
    assert losses.loss.tolist() == pytest.approx([-value for value in expected])
    assert losses.entropy is not None
    entropy = -(0.9 * np.log(0.9) + 0.1 * np.log(0.1))
    assert losses.entropy[1].item() == pytest.approx(entropy)


def test_discrete_sac_climbs_expectations_over_its_own_probabilities() -> None:
    algo, batch = learner("discrete sac")
    assert isinstance(algo, DiscreteSAC)
    policy = algo.policy_losses(batch, None)
    log_prob = algo.online.log_probabilities(batch.now)
    q = algo.online.q(batch.now).amin(0).detach()
    alpha = 1.0
    expected = (log_prob.exp() * (alpha * log_prob - q)).sum(1)
    torch.testing.assert_close(policy.loss, expected)
    losses = algo.critic_losses(batch, None)
    following = algo.online.log_probabilities(batch.following)
    probability, smaller = following.exp(), algo.target.q(batch.following).amin(0)
    target = batch.target((probability * (smaller - alpha * following)).sum(1)).detach()
    chosen = algo.online.q(batch.now)[:, torch.arange(N), batch.action]
    torch.testing.assert_close(losses.loss, 0.5 * (target - chosen).square().sum(0))


def test_the_largest_quantiles_of_all_critics_are_dropped() -> None:
    quantiles = torch.tensor([[[1.0, 9.0, 5.0]], [[2.0, 8.0, 7.0]]])  # two critics, one state
    assert truncated(quantiles, 1).tolist() == [[1.0, 2.0, 5.0, 7.0]]
    assert truncated(quantiles, 2).tolist() == [[1.0, 2.0]]
    assert truncated(quantiles, 0).shape == (1, 6)


def test_targets_of_sequences_bootstrap_from_where_they_are_told() -> None:
    """Steps 0 and 1 of two sequences; the second's last one was truncated after it."""
    none: Any = None
    steps = Steps(AgentInputs(none, none, none, none), States(), States())
    batch = QpgBatch(
        steps,
        steps,
        none,
        return_=torch.tensor([[1.0, 2.0], [3.0, 4.0]]),
        next_discount=torch.tensor([[0.5, 0.5], [0.0, 0.9]]),
        next_step=torch.tensor([[1, 2], [2, 2]]),
    )
    value = torch.tensor([[10.0, 20.0], [30.0, 40.0], [50.0, 60.0]])
    expected = torch.tensor([[1 + 15.0, 2 + 30.0], [3.0, 4 + 54.0]])
    assert torch.equal(batch.target(value), expected)
    both = batch.target(torch.stack([value, 2 * value], -1))
    assert torch.equal(both[..., 0], expected)
    assert torch.equal(both[..., 1], 2 * expected - batch.return_)


def test_a_batch_of_transitions_bootstraps_from_its_own_next_steps() -> None:
    _algo, batch = learner("sac")
    value = torch.randn(N)
    expected: Tensor = batch.return_ + batch.next_discount * value
    assert torch.equal(batch.target(value), expected)
