"""NGU and Agent57: losses against loops, what is recorded, who plays what, what is refused."""

import math
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from family_fakes import FamilyLearner, after_three_family_updates, agent_for, algorithm
from golden_q import SPACES
from q_fakes import DISCOUNT
from toy_envs import CPU, copied

from rlpyt.agents.arms import ArmInfo
from rlpyt.agents.base import Exploration
from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.algos.dqn import agent57_losses
from rlpyt.algos.dqn.armed_replay import cross_mixed
from rlpyt.data import AgentInputs, BatchSpec, Samples
from rlpyt.models.armed_q import Armed
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.rewards.samples import samples_of
from rlpyt.utils.buffer import leaves
from rlpyt.utils.errors import RlpytError

LAMBDA = 0.8
EPS = 1e-3


def h(x: float) -> float:
    return math.copysign(math.sqrt(abs(x) + 1) - 1, x) + EPS * x


def inverse_h(z: float) -> float:
    root = (math.sqrt(1 + 4 * EPS * (abs(z) + 1 + EPS)) - 1) / (2 * EPS)
    return math.copysign(root**2 - 1, z)


DISCOUNTS = {"ngu": [DISCOUNT, None, 0.5], "agent57": [0.9, None, 0.5]}
for _gammas in DISCOUNTS.values():  # in the middle of a logarithmic scale of 1 - γ
    _gammas[1] = 1.0 - math.sqrt((1.0 - _gammas[0]) * (1.0 - _gammas[2]))
WEIGHTS = [0.0, 0.35, 0.7]  # σ(10 (2 - 1) / 1) is not a half: set below
WEIGHTS[1] = 0.7 / (1.0 + math.exp(-10.0))


def learner_of(name: str, **settings: Any) -> FamilyLearner:
    longest = {"discount_max": 0.9} if name == "agent57" else {}
    return FamilyLearner(name, **{"retrace_lambda": LAMBDA, **longest, **settings})


@torch.no_grad()
def stepwise(model: Any, batch: Any, n: int) -> tuple[Any, Any]:
    """Q_e and Q_i along sequence n, one step at a time, [L, A] each (Q_i None where not split)."""
    state = batch.init_rnn_state.rnn[n : n + 1]
    found: list[tuple[Any, Any]] = []
    for t in range(len(batch.reset)):
        seen = batch.observation[t, n : n + 1]
        outputs, state = model(
            Armed(seen.arm, seen.observation),
            batch.prev_action[t, n : n + 1],
            batch.prev_reward[t, n : n + 1],
            batch.reset[t, n : n + 1],
            state,
        )
        intrinsic = None if outputs.intrinsic is None else outputs.intrinsic[0]
        found.append((outputs.extrinsic[0], intrinsic))
    columns = tuple(zip(*found, strict=True))
    return torch.stack(columns[0]), None if columns[1][0] is None else torch.stack(columns[1])


def loop_target(
    values: Any, greedy: Any, batch: Any, n: int, burn_in: int, rewards: Any, gamma: float
) -> list[float]:
    """Retrace along sequence n, sum by sum."""
    length, seen = len(batch.action), batch.observation[burn_in:, n]
    targets = []
    for t in range(length):
        total = inverse_h(values[t, batch.action[t, n]].item())
        weight = 1.0
        for k in range(t, length):
            if k > t:
                agrees = batch.action[k, n] == greedy[k]
                ratio = (1.0 if agrees else 0.0) / seen.probability[k].item()
                weight *= gamma * LAMBDA * min(1.0, ratio)
            following = batch.next_step[k, n] - burn_in
            bootstrap = inverse_h(values[following, greedy[following]].item())
            if batch.next_discount[k, n] == 0:
                bootstrap = 0.0
            now = inverse_h(values[k, batch.action[k, n]].item())
            total += weight * (rewards[k].item() + gamma * bootstrap - now)
            if k + 1 == length or not batch.valid[k + 1, n]:
                break
        targets.append(h(total))
    return targets


