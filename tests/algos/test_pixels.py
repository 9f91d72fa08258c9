"""Actor-critics on images: DrQ-v2's losses against plain torch, augmented batches, one encoder."""

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from pixel_fakes import awaken, pixel_runner
from qpg_fakes import CASES
from test_qpg import copied_state, parameters
from torch import Tensor
from torch.nn import functional
from toy_envs import CPU, copied

from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.qpg import SAC, TD3, DrQV2, QpgAlgorithm
from rlpyt.algos.qpg.batch import QpgBatch, transitions
from rlpyt.augment import GaussianNoise, RandomCrop, RandomShift
from rlpyt.models.mlp import Nonlinearity
from rlpyt.utils.errors import RlpytError

N = 12


def started(
    name: str, n_itr: int = 10, *, nonlinearity: Nonlinearity = "relu", **settings: Any
) -> tuple[QpgAlgorithm, list[Any]]:
    """Initialised, and batches of samples."""
    made = pixel_runner(name, nonlinearity=nonlinearity, **settings)
    algo, agent, sampler = made.algo, made.agent, made.sampler
    assert isinstance(algo, QpgAlgorithm)
    assert isinstance(agent, QpgAgent)
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    sampler.initialize(agent, seed=0, discount=algo.discount)
    algo.initialize(agent, n_itr=n_itr, batch_spec=sampler.batch_spec, seed=0)
    batches = [copied(sampler.obtain_samples(itr)[0]) for itr in range(n_itr)]
    sampler.shutdown()
    return algo, batches


def filled(name: str, **settings: Any) -> tuple[QpgAlgorithm, QpgBatch]:
    """With networks away from where they start, and a batch of the replay."""
    algo, batches = started(name, **settings)
    for batch in batches:
        algo.replay.append(batch)
    torch.manual_seed(0)
    for network in (algo.online.policy, algo.online.critic, algo.target.critic):
        for parameter in network.parameters():
            parameter.data.add_(0.05 * torch.randn_like(parameter))
    return algo, transitions(algo.replay.sample(N))


def encode(weights: dict[str, Tensor], image: Tensor) -> Tensor:
    """Four convolutions of an image within ±½, in the order of channels_last memory."""
    x = image.float() / 255 - 0.5
    for n, stride in enumerate((2, 1, 1, 1)):
        name = f"trunk.encoder.networks.0.layers.{n}"
        x = functional.relu(
            functional.conv2d(x, weights[f"{name}.weight"], weights[f"{name}.bias"], stride)
        )
    return x.permute(0, 2, 3, 1).flatten(1)


def bottleneck(weights: dict[str, Tensor], x: Tensor) -> Tensor:
    place = "trunk.body"
    x = functional.linear(x, weights[f"{place}.hidden.0.weight"], weights[f"{place}.hidden.0.bias"])
    norm = (weights[f"{place}.norms.0.weight"], weights[f"{place}.norms.0.bias"])
    return torch.tanh(functional.layer_norm(x, x.shape[-1:], *norm))


def plain_policy(weights: dict[str, Tensor], features: Tensor) -> Tensor:
    x = bottleneck(weights, features)
    for n in range(2):
        linear = (weights[f"head.hidden.{n}.weight"], weights[f"head.hidden.{n}.bias"])
        x = functional.relu(functional.linear(x, *linear))
    return torch.tanh(
        functional.linear(x, weights["head.output.weight"], weights["head.output.bias"])
    )


def plain_critics(weights: dict[str, Tensor], features: Tensor, action: Tensor) -> list[Tensor]:
    found = []
    for k in range(2):
        x = torch.cat([bottleneck(weights, features), action], 1)
        for n in range(2):
            name = f"networks.hidden.{n}"
            x = functional.relu(x @ weights[f"{name}.weight"][k] + weights[f"{name}.bias"][k])
        x = x @ weights["networks.output.weight"][k] + weights["networks.output.bias"][k]
        found.append(x.squeeze(1))
    return found


def weights_of(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: p.detach().clone().requires_grad_() for name, p in network.named_parameters()}


def test_without_augmentation_it_is_n_step_ddpg_with_clipped_noise() -> None:
    """Losses and gradients, from pixels on, against loops over critics."""
    algo, batch = filled("drqv2", augmentation=None)
    assert isinstance(algo, DrQV2)
    assert algo.replay.n_step_return == 3
    online, policy = weights_of(algo.online.critic), weights_of(algo.online.policy)
    target = weights_of(algo.target.critic)
    noise = 0.3 * torch.randn(N, 2)
    loss, _report = algo._critic_loss(batch, noise, None)
    loss.backward()
    with torch.no_grad():
        features = encode(online, batch.following.inputs.observation)
        action = (plain_policy(policy, features) + noise).clamp(-1, 1)
        value = torch.minimum(*plain_critics(target, features, action))
        y = batch.return_ + batch.next_discount * value
    q = plain_critics(online, encode(online, batch.now.inputs.observation), batch.action)
    expected = sum(0.5 * (y - one).square() for one in q).mean()
    torch.testing.assert_close(loss, expected)
    expected.backward()
    for name, parameter in algo.online.critic.named_parameters():
        torch.testing.assert_close(parameter.grad, online[name].grad, rtol=1e-3, atol=1e-5)
        assert parameter.grad.any(), name
    steps = {round(d.item(), 4) for d in batch.next_discount}
    assert steps & {round(0.99**3, 4)}


