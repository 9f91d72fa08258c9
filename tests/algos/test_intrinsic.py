"""Intrinsic rewards reach what is learned: advantages on policy, targets off policy."""

import copy
from dataclasses import replace
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor
from toy_envs import CPU, copied, make, parameters, walk

from rlpyt.agents import DqnAgent, QpgAgent
from rlpyt.algos import (
    A2C,
    APPO,
    DQN,
    IMPALA,
    PPO,
    PQN,
    R2D1,
    SAC,
    DrAC,
    IntrinsicRewards,
    RlAlgorithm,
)
from rlpyt.algos.intrinsic import _transitions
from rlpyt.augment import GaussianNoise
from rlpyt.replays import ReplayBuffer
from rlpyt.rewards import (
    E3B,
    ICM,
    NGU,
    RE3,
    REVD,
    RISE,
    RND,
    Fabric,
    IntrinsicReward,
    RewardSamples,
    RewardScale,
    RewardWeight,
)
from rlpyt.samplers import SerialSampler
from rlpyt.utils.errors import RlpytError

SMALL = {"hidden_sizes": [8], "feature_size": 4}


class NextSum(IntrinsicReward):
    """What the next observation sums up to: known in every state, and nothing to learn."""

    @classmethod
    def from_spaces(
        cls, observation_space: Any, action_space: Any, *, n_envs: int, seed: int
    ) -> "NextSum":
        found = cls(observation_statistics=None, reward_scale=RewardScale("none"))
        found.seen: list[RewardSamples] = []
        return found

    def novelty(self, samples: RewardSamples) -> Tensor:
        return samples.next_observation.sum(-1)

    def learn(self, samples: RewardSamples) -> dict[str, float]:
        self.seen.append(copied(samples))
        return {"loss": 1.0}


class EpisodicSum(NextSum):
    episodic = True


def next_sums(samples: Any) -> Tensor:
    """By a loop over every step."""
    T, B = samples.reward.shape
    found = torch.zeros(T, B)
    for t in range(T):
        for b in range(B):
            ended = samples.done[t, b] or t == T - 1
            where = samples.final_observation[t, b] if ended else samples.observation[t + 1, b]
            found[t, b] = where.sum()
    return found


def start(algo: Any, *, T: int = 6, B: int = 3, **model: Any) -> tuple[Any, Any]:
    agent, sampler = make(algo, walk(), T=T, B=B, **model)
    return agent, sampler


def batch_of(algo: Any, sampler: Any, itr: int = 0) -> tuple[Any, Any]:
    samples, _trajs = sampler.obtain_samples(itr)
    return samples, algo.inputs(samples, algo.rewards(itr, samples))[0]


@pytest.mark.parametrize("AlgoCls", [PPO, A2C])
def test_advantages_are_those_of_the_sum(AlgoCls: type[Any]):
    weighted = IntrinsicRewards(
        RewardCls=NextSum, weight=RewardWeight(beta=0.5), extrinsic_weight=2.0
    )
    plain, other = AlgoCls(), AlgoCls(intrinsic=weighted)
    _agent, sampler = start(plain)
    samples, without = batch_of(plain, sampler)
    expected = plain.inputs(samples, 2.0 * samples.reward + 0.5 * next_sums(samples))[0]
    _agent, sampler = start(other)
    _samples, found = batch_of(other, sampler)
    torch.testing.assert_close(found.advantage, expected.advantage)
    torch.testing.assert_close(found.return_, expected.return_)
    assert not torch.allclose(found.advantage, without.advantage)