@pytest.mark.parametrize("masked", [False, True], ids=["all", "masked"])
@pytest.mark.parametrize("name", ["ngu", "agent57"])
def test_losses_against_loops(name: str, masked: bool) -> None:
    learner = learner_of(name, masked=masked)
    learner.fill(12)
    algo, agent, eta = learner.algo, learner.agent, 0.9
    batch = algo.replay.sample_sequences(24)
    found = algo.losses(batch)
    burn_in = algo.replay.burn_in
    seen_ends = set()
    for n in range(24):
        arm = int(batch.observation.arm[burn_in, n])
        beta, gamma = WEIGHTS[arm], DISCOUNTS[name][arm]
        online = stepwise(agent.model, batch, n)
        target = stepwise(algo.target, batch, n)
        scores = online[0][burn_in:].clone()
        if online[1] is not None:
            for t, a in np.ndindex(*scores.shape):
                q_e, q_i = online[0][burn_in + t, a].item(), online[1][burn_in + t, a].item()
                scores[t, a] = h(inverse_h(q_e) + beta * inverse_h(q_i))
        if masked:
            allowed = batch.observation.observation.action_mask[burn_in:, n].bool()
            scores = torch.where(allowed, scores, -1e9)
        greedy = scores.argmax(-1)
        reward, intrinsic = batch.return_[:, n], batch.observation.intrinsic[burn_in:, n]
        if name == "ngu":
            streams = [(0, reward + beta * intrinsic[: len(reward)], 1.0)]
        else:
            streams = [(0, reward, 1.0), (1, intrinsic, beta)]
        loss, error, count = 0.0, np.zeros(len(reward)), 0
        for stream, rewards, weight in streams:
            values = target[stream][burn_in:]
            targets = loop_target(values, greedy, batch, n, burn_in, rewards, gamma)
            for t in range(len(reward)):
                if batch.valid[t, n]:
                    q = online[stream][burn_in + t, batch.action[t, n]].item()
                    loss += 0.5 * (targets[t] - q) ** 2
                    error[t] += weight * abs(targets[t] - q)
        count = int(batch.valid[:, n].sum())
        priority = eta * error.max() + (1 - eta) * error.sum() / count
        assert found.loss[n].item() == pytest.approx(loss / count, rel=2e-5), n
        assert found.priority[n].item() == pytest.approx(priority, rel=2e-5), n
        seen_ends.add((count < len(reward), bool((batch.next_discount[:, n] == 0).any())))
    assert len(seen_ends) >= 3  # whole, terminated and truncated sequences


def test_agent57s_loss_has_both_streams() -> None:
    rng = np.random.default_rng(0)
    q_e, q_i = torch.tensor(rng.normal(size=(2, 3, 2, 4)))
    action = torch.tensor(rng.integers(0, 4, (3, 2)))
    y_e, y_i, weight = torch.tensor(rng.random((3, 3, 2)))
    valid = torch.tensor([[True, True], [True, True], [True, False]])
    found = agent57_losses(q_e, q_i, action, y_e, y_i, weight, valid, priority_eta=0.25)
    for n in range(2):
        loss, errors = 0.0, []
        for t in range(3 - n):
            a = action[t, n]
            d_e, d_i = (y_e[t, n] - q_e[t, n, a]).item(), (y_i[t, n] - q_i[t, n, a]).item()
            loss += 0.5 * d_e**2 + 0.5 * d_i**2
            errors.append(abs(d_e) + weight[t, n].item() * abs(d_i))
        assert found.loss[n].item() == pytest.approx(loss / (3 - n))
        expected = 0.25 * max(errors) + 0.75 * sum(errors) / (3 - n)
        assert found.priority[n].item() == pytest.approx(expected)


def test_a_share_of_the_sequences_is_learned_from_for_other_arms() -> None:
    learner = learner_of("ngu")
    learner.fill(12)
    batch = learner.algo.replay.sample_sequences(400)
    n_arms = learner.agent.n_arms

    assert cross_mixed(batch, n_arms, 0.0, np.random.default_rng(0)) is batch

    every = cross_mixed(batch, n_arms, 1.0, np.random.default_rng(0))
    assert (every.observation.arm == every.observation.arm[0]).all()  # one for a whole sequence
    counts = torch.bincount(every.observation.arm[0], minlength=n_arms)
    assert (counts - 400 / n_arms).abs().max() < 4 * math.sqrt(400 / n_arms)

    half = cross_mixed(batch, n_arms, 0.5, np.random.default_rng(0))
    other = (half.observation.arm != batch.observation.arm).any(0).double().mean().item()
    assert 0.5 * (1 - 1 / n_arms) == pytest.approx(other, abs=0.1)
    rest = half._replace(observation=half.observation._replace(arm=batch.observation.arm))
    assert all(torch.equal(a, b) for a, b in zip(leaves(rest), leaves(batch), strict=True))


@pytest.mark.parametrize("name", ["ngu", "agent57"])
def test_cross_mixture_changes_what_is_learned(name: str) -> None:
    own, mixed = (after_three_family_updates(name, {"cross_mixture": x}) for x in (0.0, 1.0))
    assert own["opt_info"]["loss"] != mixed["opt_info"]["loss"]


