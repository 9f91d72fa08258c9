"""Updates of SAC and TD3 are stable-baselines3's, from the same weights, batches and noise.

Plain gradient descent, so that a difference of gradients is one of parameters. SB3's critics' loss
in TD3 has no ½: their learning rate is half of ours. Their log-probability has 1e-6 within its
logarithm, ours is exact: what depends on it agrees less closely.
"""

from types import SimpleNamespace
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn
from toy_envs import CPU, copied

from rlpyt.agents.qpg import QpgAgent
from rlpyt.agents.qpg_exploration import QpgExploration
from rlpyt.algos.qpg import SAC, TD3, TQC, QpgAlgorithm, Temperature
from rlpyt.data import Samples
from rlpyt.replays.batches import ReplaySamples
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.samplers.serial import SerialSampler

reason = 'the oracle is not here: pip install "rlpyt[oracles]"'
sb3 = pytest.importorskip("stable_baselines3", reason=reason)

T, B, BATCH, N_UPDATES, RATE, TAU, DISCOUNT = 50, 4, 32, 6, 0.02, 0.1, 0.9
SIZES = (8, 8)


class Ends(gymnasium.Env):
    """Random observations, actions within ±2, ends of both kinds by chance."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)
    action_space = spaces.Box(-2.0, 2.0, (2,), np.float32)

    def _observe(self) -> Any:
        return self.np_random.standard_normal(3, dtype=np.float32)

    def reset(self, *, seed: int | None = None, options: Any = None) -> Any:
        super().reset(seed=seed)
        return self._observe(), {}

    def step(self, action: Any) -> Any:
        ended, cut = self.np_random.random(2) < 0.1
        return self._observe(), float(action.sum()), bool(ended), bool(cut), {}


def learner(
    cls: type[QpgAlgorithm],
    *,
    critic_kwargs: Any = None,
    **settings: Any,
) -> tuple[QpgAlgorithm, Samples]:
    """Initialised, and one batch to learn from."""
    algo = cls(
        discount=DISCOUNT,
        replay=ReplayBuffer(size=1_000),
        batch_size=BATCH,
        min_steps_learn=T * B,
        replay_ratio=BATCH * N_UPDATES / (T * B),
        learning_rate=RATE,
        critic_kwargs=critic_kwargs or {"hidden_sizes": SIZES},
        target_update_tau=TAU,
        OptimCls=torch.optim.SGD,
        **settings,
    )
    agent = QpgAgent(
        policy=cls.policy,
        model_kwargs={"hidden_sizes": SIZES},
        exploration=QpgExploration(random_steps=T * B),
    )
    sampler = SerialSampler(env=Ends, batch_T=T, batch_B=B)
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    sampler.initialize(agent, seed=0, discount=DISCOUNT)
    algo.initialize(agent, n_itr=1, batch_spec=sampler.batch_spec, seed=0)
    samples: Samples = copied(sampler.obtain_samples(0)[0])
    sampler.shutdown()
    return algo, samples


def learn(
    algo: QpgAlgorithm, samples: Samples, noises: list[Tensor], monkeypatch: pytest.MonkeyPatch
) -> list[ReplaySamples]:
    """Our updates with this noise; the batches they were made from."""
    batches: list[ReplaySamples] = []
    sample = ReplayBuffer.sample

    def noted(self: ReplayBuffer, n: int) -> ReplaySamples:
        batches.append(copied(sample(self, n)))
        return batches[-1]

    monkeypatch.setattr(ReplayBuffer, "sample", noted)
    monkeypatch.setattr(QpgAlgorithm, "normal", lambda self, rng, shape: noises.pop(0))
    info = algo.optimize_agent(0, samples)
    assert len(info["qLoss"]) == len(batches) == N_UPDATES
    return batches


def linears(module: nn.Module) -> list[nn.Linear]:
    return [layer for layer in module.modules() if isinstance(layer, nn.Linear)]


def copy_policy(theirs: list[nn.Linear], policy: nn.Module) -> None:
    """``theirs``: the hidden layers, and the parts of the output one after the other."""
    tensors = list(policy.parameters())
    rows = [layer.out_features for layer in theirs[2:]]
    weights = [tensors[0], tensors[2], *tensors[4].split(rows)]
    biases = [tensors[1], tensors[3], *tensors[5].split(rows)]
    for layer, weight, bias in zip(theirs, weights, biases, strict=True):
        layer.weight.data.copy_(weight)
        layer.bias.data.copy_(bias)


def assert_policy(theirs: list[nn.Linear], policy: nn.Module, atol: float = 1e-5) -> None:
    tensors = list(policy.parameters())
    weight = torch.cat([layer.weight for layer in theirs[2:]])
    bias = torch.cat([layer.bias for layer in theirs[2:]])
    expected = [
        theirs[0].weight, theirs[0].bias, theirs[1].weight, theirs[1].bias, weight, bias
    ]  # fmt: skip
    for ours, other in zip(tensors, expected, strict=True):
        torch.testing.assert_close(ours, other, rtol=1e-4, atol=atol)


def critic_pairs(theirs: nn.Module, ours: nn.Module) -> list[tuple[nn.Parameter, Tensor]]:
    """Each of their parameters, and where it is in ours."""
    tensors, layers = list(ours.parameters()), linears(theirs)
    pairs: list[tuple[nn.Parameter, Tensor]] = []
    for n, layer in enumerate(layers):
        critic, depth = divmod(n, 3)
        pairs.append((layer.weight, tensors[2 * depth][critic].T))
        pairs.append((layer.bias, tensors[2 * depth + 1][critic, 0]))
    return pairs


def assert_critic(theirs: nn.Module, ours: nn.Module, atol: float = 1e-5) -> None:
    for other, found in critic_pairs(theirs, ours):
        torch.testing.assert_close(found, other, rtol=1e-4, atol=atol)


def their_model(cls: Any, algo: QpgAlgorithm, *, more: Any = None, **settings: Any) -> Any:
    """With our settings and our critics."""
    model = cls(
        "MlpPolicy",
        sb3.common.vec_env.DummyVecEnv([Ends]),
        learning_rate=RATE,
        gamma=DISCOUNT,
        device="cpu",
        policy_kwargs={
            **(more or {}),
            "net_arch": list(SIZES),
            "activation_fn": nn.ReLU,
            "optimizer_class": torch.optim.SGD,
        },
        tau=TAU,
        **settings,
    )
    model.set_logger(sb3.common.logger.Logger(None, []))
    for theirs in (model.critic, model.critic_target):
        for other, ours in critic_pairs(theirs, algo.online.critic):
            other.data.copy_(ours)
    return model


def give(model: Any, batches: list[ReplaySamples]) -> None:
    """Let their replay hand out our batches; actions are theirs in units of the bounds."""
    rest = list(batches)

    def sample(_n: int, env: Any = None) -> Any:
        batch = rest.pop(0)
        return SimpleNamespace(
            observations=batch.observation,
            actions=batch.action / 2.0,
            next_observations=batch.next_observation,
            dones=(batch.next_discount == 0).float().unsqueeze(1),
            rewards=batch.return_.unsqueeze(1),
            discounts=None,
        )

    model.replay_buffer.sample = sample


def drawn_policy_first() -> list[Tensor]:
    """The noise that they draw, for the policy first, in our order."""
    ours: list[Tensor] = []
    for _ in range(N_UPDATES):
        of_policy, of_next = (torch.normal(torch.zeros(BATCH, 2), 1.0) for _ in range(2))
        ours += [of_next, of_policy]
    return ours


def test_sac(monkeypatch: pytest.MonkeyPatch) -> None:
    algo, samples = learner(SAC, temperature=Temperature(initial=0.5))
    model = their_model(sb3.SAC, algo, ent_coef="auto_0.5")
    model.ent_coef_optimizer = torch.optim.SGD([model.log_ent_coef], lr=RATE)
    policy = algo.agent.model
    copy_policy(linears(model.actor), policy)
    torch.manual_seed(3)
    batches = learn(algo, samples, drawn_policy_first(), monkeypatch)
    assert any(bool((batch.next_discount == 0).any()) for batch in batches)
    give(model, batches)
    torch.manual_seed(3)
    model.train(N_UPDATES, BATCH)
    assert_critic(model.critic, algo.online.critic, 2e-4)
    assert_critic(model.critic_target, algo.target.critic, 2e-4)
    assert_policy(linears(model.actor), policy, 2e-4)
    alpha = algo.state_dict()["temperature"]["log_alpha"]
    assert alpha.item() == pytest.approx(model.log_ent_coef.item(), abs=1e-4)
    assert abs(alpha.item() - np.log(0.5)) > 0.05  # it moved


def test_tqc(monkeypatch: pytest.MonkeyPatch) -> None:
    """Theirs takes the mean over the critics where ours, as the paper, takes the sum."""
    critic = {"hidden_sizes": SIZES, "n_outputs": 7}
    algo, samples = learner(TQC, n_critics=3, critic_kwargs=critic)
    contrib = pytest.importorskip("sb3_contrib", reason=reason)
    more = {"n_critics": 3, "n_quantiles": 7}
    model = their_model(contrib.TQC, algo, more=more, top_quantiles_to_drop_per_net=2)
    model.ent_coef_optimizer = torch.optim.SGD([model.log_ent_coef], lr=RATE)
    policy = algo.agent.model
    copy_policy(linears(model.actor), policy)

    def rates(_optimizers: Any) -> None:
        model.critic.optimizer.param_groups[0]["lr"] = RATE * 3

    model._update_learning_rate = rates
    torch.manual_seed(3)
    batches = learn(algo, samples, drawn_policy_first(), monkeypatch)
    give(model, batches)
    torch.manual_seed(3)
    model.train(N_UPDATES, BATCH)
    assert_critic(model.critic, algo.online.critic, 2e-4)
    assert_critic(model.critic_target, algo.target.critic, 2e-4)
    assert_policy(linears(model.actor), policy, 2e-4)


def test_td3(monkeypatch: pytest.MonkeyPatch) -> None:
    algo, samples = learner(TD3)
    assert isinstance(algo, TD3)
    model = their_model(sb3.TD3, algo)
    policy = algo.agent.model
    for actor in (model.actor, model.actor_target):
        copy_policy(linears(actor), policy)

    def rates(_optimizers: Any) -> None:
        model.actor.optimizer.param_groups[0]["lr"] = RATE
        model.critic.optimizer.param_groups[0]["lr"] = RATE / 2

    model._update_learning_rate = rates
    torch.manual_seed(3)
    ours = [torch.empty(BATCH, 2).normal_(0, 0.2) / 0.2 for _ in range(N_UPDATES)]
    batches = learn(algo, samples, ours, monkeypatch)
    give(model, batches)
    torch.manual_seed(3)
    model.train(N_UPDATES, BATCH)
    assert_critic(model.critic, algo.online.critic)
    assert_critic(model.critic_target, algo.target.critic)
    assert_policy(linears(model.actor), policy)
    assert_policy(linears(model.actor_target), algo.target.policy)
