"""What one gradient step of each Q-learning algorithm touches: every parameter, the target network
at its interval and not before, the priorities of what was sampled, by importance weights.
"""

from itertools import pairwise
from typing import Any

import numpy as np
import pytest
import torch
from q_fakes import DISCOUNT, Learner
from torch import Tensor
from toy_envs import copied

from rlpyt.algos.dqn import DQN, IQN, QRDQN, R2D1, CategoricalDQN, QAlgorithm
from rlpyt.algos.optimizer import GradientStep
from rlpyt.ops.losses import weighted_mean
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.utils.errors import RlpytError

INTERVAL, UPDATES_PER_ITR = 5, 2
PRIORITIZED = Prioritized(alpha=0.9, beta=0.6)


def algorithm(cls: type[QAlgorithm], **settings: Any) -> QAlgorithm:
    """Two updates in each iteration of 40 steps, from the second one on."""
    replay: dict[str, Any] = {"size": 2_000, "n_step_return": 2, "prioritized": PRIORITIZED}
    learned, batch_size = 1, 32
    if cls is R2D1:
        replay |= {"sequence_length": 4, "burn_in": 2, "rnn_state_interval": 2}
        learned, batch_size = 4, 16
    common = {
        "discount": DISCOUNT,
        "replay": ReplayBuffer(**replay),
        "batch_size": batch_size,
        "min_steps_learn": 80,
        "replay_ratio": batch_size * learned * UPDATES_PER_ITR / 40,
        "learning_rate": 0.01,
        "target_update_interval": INTERVAL,
    }
    return cls(**{**common, **settings})


HEADS: dict[str, tuple[type[QAlgorithm], dict[str, Any]]] = {
    "dqn": (DQN, {}),
    "c51": (CategoricalDQN, {"head": "categorical", "n_atoms": 11}),
    "qr": (QRDQN, {"head": "quantile", "n_quantiles": 5}),
    "iqn": (IQN, {"head": "implicit", "n_quantiles": 5, "n_cosines": 4}),
    "r2d1-lstm": (R2D1, {"recurrent": "lstm", "rnn_size": 6}),
    "r2d1-gru": (R2D1, {"recurrent": "gru", "rnn_size": 6}),
}
BODIES: dict[str, dict[str, Any]] = {
    "plain": {},
    "dueling": {"dueling": True},
    "noisy": {"noisy": True},
    "dueling-noisy": {"dueling": True, "noisy": True},
}


def learner_of(head: str, body: str = "plain", **settings: Any) -> Learner:
    cls, model = HEADS[head]
    learner = Learner(algorithm(cls, **settings), {**model, **BODIES[body]})
    learner.collect(10)
    return learner


def updates(learner: Learner, itrs: range) -> int:
    """Learn from these batches of the log; how many updates that took."""
    done = 0
    for itr in itrs:
        samples = learner.log[itr * learner.T : (itr + 1) * learner.T]
        done += len(learner.algo.optimize_agent(itr, samples).get("loss", []))
    return done


def state_of(network: torch.nn.Module) -> dict[str, Tensor]:
    return {name: value.clone() for name, value in network.state_dict().items()}


def is_noise(name: str) -> bool:
    return name.rpartition(".")[2] in ("noise_in", "noise_out")


def same(one: dict[str, Tensor], other: dict[str, Tensor]) -> set[bool]:
    """Of all parameters, whether they are equal bit for bit."""
    return {torch.equal(value, other[name]) for name, value in one.items() if not is_noise(name)}