@pytest.mark.parametrize("name", ["ngu", "agent57"])
def test_what_is_recorded_replays_to_the_same_actions(name: str) -> None:
    """Arms stay for an episode; recorded state and arm give the action; μ is of ε-greedy."""
    learner = learner_of(name)
    log = learner.fill(12)
    info, agent = log.agent_info, learner.agent
    assert info.arm.unique().tolist() == [0, 1, 2]
    changes = info.arm[1:] != info.arm[:-1]
    assert changes.any()
    assert not (changes & ~log.reset[1:]).any()
    assert info.probability.unique().tolist() == pytest.approx([0.5 / 3, 0.5 + 0.5 / 3])
    likely = info.probability > 0.5
    for t, b in np.ndindex(*log.reward.shape):
        step, _state = agent.step(
            AgentInputs(
                log.observation.observation[t, b : b + 1],
                log.prev_action[t, b : b + 1],
                log.prev_reward[t, b : b + 1],
                torch.tensor([False]),
            ),
            info.prev_rnn_state[t, b : b + 1]._replace(arm=info.arm[t, b : b + 1]),
            None,
        )
        if not log.reset[t, b]:  # whose previous action would count here
            assert bool(step.action == log.action[t, b]) == bool(likely[t, b]), (t, b)


def test_ngu_draws_the_arm_of_an_episode_evenly_in_each_environment() -> None:
    """With an arm for each environment, the one that is evaluated would always have the same ε."""
    learner = learner_of("ngu", min_steps_learn=10**6, T=1)
    played, drawn = np.zeros((4, 3)), []
    for itr in range(300):
        chosen = learner.agent.next_arm[:4].clone()
        samples = copied(learner.sampler.obtain_samples(itr)[0])
        begins, arm = samples.reset[0], samples.agent_info.arm[0]
        assert torch.equal(arm[begins], chosen[begins])
        for b in begins.nonzero():
            played[b, arm[b]] += 1
        learner.algo.optimize_agent(itr, samples)
        drawn.append(chosen.tolist())
    learner.sampler.shutdown()
    assert (played > 3).all()
    assert (
        np.abs(np.array([np.bincount(row, minlength=3) for row in np.array(drawn).T]) - 100) < 35
    ).all()
    assert len(set(map(tuple, np.array(drawn).T))) == 4  # each environment by draws of its own


def test_agent57_plays_what_the_bandits_choose_and_evaluates_the_best() -> None:
    learner = learner_of("agent57", bandit_epsilon=0.0, min_steps_learn=10**6, T=1)
    algo, agent = learner.algo, learner.agent
    for itr in range(120):
        chosen = algo.bandits.next_arm.copy()
        samples = copied(learner.sampler.obtain_samples(itr)[0])
        begins = samples.reset[0].numpy()
        assert samples.agent_info.arm[0].numpy()[begins].tolist() == chosen[begins].tolist()
        algo.optimize_agent(itr, samples)
        assert agent.next_arm[:4].tolist() == algo.bandits.next_arm.tolist()
        assert agent.evaluation_arm.item() == algo.bandits.best(np.ones(4, bool))
    learner.sampler.shutdown()
    inputs = samples.agent_inputs[0]._replace(reset=torch.ones(4, dtype=torch.bool))
    for arm in (2, 1):
        agent.evaluation_arm.fill_(arm)
        greedy, _state = agent.step(inputs, agent.initial_state(4), None)
        noise = agent.draw_noise(np.random.default_rng(0), (4,), Exploration(0, 4, None))
        drawn, _state = agent.step(inputs, agent.initial_state(4), torch.tensor(noise))
        assert greedy.agent_info.arm.tolist() == drawn.agent_info.arm.tolist() == [arm] * 4


def test_agent57_evaluates_what_was_best_where_little_was_left_to_chance() -> None:
    """Of four environments the first two act at random in a tenth of their steps and more, and
    tell little of what an arm can do.
    """
    learner = learner_of("agent57", min_steps_learn=10**6, T=1)
    algo, agent = learner.algo, learner.agent
    learner.sampler.shutdown()
    agent.epsilon = EpsilonGreedy(final=0.4, final_min=0.001)
    algo.initialize(agent, n_itr=100, batch_spec=BatchSpec(1, 4), seed=0)
    flags = torch.ones(1, 4, dtype=torch.bool)
    for arms, returns in (
        ([0, 0, 0, 0], [1.0, 1.0, 0.3, 0.4]),
        ([1, 1, 1, 1], [0.2, 0.1, 0.5, 0.6]),
    ):
        played = torch.tensor([arms])
        algo.choose_arms(one_step_episodes(torch.tensor([returns]), flags, played))
    assert agent.evaluation_arm.item() == 1
    agent.epsilon = EpsilonGreedy(final=0.1)
    algo.initialize(agent, n_itr=100, batch_spec=BatchSpec(1, 4), seed=0)
    assert algo._quiet.all()