def test_the_policy_climbs_the_smaller_critic_and_does_not_teach_the_encoder() -> None:
    algo, batch = filled("drqv2", augmentation=None)
    online, policy = weights_of(algo.online.critic), weights_of(algo.online.policy)
    encoder = algo._front.encoder
    assert encoder is algo.online.policy.trunk.encoder is algo.online.critic.trunk.encoder
    assert encoder is algo.target.critic.trunk.encoder
    for parameter in (*algo.online.critic.parameters(), *algo.online.policy.parameters()):
        parameter.grad = None
    noise = 1.5 * torch.randn(N, 2)  # most are clipped, and learn all the same
    loss, _report = algo._policy_loss(batch, noise)
    loss.backward()
    features = encode(online, batch.now.inputs.observation).detach()
    raw = plain_policy(policy, features) + noise
    assert (raw.abs() > 1).any()
    action = raw + (raw.clamp(-1, 1) - raw).detach()
    expected = -torch.minimum(*plain_critics(online, features, action)).mean()
    torch.testing.assert_close(loss, expected)
    expected.backward()
    for parameter in encoder.parameters():
        assert parameter.grad is None
    own = dict(algo.online.policy.named_parameters())
    for name, parameter in own.items():
        if not name.startswith("trunk.encoder"):
            torch.testing.assert_close(parameter.grad, policy[name].grad, rtol=1e-3, atol=1e-5)
    step = sum(p.numel() for name, p in own.items() if not name.startswith("trunk.encoder"))
    assert algo._policy_step.vector.numel() < step + 16 * len(own)


def test_noise_fades_with_exploration_and_is_clipped() -> None:
    algo, _batch = filled("drqv2")
    assert isinstance(algo, DrQV2)
    found = []
    for itr in (0, 9, 1_000):  # of 20 steps; from 1 at 100 to 0.1 at 300
        algo._itr = itr
        found.append(algo.exploration_std())
        drawn = algo.draw(np.random.default_rng(0), (5_000,), "critic")
        assert drawn.abs().max() <= 0.3 + 1e-6
    assert found == pytest.approx([1.0, 0.55, 0.1])
    assert drawn.std().item() == pytest.approx(0.1, rel=0.05)


@pytest.mark.parametrize("name", ["drqv2", "rad_sac"])
def test_every_parameter_moves_the_encoder_by_the_critics_alone(name: str) -> None:
    """Where no rectified unit is silent from the start: convolutions are awake, the rest is tanh's,
    targets too.
    """
    # Larger steps silence some.
    algo, batches = started(name, nonlinearity="tanh", learning_rate=1e-4)
    awaken(algo._front.encoder)
    before = parameters(algo)
    for itr, batch in enumerate(batches):
        algo.optimize_agent(itr, batch)
    for key, value in parameters(algo).items():
        share = (value != before[key]).double().mean().item()
        assert share > 0.99, f"{key}: {share:.1%} moved"


@pytest.mark.parametrize("name", ["drqv2", "rad_sac"])
def test_it_goes_on_from_its_state_with_augmentation(name: str) -> None:
    algo, batches = started(name)
    other, _same = started(name)
    for itr, batch in enumerate(batches[:7]):
        algo.optimize_agent(itr, batch)
    other.agent.load_state_dict(copied_state(algo.agent.state_dict()))
    other.load_state_dict(copied_state(algo.state_dict()))
    for itr, batch in enumerate(batches[7:], 7):
        assert algo.optimize_agent(itr, batch) == other.optimize_agent(itr, batch)
    expected = parameters(algo)
    assert all(torch.equal(value, expected[key]) for key, value in parameters(other).items())


def test_batches_are_augmented_on_both_sides_by_draws_of_their_own() -> None:
    algo, batches = started("rad_sac")
    for batch in batches:
        algo.replay.append(batch)
    replayed = algo.replay.sample(64)
    replayed = replayed._replace(next_observation=replayed.observation.clone())
    seen = algo._augmented.replayed(replayed)
    assert seen.observation.shape == replayed.observation.shape
    assert not torch.equal(seen.observation, replayed.observation)
    assert not torch.equal(seen.observation, seen.next_observation)
    rng = torch.Generator()
    rng.set_state(started("rad_sac")[0]._augmented.state_dict()["rng"])
    assert torch.equal(seen.observation, RandomShift()(replayed.observation, rng))
    assert torch.equal(seen.next_observation, RandomShift()(replayed.observation, rng))
    assert torch.equal(seen.return_, replayed.return_)
    plain, _batches = started("rad_sac", augmentation=None)
    same = plain._augmented.replayed(replayed)
    assert same.observation is replayed.observation
    assert same.next_observation is replayed.next_observation
    assert "augmentation" not in plain.state_dict()


@pytest.mark.parametrize("name", ["ddpg", "td3", "sac", "redq", "tqc", "sac recurrent"])
def test_vectors_are_augmented_for_every_algorithm(name: str) -> None:
    case = CASES[name]
    made = replace(case, algo={**case.algo, "augmentation": GaussianNoise(std=0.01)}).runner(400)
    made.train()
    assert made.algo._augmented.state_dict()["rng"].any()


@pytest.mark.parametrize(
    ("settings", "named"),
    [
        ({"augmentation": RandomCrop(size=20)}, "from \\[9, 24, 24\\]"),
        ({"augmentation": GaussianNoise()}, "uint8"),
        ({"critic_kwargs": {"image": "small"}}, "two kinds of encoder"),
    ],
)
def test_what_does_not_fit_is_told(settings: Any, named: str) -> None:
    with pytest.raises(RlpytError, match=named):
        started("drqv2", 0, **settings)


@pytest.mark.parametrize("cls", [SAC, TD3])
def test_there_is_nothing_to_share_without_images(cls: type[QpgAlgorithm]) -> None:
    case = CASES["sac" if cls is SAC else "td3"]
    made = replace(case, algo={"shared_encoder": True}).runner(400)
    with pytest.raises(RlpytError, match="no image to encode"):
        made.train()
