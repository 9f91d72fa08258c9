"""Updates of DQN and of QR-DQN are stable-baselines3's, from the same weights and batches.

Our replay samples the batches; SB3's own ``train`` learns from them, in float64 both. Every
parameter must agree after each update, and the target network after each of its own.
"""

from typing import Any

import numpy as np
import pytest
import torch
from q_fakes import DISCOUNT, N_ACTIONS, Learner, end_of
from torch import Tensor
from toy_envs import copied

from rlpyt.algos.dqn import DQN, QRDQN, QAlgorithm
from rlpyt.algos.optimizer import GradientStep
from rlpyt.data import OptInfo
from rlpyt.replays.batches import ReplaySamples
from rlpyt.replays.replay import ReplayBuffer

reason = 'the oracle is not here: pip install "rlpyt[oracles]"'
sb3 = pytest.importorskip("stable_baselines3", reason=reason)
contrib = pytest.importorskip("sb3_contrib", reason=reason)

BATCH, N_UPDATES, TARGET_INTERVAL, N_ITR = 64, 7, 3, 10
N_QUANTILES = 8  # whose midpoints are exact in float32, in which theirs are
SIZES = (8, 8)


def settings(n_step: int, tau: float, clip: float) -> dict[str, Any]:
    return {
        "discount": DISCOUNT,
        "replay": ReplayBuffer(size=1_000, n_step_return=n_step),
        "batch_size": BATCH,
        "min_steps_learn": 40 * N_ITR,
        "replay_ratio": BATCH * N_UPDATES / 40,  # all in the last iteration
        "learning_rate": 0.01,
        "optim_kwargs": {"eps": 1e-3},
        "target_update_interval": TARGET_INTERVAL,
        "target_update_tau": tau,
        "clip_grad_norm": clip,
    }


def sb3_model(cls: Any, learner: Learner, **policy_kwargs: Any) -> Any:
    """Theirs, with our settings and our weights."""
    algo = learner.algo
    model = cls(
        "MultiInputPolicy",
        sb3.common.vec_env.DummyVecEnv([learner.sampler.env.id]),
        learning_rate=algo.learning_rate,
        gamma=DISCOUNT,
        max_grad_norm=algo.clip_grad_norm,
        device="cpu",
        policy_kwargs={
            "net_arch": list(SIZES),
            "activation_fn": torch.nn.ReLU,
            "optimizer_class": torch.optim.Adam,
            "optimizer_kwargs": algo.optim_kwargs,
            **policy_kwargs,
        },
    )
    model.set_logger(sb3.common.logger.configure(None, []))
    model.policy.double()
    for theirs, ours in networks(model, learner):
        weights = in_their_order(ours, learner.algo)
        for parameter, weight in zip(theirs.parameters(), weights, strict=True):
            parameter.data = weight.clone()
    return model


def networks(model: Any, learner: Learner) -> list[tuple[Any, Any]]:
    """Online and target, theirs and ours."""
    kind = "q_net" if isinstance(learner.algo, DQN) else "quantile_net"
    theirs = (getattr(model, kind), getattr(model, f"{kind}_target"))
    return list(zip(theirs, (learner.agent.model, learner.algo.target), strict=True))


def in_their_order(network: Any, algo: QAlgorithm) -> list[Tensor]:
    """Our parameters; a quantile head's rows are action by action, theirs quantile by quantile."""
    parameters = [parameter.detach() for parameter in network.parameters()]
    if isinstance(algo, QRDQN):
        rows = torch.arange(N_ACTIONS * N_QUANTILES).view(N_ACTIONS, N_QUANTILES).T.flatten()
        parameters[-2:] = [parameter[rows] for parameter in parameters[-2:]]
    return parameters


def as_theirs(batch: ReplaySamples) -> Any:
    """The batch in float64; what they call done is that nothing follows."""
    done = batch.next_discount == 0
    return sb3.common.buffers.DictReplayBufferSamples(
        observations={"vector": batch.observation.vector.double()},
        actions=batch.action.unsqueeze(-1),
        next_observations={"vector": batch.next_observation.vector.double()},
        dones=done.double().unsqueeze(-1),
        rewards=batch.return_.double().unsqueeze(-1),
        discounts=torch.where(done, 0.5, batch.next_discount.double()).unsqueeze(-1),
    )