@pytest.mark.parametrize("AlgoCls", [PPO, A2C])
@pytest.mark.parametrize("recurrent", ["none", "lstm"])
def test_the_second_value_is_of_returns_through_the_ends_of_episodes(
    AlgoCls: type[Any], recurrent: str
):
    discount, gae_lambda, beta, w = 0.8, 0.7, 0.5, 2.0
    intrinsic = IntrinsicRewards(
        RewardCls=NextSum,
        weight=RewardWeight(beta=beta),
        extrinsic_weight=w,
        discount=discount,
    )
    algo = AlgoCls(intrinsic=intrinsic, gae_lambda=gae_lambda)
    agent, sampler = start(algo, B=4, intrinsic_value=True, recurrent=recurrent)
    sampler.obtain_samples(0)
    samples, batch = batch_of(algo, sampler, itr=1)
    assert samples.done.any()
    T, B = samples.reward.shape
    value = torch.zeros(T + 1, B)
    state = agent.first_state(samples.agent_info)
    for t in range(T + 1):
        here = [leaf[t] for leaf in samples.agent_inputs] if t < T else None
        if here is None:
            here = [samples.final_observation[-1], samples.action[-1], samples.reward[-1]]
            here.append(torch.zeros(B, dtype=torch.bool))
        with torch.no_grad():
            outputs, state = agent.model(*here, state)
        value[t] = outputs.intrinsic_value
    reward, advantage = beta * next_sums(samples), torch.zeros(T + 1, B)
    for t in reversed(range(T)):
        delta = reward[t] + discount * value[t + 1] - value[t]
        advantage[t] = delta + discount * gae_lambda * advantage[t + 1]
    alone = AlgoCls(gae_lambda=gae_lambda)
    start(alone, B=4, recurrent=recurrent)
    alone.agent = agent
    extrinsic = alone.inputs(samples, samples.reward)[0]
    torch.testing.assert_close(batch.advantage, w * extrinsic.advantage + advantage[:-1])
    torch.testing.assert_close(batch.intrinsic_return, advantage[:-1] + value[:-1])
    torch.testing.assert_close(batch.return_, extrinsic.return_)  # of its own reward alone


@pytest.mark.parametrize("AlgoCls", [PPO, A2C])
def test_the_second_value_learns_its_returns(AlgoCls: type[Any]):
    """Its loss is E[½ (R - V)²], weighted as the other's."""
    intrinsic = IntrinsicRewards(RewardCls=NextSum, discount=0.9)
    algo = AlgoCls(intrinsic=intrinsic, value_loss_coeff=0.3)
    agent, sampler = start(algo, intrinsic_value=True)
    _samples, batch = batch_of(algo, sampler)
    clip = (torch.tensor(0.2),) if AlgoCls is PPO else ()
    with_it, _parts = algo._loss(batch, None, *clip)
    without, _parts = algo._loss(batch._replace(intrinsic_return=None), None, *clip)
    value = agent.evaluate(batch.agent_inputs, None).intrinsic_value
    expected = 0.3 * 0.5 * (batch.intrinsic_return - value).square().mean()
    torch.testing.assert_close(with_it - without, expected)


@pytest.mark.parametrize("AlgoCls", [PPO, A2C])
@pytest.mark.parametrize("shared", [False, True])
def test_every_parameter_moves_with_two_values(AlgoCls: type[Any], shared: bool):
    algo = AlgoCls(intrinsic=IntrinsicRewards(reward_kwargs=SMALL, discount=0.9))
    agent, sampler = start(algo, intrinsic_value=True, shared_trunk=shared)
    before = parameters(agent)
    for itr in range(3):
        algo.optimize_agent(itr, sampler.obtain_samples(itr)[0])
    for name, parameter in parameters(agent).items():
        assert not torch.equal(parameter, before[name]), name


def test_the_weight_is_of_environment_steps():
    weight = RewardWeight(beta=1.0, schedule="linear", n_steps=100)
    algo = PPO(intrinsic=IntrinsicRewards(RewardCls=NextSum, weight=weight))
    _agent, sampler = start(algo)  # 18 steps an iteration
    samples, _trajs = sampler.obtain_samples(0)
    for itr, share in ((0, 1.0), (2, 0.64), (6, 0.0)):
        expected = samples.reward + share * next_sums(samples)
        torch.testing.assert_close(algo.rewards(itr, samples), expected)


