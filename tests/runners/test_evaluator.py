"""Offline evaluation: how many episodes, which seeds, greedy or not, and no trace left behind."""

from collections import Counter
from dataclasses import replace
from pathlib import Path

import pytest
import torch
from runner_fakes import Drift, parameters, read_rows, small_runner, train

from rlpyt.envs.build import EnvConfig
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl


@pytest.fixture
def trained() -> MinibatchRl:
    runner = small_runner(n_itr=2)
    runner.train()
    return runner


def evaluate(runner: MinibatchRl, round: int = 0, seed: int = 0, **options):
    evaluator = Evaluator(**options)
    evaluator.initialize(runner.agent, runner.sampler, seed=seed, discount=0.5)
    try:
        return evaluator.evaluate(round)
    finally:
        evaluator.shutdown()


def returns(trajs) -> list[float]:
    return [traj.Return for traj in trajs]


@pytest.mark.parametrize(
    ("episodes", "n_envs", "each"),
    [(10, 10, [1] * 10), (7, 3, [3, 2, 2]), (1, 10, [1]), (4, 1, [4]), (3, 5, [1] * 3)],
)
def test_exactly_the_wanted_episodes_of_each_environment(trained, episodes, n_envs, each):
    found = Counter(traj.env_index for traj in evaluate(trained, episodes=episodes, n_envs=n_envs))
    assert [found[index] for index in range(len(each))] == each
    assert sum(found.values()) == episodes


def test_long_episodes_are_not_left_out(trained):
    """Taking whichever ends first would find the short ones."""
    trajs = evaluate(trained, episodes=200, n_envs=50)
    first = {}
    for traj in trajs:
        first.setdefault(traj.env_index, traj.Length)
    lengths = [traj.Length for traj in evaluate(trained, episodes=50, n_envs=50)]
    assert lengths != sorted(lengths) or len(set(lengths)) > 10
    assert Counter(lengths) == Counter(first.values())


def test_seeds_are_disjoint_from_training_and_from_other_rounds(tmp_path: Path):
    Drift.SEEDS.clear()
    small_runner().train()
    training = list(Drift.SEEDS)
    assert len(set(training)) == len(training) > 20
    Drift.SEEDS.clear()
    small_runner(evaluator=Evaluator(episodes=20)).train()
    evaluation = Counter(Drift.SEEDS) - Counter(training)
    assert len(evaluation) > 100  # six evaluations
    assert set(evaluation.values()) == {1}
    assert not set(evaluation) & set(training)


def test_the_same_round_is_the_same_evaluation(trained):
    first = evaluate(trained, round=3, greedy=False)
    again = evaluate(trained, round=3, greedy=False)
    assert returns(first) == returns(again)
    assert returns(first) != returns(evaluate(trained, round=4, greedy=False))
    assert returns(first) != returns(evaluate(trained, round=3, greedy=False, seed=1))


def test_one_evaluator_can_evaluate_again_and_again(trained):
    evaluator = Evaluator(episodes=5, greedy=False)
    evaluator.initialize(trained.agent, trained.sampler, seed=0, discount=1.0)
    first, second, again = (returns(evaluator.evaluate(n)) for n in (0, 1, 0))
    evaluator.shutdown()
    assert first == again != second


def test_greedy_takes_the_mode_and_stochastic_samples(trained, monkeypatch):
    with torch.no_grad():  # a policy that prefers action 1, a little
        for parameter in trained.agent.model.parameters():
            parameter.zero_()
        trained.agent.model.policy.output.bias[1] = 0.1
    actions: list[int] = []
    step = Drift.step
    monkeypatch.setattr(Drift, "step", lambda self, a: (actions.append(int(a)), step(self, a))[1])
    evaluate(trained, greedy=True)
    assert set(actions) == {1}
    actions.clear()
    evaluate(trained, greedy=False, episodes=20)
    assert 0.4 < sum(actions) / len(actions) < 0.65


def test_discounted_return_uses_the_discount(trained):
    for traj in evaluate(trained):
        assert traj.discount == 0.5


def test_an_environment_of_its_own(trained):
    config = EnvConfig(id="runner_fakes:Drift", kwargs={"length": 1.0})
    assert {traj.Length for traj in evaluate(trained, env=config)} == {6}
    assert {traj.Length for traj in evaluate(trained, env="runner_fakes:Drift")} != {6}
    assert {traj.Length for traj in evaluate(trained, env=Drift)} != {6}


def test_rewards_stay_clipped_for_the_agent_and_returns_are_of_those_before(trained, monkeypatch):
    """A network with a memory is told the previous reward: in evaluations the one it learned by."""
    plain = evaluate(trained)
    env = EnvConfig.of(trained.sampler.env)
    trained.sampler.env = replace(env, clip_reward=0.01)
    told, act = [], trained.agent.act

    def listening(inputs, state, noise):
        told.append(inputs.prev_reward.abs().max().item())
        return act(inputs, state, noise)

    monkeypatch.setattr(trained.agent, "act", listening)
    found = evaluate(trained)
    assert max(told) == pytest.approx(0.01)
    assert returns(found) == pytest.approx(returns(plain), rel=1e-5)
    assert max(map(abs, returns(plain))) > 0.5
    assert [traj.NonzeroRewards for traj in found] == [traj.NonzeroRewards for traj in plain]


def test_unfinished_episodes_are_warned_of(trained):
    with pytest.warns(RuntimeWarning, match=r"of 20 evaluation episodes .*max_steps=64"):
        trajs = evaluate(trained, episodes=20, n_envs=2, max_steps=64)
    assert len(trajs) < 20


def test_evaluation_reads_the_agent_and_changes_nothing(trained):
    before = parameters(trained)
    normalizer = {k: v.clone() for k, v in trained.agent.model.named_buffers()}
    evaluate(trained, greedy=False)
    assert parameters(trained) == before
    for name, value in trained.agent.model.named_buffers():
        assert torch.equal(value, normalizer[name])


@pytest.mark.parametrize("recurrent", ["none", "lstm"])
@pytest.mark.parametrize("greedy", [True, False])
def test_training_is_the_same_with_and_without(recurrent: str, greedy: bool):
    with_one = small_runner(recurrent=recurrent, evaluator=Evaluator(episodes=3, greedy=greedy))
    without = small_runner(recurrent=recurrent)
    with_one.train()
    without.train()
    assert parameters(with_one) == parameters(without)


def test_recurrent_state_starts_at_zero_in_each_evaluation():
    runner = small_runner(recurrent="lstm", n_itr=3)
    runner.train()
    evaluator = Evaluator(episodes=4, n_envs=2)
    evaluator.initialize(runner.agent, runner.sampler, seed=0, discount=1.0)
    first = returns(evaluator.evaluate(0))
    evaluator.evaluate(1)
    assert returns(evaluator.evaluate(0)) == first
    evaluator.shutdown()


def test_rows_report_the_greedy_agent(tmp_path: Path):
    runner = small_runner(n_itr=4, evaluator=Evaluator(episodes=6, n_envs=6))
    rows = read_rows(train(runner, tmp_path))
    trajs = evaluate(runner, round=4, episodes=6, n_envs=6)
    mean = sum(returns(trajs)) / 6
    assert float(rows[-1]["ReturnAverage"]) == pytest.approx(mean, rel=1e-12)


def test_evaluate_wants_initialize():
    with pytest.raises(RuntimeError, match="initialize"):
        Evaluator().evaluate(0)