def one_step_episodes(reward: torch.Tensor, ends: torch.Tensor, arm: torch.Tensor) -> Samples:
    return Samples(
        observation=None,
        prev_action=None,
        prev_reward=torch.zeros_like(reward),
        reset=ends,
        action=None,
        agent_info=ArmInfo(arm, torch.ones_like(reward), None),
        reward=reward,
        terminated=ends,
        truncated=torch.zeros_like(ends),
    )


def test_the_replay_is_paid_for_novelty_once_and_in_order() -> None:
    """The rewards in the replay are those of a module of its own that was shown the batches."""
    learner, twin = learner_of("ngu"), learner_of("ngu")
    kept: list[Any] = []
    append = learner.algo.replay.append
    learner.algo.replay.append = lambda samples, **_none: (  # type: ignore[method-assign]
        kept.append(copied(samples)),
        append(samples),
    )
    for itr in range(4):
        samples = copied(learner.sampler.obtain_samples(itr)[0])
        learner.algo.optimize_agent(itr, samples)
        expected = twin.algo.reward.compute(samples_of(samples))
        twin.algo.reward.update(samples_of(samples))
        assert torch.equal(kept[-1].observation.intrinsic, expected)
        assert expected.std() > 0
    learner.sampler.shutdown()
    twin.sampler.shutdown()


@pytest.mark.parametrize(
    ("change", "match"),
    [
        ({"replay": ReplayBuffer(size=2_000)}, "sequence_length=None"),
        ({"replay": ReplayBuffer(size=2_000, sequence_length=4, n_step_return=3)}, "n_step"),
        ({"retrace_lambda": 1.5}, "retrace_lambda=1.5"),
        ({"bandit_window": 0}, "bandit_window=0"),
        ({"discount": 1.0}, "algo.discount=1.0"),  # an endless horizon has no logarithm
        ({"discount_max": 1.0}, "algo.discount_max=1.0"),
        ({"discount_min": 0.8}, "algo.discount_min=0.8, algo.discount=0.75"),
        ({"discount_max": 0.7}, "algo.discount=0.75, algo.discount_max=0.7"),
        ({"reward_kwargs": {"max_scale": 0.0}}, r"max_scale=0.0 \(NGU\)"),
    ],
)
def test_settings_that_do_not_fit(change: dict[str, Any], match: str) -> None:
    with pytest.raises(RlpytError, match=match):
        learner_of("agent57", **change)


def test_an_ngu_looks_ahead_no_farther_in_later_arms() -> None:
    with pytest.raises(RlpytError, match=r"algo.discount_min=0.8, algo.discount=0.75"):
        learner_of("ngu", discount_min=0.8)


@pytest.mark.parametrize("name", ["ngu", "agent57"])
@pytest.mark.parametrize("value", [-1.0, float("inf"), float("nan")])
@pytest.mark.parametrize("setting", ["intrinsic_weight", "value_scale_eps"])
def test_an_agents_numbers_are_finite_and_not_negative(
    name: str, setting: str, value: float
) -> None:
    agent = replace(agent_for(name), **{setting: value})
    with pytest.raises(RlpytError, match=rf"agent\.{setting}={value}"):
        agent.initialize(SPACES, seed=0, device=CPU)


def test_agents_that_do_not_fit() -> None:
    learner = learner_of("ngu")
    spaces, spec = learner.sampler.env_spaces(), BatchSpec(10, 4)
    learner.sampler.shutdown()
    for agent, match in ((DqnAgent(), "DqnAgent"), (agent_for("agent57"), "split=True")):
        agent.initialize(spaces, seed=0, device=CPU)
        with pytest.raises(RlpytError, match=match):
            algorithm("ngu").initialize(agent, n_itr=1, batch_spec=spec, seed=0)
    few = replace(agent_for("ngu"), max_envs=2)
    few.initialize(spaces, seed=0, device=CPU)
    with pytest.raises(RlpytError, match=r"4 environments, agent.max_envs=2"):
        algorithm("ngu").initialize(few, n_itr=1, batch_spec=spec, seed=0)
    with pytest.raises(RlpytError, match="max_envs=2"):
        few.draw_noise(np.random.default_rng(0), (1,), Exploration(2, 4, 0))
    with pytest.raises(RlpytError, match=r"agent\.split"):
        replace(agent_for("ngu"), model_kwargs={"split": True}).initialize(
            spaces, seed=0, device=CPU
        )