def q_learner(
    kind: str,
    intrinsic: IntrinsicRewards,
    min_steps_learn: int = 0,
    env_limit: float | None = None,
    **replay: Any,
) -> tuple[Any, Any, Any]:
    """Algorithm, agent and sampler, initialised; rewards are at most ``env_limit``."""
    if kind == "r2d1":
        replay = {"sequence_length": 3, **replay}
    shared = {"intrinsic": intrinsic, "batch_size": 8, "min_steps_learn": min_steps_learn}
    shared["replay"] = ReplayBuffer(size=400, **replay)
    model: dict[str, Any] = {"hidden_sizes": [8]}
    algo: RlAlgorithm
    if kind == "sac":
        algo = SAC(replay_ratio=8.0, critic_kwargs={"hidden_sizes": [8]}, **shared)
        agent: Any = QpgAgent(policy="gaussian", model_kwargs=model)
    elif kind == "r2d1":
        algo = R2D1(replay_ratio=8.0, **shared)
        agent = DqnAgent(model_kwargs={**model, "recurrent": "lstm", "rnn_size": 4})
    else:
        algo = DQN(replay_ratio=8.0, **shared)
        agent = DqnAgent(model_kwargs=model)
    env = replace(walk("box" if kind == "sac" else "discrete"), clip_reward=env_limit)
    sampler = SerialSampler(env=env, batch_T=4, batch_B=2)
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    algo.initialize(agent, n_itr=10, batch_spec=sampler.batch_spec, seed=0)
    sampler.initialize(agent, seed=0, discount=0.99)
    return algo, agent, sampler


@pytest.mark.parametrize("kind", ["dqn", "sac"])
def test_targets_are_those_of_the_sum_when_they_are_sampled(kind: str):
    intrinsic = IntrinsicRewards(
        RewardCls=NextSum, weight=RewardWeight(beta=0.5), extrinsic_weight=2.0
    )
    algo, _agent, sampler = q_learner(kind, intrinsic)
    plain, _agent, _sampler = q_learner(kind, None)  # type: ignore[arg-type]
    n_terminated = 0
    for itr in range(6):
        samples = sampler.obtain_samples(itr)[0]
        both = [part._loop.batches(itr, samples) for part in (algo, plain)]
        for found, without in zip(*both, strict=True):
            assert torch.equal(found.indices, without.indices)
            going_on = without.next_discount > 0
            n_terminated += int((~going_on).sum())
            bonus = 0.5 * without.next_observation.sum(-1) * going_on
            torch.testing.assert_close(found.return_, 2.0 * without.return_ + bonus)
            assert going_on.any()
    assert n_terminated  # without a bonus, for a replay has no observation after them
    assert intrinsic.module.seen  # and it has learned from what was sampled


@pytest.mark.parametrize(
    ("kind", "RewardCls", "replay"),
    [
        ("dqn", NextSum, {"n_step_return": 3}),
        ("dqn", EpisodicSum, {}),
        ("sac", EpisodicSum, {}),
        ("r2d1", NextSum, {"sequence_length": 3, "burn_in": 1}),
    ],
)
def test_where_a_transition_does_not_tell_the_replay_keeps_the_sum(
    kind: str, RewardCls: Any, replay: dict[str, Any]
):
    """Beside the environment's reward, which is what networks are told of the step before, here as
    when they act.
    """
    intrinsic = IntrinsicRewards(
        RewardCls=RewardCls, weight=RewardWeight(beta=0.5), extrinsic_weight=0.0
    )
    algo, _agent, sampler = q_learner(kind, intrinsic, min_steps_learn=16, **replay)
    plain, _agent, _sampler = q_learner(kind, None, min_steps_learn=16, **replay)  # type: ignore[arg-type]
    n_compared = 0
    for itr in range(6):
        samples = sampler.obtain_samples(itr)[0]
        batches = [part._loop.batches(itr, samples) for part in (algo, plain)]
        paid = 0.5 * next_sums(samples)
        for found, without in zip(*batches, strict=True):
            n_compared += 1
            assert torch.equal(found.prev_reward, without.prev_reward)
            if kind != "r2d1":
                assert torch.equal(found.next_prev_reward, without.next_prev_reward)
            assert not torch.equal(found.return_, without.return_)
        newest = algo.replay._contents.ring
        at = (np.arange(newest.end - len(paid), newest.end)) % newest.shape.rows
        kept = newest.flat_learned_reward.reshape(newest.reward.shape)[at]
        np.testing.assert_allclose(kept, paid.numpy(), rtol=1e-6)
    assert n_compared > 5