class Replayed:
    """In place of SB3's replay: hands out these batches."""

    def __init__(self, batches: list[ReplaySamples]) -> None:
        self.batches = iter([as_theirs(batch) for batch in batches])

    def sample(self, batch_size: int, env: Any = None) -> Any:
        return next(self.batches)


def recorded_updates(
    learner: Learner, monkeypatch: pytest.MonkeyPatch
) -> tuple[list[ReplaySamples], list[list[Tensor]], OptInfo]:
    """The batches of our updates, the parameters after each, and what is reported."""
    batches: list[ReplaySamples] = []
    snapshots: list[list[Tensor]] = []
    sample, step = ReplayBuffer.sample, GradientStep.step

    def recorded_sample(self: ReplayBuffer, batch_size: int) -> ReplaySamples:
        batch = sample(self, batch_size)
        batches.append(copied(batch))
        return batch

    def recorded_step(self: GradientStep, *args: Any) -> Any:
        report = step(self, *args)
        snapshots.append([p.clone() for p in in_their_order(learner.agent.model, learner.algo)])
        return report

    with monkeypatch.context() as patch:
        patch.setattr(ReplayBuffer, "sample", recorded_sample)
        patch.setattr(GradientStep, "step", recorded_step)
        for itr in range(N_ITR):
            samples = learner.log[itr * learner.T : (itr + 1) * learner.T]
            info = learner.algo.optimize_agent(itr, samples)
    return batches, snapshots, info


@pytest.mark.parametrize(("n_step", "tau", "clip"), [(1, 1.0, 1e9), (1, 0.25, 0.1), (3, 1.0, 0.1)])
@pytest.mark.parametrize("kind", ["dqn", "qr"])
def test_updates_are_those_of_sb3(
    kind: str, n_step: int, tau: float, clip: float, monkeypatch: pytest.MonkeyPatch
) -> None:
    learner, model = pair(kind, settings(n_step, tau, clip))
    batches, snapshots, info = recorded_updates(learner, monkeypatch)
    assert len(batches) == len(snapshots) == N_UPDATES
    assert (np.median(info["gradNorm"]) > clip) == (clip < 1.0)
    for batch in batches:
        ends = {end_of(learner.log, place) for place in learner.places(batch.observation)}
        assert ends == {"terminated", "truncated", "goes on"}
    # Theirs would cast observations to float32.
    monkeypatch.setattr(sb3.common.policies, "preprocess_obs", lambda obs, *_, **__: obs)
    model.replay_buffer = Replayed(batches)
    (theirs, _), (their_target, our_target) = networks(model, learner)
    for update, snapshot in enumerate(snapshots, 1):
        model.train(gradient_steps=1, batch_size=BATCH)
        assert_same(snapshot, theirs)
        if update % TARGET_INTERVAL == 0:
            sb3.common.utils.polyak_update(theirs.parameters(), their_target.parameters(), tau)
    assert_same(in_their_order(our_target, learner.algo), their_target)
    assert not torch.equal(snapshots[-1][0], snapshots[-2][0])


def pair(kind: str, options: dict[str, Any]) -> tuple[Learner, Any]:
    """Ours and theirs, with the same weights; ours has collected what it will learn from."""
    if kind == "dqn":
        learner = Learner(DQN(**options), {"hidden_sizes": SIZES})
        model = sb3_model(sb3.DQN, learner)
    else:
        heads = {"head": "quantile", "n_quantiles": N_QUANTILES}
        learner = Learner(QRDQN(**options), {"hidden_sizes": SIZES, **heads})
        model = sb3_model(contrib.QRDQN, learner, n_quantiles=N_QUANTILES)
    learner.collect(N_ITR)
    return learner, model


def assert_same(found: list[Tensor], network: Any) -> None:
    for ours, theirs in zip(found, network.parameters(), strict=True):
        torch.testing.assert_close(ours, theirs.detach(), rtol=1e-10, atol=1e-12)