@pytest.mark.parametrize("body", BODIES)
@pytest.mark.parametrize("head", HEADS)
def test_every_parameter_has_a_gradient_and_moves(
    head: str, body: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(head, body)
    before = state_of(learner.agent.model)
    step = GradientStep.step
    had = dict.fromkeys(learner.parameters(), 0)

    def watched(self: GradientStep, *args: Any) -> Any:
        result = step(self, *args)
        for name, parameter in learner.parameters().items():
            assert parameter.grad is not None
            assert parameter.grad.isfinite().all()
            had[name] += bool(parameter.grad.abs().max() > 1e-9)
        return result

    monkeypatch.setattr(GradientStep, "step", watched)
    assert updates(learner, range(4)) == 3 * UPDATES_PER_ITR
    assert set(had.values()) == {3 * UPDATES_PER_ITR}, had
    for name, parameter in learner.parameters().items():
        share = (parameter.detach() != before[name]).double().mean().item()
        assert share > 0.5, f"{name}: {share:.0%} of its numbers moved"  # not all ReLUs are on
    sigmas = [name for name in had if name.endswith("_sigma")]
    assert bool(sigmas) == ("noisy" in body)


@pytest.mark.parametrize("tau", [1.0, 0.25])
@pytest.mark.parametrize(("head", "body"), [("dqn", "noisy"), ("c51", "dueling"), ("iqn", "plain")])
def test_the_target_is_the_online_network_at_every_interval_and_rests_between(
    head: str, body: str, tau: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(head, body, target_update_tau=tau)
    algo, online = learner.algo, learner.agent.model
    assert same(state_of(algo.target), state_of(online)) == {True}
    assert not any(parameter.requires_grad for parameter in algo.target.parameters())
    seen: list[tuple[dict[str, Tensor], dict[str, Tensor]]] = []  # as each update begins
    step = GradientStep.step

    def watched(self: GradientStep, *args: Any) -> Any:
        seen.append((state_of(algo.target), state_of(online)))
        return step(self, *args)

    monkeypatch.setattr(GradientStep, "step", watched)
    assert updates(learner, range(10)) == 18
    start = seen[0][0]
    for n, (target, now) in enumerate(seen):
        assert same(target, now) == {n == 0 or (n % INTERVAL == 0 and tau == 1.0)}, n
        if n and n % INTERVAL == 0:
            kept = seen[n - 1][0]
            for name, value in target.items():
                if not is_noise(name):
                    expected = kept[name] + tau * (now[name] - kept[name])
                    torch.testing.assert_close(value, expected, rtol=1e-12, atol=1e-14)
        elif n:
            assert same(target, seen[n - 1][0]) == {True}, n
    assert same(start, seen[-1][0]) == {False}


@pytest.mark.parametrize("head", HEADS)
def test_importance_weights_enter_the_loss_and_priorities_change(
    head: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner = learner_of(head, "dueling")
    algo = learner.algo
    updates(learner, range(6))
    steps: list[Any] = []
    step = GradientStep.step

    def watched(self: GradientStep, rate: float, batch: Any, noise: Any) -> Any:
        losses = algo.losses(batch, noise)
        total = weighted_mean(losses.loss, batch.is_weight)
        gradient = torch.autograd.grad((batch.is_weight * losses.loss).mean(), parameters)
        result = step(self, rate, batch, noise)
        found = [parameter.grad.clone() for parameter in parameters]
        steps.append((copied(batch), losses, total, gradient, found))
        return result

    parameters = list(learner.parameters().values())
    monkeypatch.setattr(GradientStep, "step", watched)
    set_to: list[tuple[Tensor, Tensor]] = []
    update = ReplayBuffer.update_priorities

    def noted(self: ReplayBuffer, indices: Tensor, priorities: Tensor) -> None:
        set_to.append((indices.clone(), priorities.clone()))
        update(self, indices, priorities)

    monkeypatch.setattr(ReplayBuffer, "update_priorities", noted)
    info = algo.optimize_agent(6, learner.log[60:70])
    assert len(steps) == len(set_to) == UPDATES_PER_ITR
    for (batch, losses, total, gradient, found), (indices, priorities), logged in zip(
        steps, set_to, info["loss"], strict=True
    ):
        weight = batch.is_weight
        assert weight.max() == 1.0
        assert weight.min() < 0.95
        assert logged == pytest.approx(total.item(), rel=1e-12)
        assert logged == pytest.approx((weight * losses.loss).mean().item(), rel=1e-12)
        assert abs(logged - losses.loss.mean().item()) > 1e-6
        for one, other in zip(gradient, found, strict=True):
            torch.testing.assert_close(one, other, rtol=1e-9, atol=1e-14)
        assert torch.equal(indices, batch.indices)
        torch.testing.assert_close(priorities, losses.priority, rtol=1e-12, atol=1e-14)
        assert (priorities >= 0).all()
        assert len(priorities.unique()) > len(priorities) // 4


def test_what_is_surprising_is_sampled_more() -> None:
    """The priorities that an update sets are those by which the replay then samples."""
    replay = ReplayBuffer(size=2_000, prioritized=Prioritized(alpha=1.0, beta=0.5))
    learner = learner_of("dqn", replay=replay, delta_clip=None, learning_rate=0.0, batch_size=256)
    algo = learner.algo
    updates(learner, range(8))
    for _ in range(20):  # until everything has its own
        batch = replay.sample(256)
        replay.update_priorities(batch.indices, algo.losses(batch, None).priority)
    error, count = {}, {}
    for _ in range(100):
        batch = replay.sample(256)
        priority = algo.losses(batch, None).priority
        for index, each in zip(batch.indices.tolist(), priority.tolist(), strict=True):
            error[index] = each
            count[index] = count.get(index, 0) + 1
        expected = priority.numpy() ** -0.5
        np.testing.assert_allclose(batch.is_weight, expected / expected.max(), rtol=1e-4)
    found = np.corrcoef([error[index] for index in error], [count[index] for index in error])
    assert found[0, 1] > 0.95


def test_a_noisy_model_has_new_noise_for_every_batch() -> None:
    """Before it learns, too: it would otherwise explore by none, for thousands of steps."""
    learner = learner_of("c51", "dueling-noisy", min_steps_learn=200)
    model = learner.agent.model
    seen = []
    for itr in range(8):
        assert (updates(learner, range(itr, itr + 1)) > 0) == (itr >= 4)
        noise = {name: value for name, value in state_of(model).items() if is_noise(name)}
        assert all(bool((value != 0).all()) for value in noise.values())
        seen.append(noise)
    for before, after in pairwise(seen):
        assert not any(torch.equal(before[name], after[name]) for name in after)


def test_without_priorities_all_weigh_the_same() -> None:
    replay = ReplayBuffer(size=2_000)
    learner = learner_of("qr", replay=replay)
    updates(learner, range(6))
    batch = replay.sample(16)
    assert batch.is_weight is None
    losses = learner.algo.losses(batch, None)
    assert weighted_mean(losses.loss, None) == losses.loss.mean()


@pytest.mark.parametrize(
    ("cls", "sequence_length", "message"),
    [
        (DQN, 4, r"hands out sequences, .* the loss .*DQN learns from transitions"),
        (QRDQN, 4, r"hands out sequences, .* the loss .*QRDQN learns from transitions"),
        (R2D1, None, r"hands out transitions, .* the loss .*R2D1 learns from sequences"),
    ],
)
def test_a_replay_that_the_loss_does_not_fit_is_refused(
    cls: type[QAlgorithm], sequence_length: int | None, message: str
) -> None:
    memory = ReplayBuffer(size=500, sequence_length=sequence_length)
    model: dict[str, Any] = {"recurrent": "none" if sequence_length is None else "lstm"}
    model |= {"head": "quantile"} if cls is QRDQN else {}
    with pytest.raises(RlpytError, match=message):
        Learner(cls(replay=memory), model)