def test_one_step_returns_are_of_the_sum_that_was_kept():
    weight = RewardWeight(beta=0.5)
    intrinsic = IntrinsicRewards(RewardCls=EpisodicSum, weight=weight, extrinsic_weight=2.0)
    algo, _agent, sampler = q_learner("dqn", intrinsic)
    for itr in range(6):
        for batch in algo._loop.batches(itr, sampler.obtain_samples(itr)[0]):
            going_on = batch.next_discount > 0
            expected = 2.0 * batch.next_prev_reward + 0.5 * batch.next_observation.sum(-1)
            torch.testing.assert_close(batch.return_[going_on], expected[going_on])


def test_returns_of_sequences_are_of_the_sum_that_was_kept():
    intrinsic = IntrinsicRewards(RewardCls=NextSum, extrinsic_weight=0.0)
    algo, _agent, sampler = q_learner("r2d1", intrinsic, sequence_length=3)
    compared = 0
    for itr in range(6):
        for batch in algo._loop.batches(itr, sampler.obtain_samples(itr)[0]):
            inside = batch.valid & (batch.next_discount > 0)
            rows = batch.next_step, torch.arange(batch.valid.shape[1])
            expected = batch.observation[rows].sum(-1)
            torch.testing.assert_close(batch.return_[inside], expected[inside])
            compared += int(inside.sum())
    assert compared > 20


@pytest.mark.parametrize("RewardCls", [RE3, RISE])
def test_a_transition_that_is_drawn_again_does_not_find_itself(RewardCls: Any):
    """Else all transitions of a replay would soon be at no distance from the nearest, and worth
    nothing.
    """
    sizes = {"feature_size": 4, "hidden_sizes": [8], "reward_norm": "none"}
    intrinsic = IntrinsicRewards(RewardCls=RewardCls, reward_kwargs=sizes)
    algo, _agent, sampler = q_learner("dqn", intrinsic)
    for itr in range(3):
        *_before, batch = algo._loop.batches(itr, sampler.obtain_samples(itr)[0])
    rewards = [intrinsic.bonus(_transitions(batch)) for _ in range(2)]
    assert torch.equal(*rewards)
    assert (rewards[0] > 0).any()


@pytest.mark.parametrize("AlgoCls", [APPO, IMPALA, PQN, DrAC])
def test_the_other_on_policy_algorithms_have_the_sum(AlgoCls: type[Any]):
    settings = {"augmentation": GaussianNoise()} if AlgoCls is DrAC else {}
    algo = AlgoCls(intrinsic=IntrinsicRewards(RewardCls=NextSum), **settings)
    AgentCls = DqnAgent if AlgoCls is PQN else None
    agents = {} if AgentCls is None else {"AgentCls": AgentCls}
    agent, sampler = make(algo, walk(), T=6, B=3, **agents)
    plain = AlgoCls(**settings)
    plain.initialize(agent, n_itr=10, batch_spec=sampler.batch_spec, seed=0)
    samples = sampler.obtain_samples(0)[0]
    expected = samples.reward + next_sums(samples)
    if AlgoCls is PQN:
        torch.testing.assert_close(algo._rewarded(0, samples).reward, expected)
        return
    if AlgoCls is DrAC:
        algo.normalize_reward = False
        algo.initialize(agent, n_itr=10, batch_spec=sampler.batch_spec, seed=0)
    torch.testing.assert_close(algo.rewards(0, samples), expected)


@pytest.mark.parametrize("kind", ["ppo", "ppo with two values", "dqn", "sac", "r2d1"])
def test_without_weight_the_environments_reward_teaches_nothing(kind: str):
    """Pre-training: what the environment pays may be anything, where networks are not told it."""
    found = []
    for limit in (1.0, 0.01):
        intrinsic = IntrinsicRewards(reward_kwargs=SMALL, extrinsic_weight=0.0)
        if kind.startswith("ppo"):
            two = kind != "ppo"
            algo: Any = PPO(intrinsic=replace(intrinsic, discount=0.9 if two else None))
            env = replace(walk(), clip_reward=limit)
            agent, sampler = make(algo, env, T=6, B=3, intrinsic_value=two)
        else:
            algo, agent, sampler = q_learner(kind, intrinsic, 16, env_limit=limit)
        for itr in range(5):
            algo.optimize_agent(itr, sampler.obtain_samples(itr)[0])
        found.append(parameters(agent))
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0]) == (kind != "r2d1")


def test_what_is_reported():
    algo = PPO(intrinsic=IntrinsicRewards(reward_kwargs=SMALL))
    _agent, sampler = start(algo)
    report = algo.optimize_agent(0, sampler.obtain_samples(0)[0])
    assert {"intrinsicReward", "intrinsicLoss", "intrinsicGradNorm"} <= report.keys()
    assert all(np.isfinite(value) for values in report.values() for value in values)
    algo, _agent, sampler = q_learner("dqn", IntrinsicRewards(reward_kwargs=SMALL))
    report = algo.optimize_agent(0, sampler.obtain_samples(0)[0])
    assert len(report["intrinsicReward"]) == len(report["loss"])


@pytest.mark.parametrize("RewardCls", [RND, E3B])
@pytest.mark.parametrize("kind", ["ppo", "dqn"])
def test_switched_on_it_changes_what_is_learned(RewardCls: Any, kind: str):
    found = []
    for intrinsic in (None, IntrinsicRewards(RewardCls=RewardCls, reward_kwargs=SMALL)):
        if kind == "dqn":
            algo, agent, sampler = q_learner("dqn", intrinsic)  # type: ignore[arg-type]
        else:
            algo = PPO(intrinsic=intrinsic)
            agent, sampler = start(algo)
        for itr in range(2):
            algo.optimize_agent(itr, sampler.obtain_samples(itr)[0])
        found.append(parameters(agent))
    assert any(not torch.equal(found[0][name], found[1][name]) for name in found[0])


@pytest.mark.parametrize(
    ("algo", "model", "match"),
    [
        (PPO(intrinsic=IntrinsicRewards(discount=0.9)), {}, "intrinsic_value=True as well"),
        (PPO(), {"intrinsic_value": True}, "nothing learns that value"),
        (IMPALA(intrinsic=IntrinsicRewards(discount=0.9)), {"intrinsic_value": True}, "one value"),
        (PPO(intrinsic=IntrinsicRewards(discount=1.5)), {"intrinsic_value": True}, "less than 1"),
        (PPO(intrinsic=IntrinsicRewards(extrinsic_weight=-1.0)), {}, "0 or more"),
        (PPO(intrinsic=IntrinsicRewards(extrinsic_weight=float("inf"))), {}, "finite"),
        (
            PPO(intrinsic=IntrinsicRewards(reward_kwargs={"featuresize": 3})),
            {},
            "algo.intrinsic.reward_kwargs.featuresize",
        ),
        (
            PPO(intrinsic=IntrinsicRewards(reward_kwargs={"n_envs": 3})),
            {},
            r"reward_kwargs\.n_envs: it is given RND.* - set sampler\.batch_B instead",
        ),
        (PPO(intrinsic=IntrinsicRewards(RewardCls=Fabric)), {}, "there are no parts .*Fabric"),
        (PPO(intrinsic=IntrinsicRewards(RewardCls=IntrinsicReward)), {}, "is abstract: .* E3B"),
        (PPO(intrinsic=IntrinsicRewards(weight=0.5)), {}, "weight takes RewardWeight, not 0.5"),
    ],
)
def test_what_does_not_go_together_is_said(algo: Any, model: dict[str, Any], match: str):
    with pytest.raises(RlpytError, match=match):
        start(algo, **model)


def test_batches_that_a_reward_has_nothing_to_say_of_are_refused_before_any_is_sampled():
    algo = PPO(intrinsic=IntrinsicRewards(RewardCls=REVD), minibatches=1)
    with pytest.raises(RlpytError, match=r"T=1.*\(REVD\) - .*sampler\.batch_T=32"):
        make(algo, walk(), T=1, B=3)


def test_a_return_of_transitions_is_refused_before_anything_is_sampled():
    intrinsic = IntrinsicRewards(reward_kwargs={"return_discount": 0.9})
    with pytest.raises(RlpytError, match=r"return_discount=0\.9 - leave it out"):
        q_learner("dqn", intrinsic)


def test_the_state_of_another_reward_is_named():
    algo = PPO(intrinsic=IntrinsicRewards(reward_kwargs=SMALL))
    start(algo)
    other = PPO(intrinsic=IntrinsicRewards(RewardCls=E3B, reward_kwargs=SMALL))
    start(other)
    with pytest.raises(RlpytError, match=r"is not this E3B: .*\(algo\.intrinsic\)") as caught:
        other.load_state_dict(algo.state_dict())
    assert caught.value.code == "checkpoint"
    plain = PPO()
    start(plain)
    with pytest.raises(RlpytError, match="holds no intrinsic reward, for RND"):
        algo.load_state_dict(plain.state_dict())


def test_a_second_value_wants_environments_that_go_on():
    algo = PPO(intrinsic=IntrinsicRewards(reward_kwargs=SMALL, discount=0.9))
    _agent, sampler = make(algo, walk(), T=6, B=3, mid_batch_reset=False, intrinsic_value=True)
    with pytest.raises(RlpytError, match="mid_batch_reset=True"):
        algo.optimize_agent(0, sampler.obtain_samples(0)[0])


@pytest.mark.parametrize("RewardCls", [RND, E3B, NGU, RE3, ICM])
def test_steps_that_are_not_valid_may_hold_anything(RewardCls: Any):
    sizes = {RE3: {"feature_size": 4}, NGU: {}}.get(RewardCls, SMALL)
    algo = PPO(intrinsic=IntrinsicRewards(RewardCls=RewardCls, reward_kwargs=sizes))
    agent, sampler = make(algo, walk(), T=12, B=3, mid_batch_reset=False)
    other = copy.deepcopy(algo)
    other.initialize(agent, n_itr=10, batch_spec=sampler.batch_spec, seed=0)
    for itr in range(3):
        samples = sampler.obtain_samples(itr)[0]
        assert not samples.valid.all()
        expected = algo.rewards(itr, samples).clone()
        for leaf in (samples.observation, samples.final_observation):
            leaf[~samples.valid] = torch.nan
        found = other.rewards(itr, samples)
        assert torch.equal(found[samples.valid], expected[samples.valid])


def test_spaces_of_every_kind():
    for action in ("discrete", "box", "multi_discrete", "dict"):
        algo = PPO(intrinsic=IntrinsicRewards(reward_kwargs=SMALL))
        _agent, sampler = make(algo, walk(action), T=6, B=3)
        algo.optimize_agent(0, sampler.obtain_samples(0)[0])
