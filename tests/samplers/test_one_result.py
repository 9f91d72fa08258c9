"""One result: for one seed and group_size, every sampler gives the same bits."""

import warnings
from dataclasses import replace
from functools import cache
from itertools import product
from typing import Any

import pytest
import torch
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from parallel_fakes import (
    FEW_CPUS,
    LAYOUTS,
    PARALLEL,
    Case,
    Result,
    assert_bitwise,
    assert_same_batches,
    assert_same_result,
    run_case,
    sampled,
)
from sampler_fakes import CPU, LSTM, CountTrajInfo, WalkEnv

from rlpyt.agents.pg import PgAgent
from rlpyt.runners.evaluator import Evaluator
from rlpyt.samplers import AlternatingSampler, BaseSampler, CpuSampler, GpuSampler, SerialSampler
from rlpyt.utils.buffer import leaves

pytestmark = pytest.mark.filterwarnings(FEW_CPUS)

MATRIX = [
    Case(env=env, algo=algo, recurrent=recurrent, wait=wait, extras=extras, seed=int(extras))
    for env, algo, recurrent, wait, extras in product(
        ("cartpole", "image", "box"),
        ("ppo", "a2c"),
        ("none", "lstm", "gru"),
        (False, True),
        (False, True),
    )
]
MATRIX += [
    Case(env=env, algo=algo, recurrent=recurrent, wait=algo == "appo", extras=env == "box")
    for env, algo, recurrent in product(
        ("cartpole", "image", "box"), ("impala", "appo"), ("none", "lstm")
    )
]
MATRIX += [
    Case(env="cartpole", shared=True),
    Case(env="box", algo="a2c", shared=True, extras=True),
    Case(env="image", image="nature", n_itr=4),
    Case(env="image", image="impala", recurrent="lstm", algo="a2c", n_itr=4),
]
MATRIX += [
    Case(recurrent=recurrent, algo=algo, seed=seed, extras=True, wait=seed % 2 == 0)
    for recurrent, algo, seed in product(("none", "lstm"), ("ppo", "a2c"), range(2, 7))
]

# Each setting of the matrix and each layout at least twice.
DIAGONAL = [
    (Case(env="cartpole"), ["cpu2", "gpu2", "alternating4"]),
    (Case(env="cartpole", algo="a2c", recurrent="lstm", wait=True), ["cpu4", "gpu1"]),
    (Case(env="cartpole", recurrent="lstm", extras=True, seed=2), ["gpu2", "alternating2"]),
    (Case(env="cartpole", shared=True, wait=True), ["cpu1"]),
    (Case(env="image", recurrent="lstm", extras=True, seed=1), ["cpu2", "alternating2"]),
    (Case(env="image", algo="a2c", wait=True), ["cpu1", "gpu2"]),
    (Case(env="image", image="nature", n_itr=3), ["cpu2"]),
    (Case(env="box", recurrent="gru", wait=True, extras=True), ["cpu4", "alternating4"]),
    (Case(env="box", algo="a2c", extras=True, seed=3), ["gpu1", "cpu2"]),
    (Case(env="cartpole", algo="impala", recurrent="lstm", extras=True), ["cpu2", "gpu2"]),
    (Case(env="box", algo="impala", wait=True), ["alternating2"]),
    (Case(env="box", algo="appo", extras=True), ["cpu2", "alternating2"]),
    (Case(env="cartpole", algo="appo", recurrent="gru", wait=True), ["gpu2"]),
]


@cache
def serial(case: Case) -> Result:
    """The reference."""
    return run_case(case, "serial")


@pytest.mark.slow
@pytest.mark.parametrize("layout", PARALLEL)
@pytest.mark.parametrize("case", MATRIX, ids=lambda case: case.name)
def test_every_sampler_gives_the_serial_samplers_result_in_all_settings(case: Case, layout: str):
    assert_same_result(serial(case), run_case(case, layout))


@pytest.mark.parametrize(("case", "layouts"), DIAGONAL, ids=lambda p: getattr(p, "name", ""))
def test_every_sampler_gives_the_serial_samplers_result(case: Case, layouts: list[str]):
    reference = run_case(case, "serial")
    ends = sum(map(len, reference.trajs))
    assert ends > case.n_itr  # so that there is something to get wrong
    start = case.agent()
    start.initialize(case.sampler("serial").env_spaces(), seed=case.seed, device=CPU)
    before = start.state_dict()["model"]
    assert any(not torch.equal(before[k], v) for k, v in reference.parameters.items())
    for layout in layouts:
        assert_same_result(reference, run_case(case, layout))


def test_other_seeds_give_other_results():
    one, other = (run_case(Case(seed=seed, n_itr=1), "cpu2") for seed in (0, 1))
    assert not torch.equal(one.samples[0].observation, other.samples[0].observation)


def test_workers_that_are_spawned():
    case = Case(env="image", recurrent="lstm", wait=True, n_itr=5)
    assert_same_result(serial(case), run_case(case, "cpu2", start_method="spawn"))


@pytest.mark.parametrize("recurrent", ["none", "lstm"])
def test_without_group_size_where_all_environments_act_together(recurrent: str):
    case = Case(recurrent=recurrent, n_itr=5)
    reference = run_case(case, "serial", group_size=None)
    for layout in ("gpu1", "gpu2", "cpu1"):
        assert_same_result(reference, run_case(case, layout, group_size=None))


def test_a_last_group_that_is_smaller_is_refused_where_workers_share():
    with pytest.raises(Exception, match=r"batch_B=8 must be a multiple of 3"):
        run_case(Case(), "cpu2", group_size=3)


# --- divisions of every kind --------------------------------------------------------------------


@st.composite
def divisions(draw: Any) -> tuple[type[BaseSampler], dict[str, Any], dict[str, Any], int]:
    """A parallel sampler's class, its workers, what it has in common with serial, and a seed."""
    cls = draw(st.sampled_from([CpuSampler, GpuSampler, AlternatingSampler]))
    group_size = draw(st.integers(1, 3))
    units = draw(st.integers(1, 3)) * (2 if cls is AlternatingSampler else 1)
    common = {
        "batch_T": draw(st.integers(1, 12)),
        "batch_B": group_size * units,
        "group_size": group_size,
        "mid_batch_reset": draw(st.booleans()),
        "max_decorrelation_steps": draw(st.sampled_from([0, 9])),
        "TrajInfoCls": CountTrajInfo,
        "poison": draw(st.booleans()),
    }
    return cls, {"n_workers": draw(st.integers(1, 5))}, common, draw(st.integers(0, 2**31))


def check_division(division: Any, recurrent: bool) -> None:
    cls, workers, common, seed = division
    agent = PgAgent(model_kwargs=LSTM if recurrent else {})
    given = {"agent": agent, "seed": seed, "rank": seed % 3}
    expected = sampled(SerialSampler(env=WalkEnv, **common), **given)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", RuntimeWarning)  # more workers than environments, or CPUs
        assert_same_batches(expected, sampled(cls(env=WalkEnv, **common, **workers), **given))


unhurried = settings(
    deadline=None, derandomize=True, database=None, suppress_health_check=list(HealthCheck)
)


@settings(unhurried, max_examples=8)
@given(divisions(), st.booleans())
def test_however_the_environments_are_divided(division: Any, recurrent: bool):
    check_division(division, recurrent)


@pytest.mark.slow
@pytest.mark.timeout(600)
@settings(unhurried, max_examples=200, derandomize=False)
@given(divisions(), st.booleans())
def test_however_the_environments_are_divided_more(division: Any, recurrent: bool):
    check_division(division, recurrent)


# --- recurrent state ----------------------------------------------------------------------------


@pytest.mark.parametrize("layout", LAYOUTS)
@pytest.mark.parametrize(
    "case",
    [
        Case(env="cartpole", recurrent="lstm", extras=True),
        Case(env="image", recurrent="gru", wait=True),
    ],
    ids=lambda case: case.name,
)
@torch.inference_mode()
def test_recurrent_state_is_zero_at_every_start_and_replays_without_error(case: Case, layout: str):
    sampler, agent = case.sampler(layout), case.agent()
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    following = [None] * 4  # of each group of two, the state after its last step
    n_starts = 0
    try:
        sampler.initialize(agent, seed=0, bootstrap_value=True)
        for itr in range(4):
            samples, _trajs = sampler.obtain_samples(itr)
            reset, states = samples.reset, samples.agent_info.prev_rnn_state
            assert reset[0].all() or itr
            after_an_end = samples.done[:-1]
            if samples.valid is not None:
                after_an_end = after_an_end & samples.valid[1:]
            assert reset[1:][after_an_end].all()
            n_starts += int(reset.sum())
            for leaf in leaves(states):
                assert (leaf[reset] == 0).all()
                assert (leaf[~reset] != 0).flatten(1).any(1).all()
            for t, g in product(range(10), range(4)):
                group = slice(2 * g, 2 * g + 2)
                recorded = samples.agent_info[t, group]
                if following[g] is not None:
                    kept = ~reset[t, group]
                    assert_bitwise(recorded.prev_rnn_state[kept], following[g][kept])
                step, following[g] = agent.step(
                    samples.agent_inputs[t, group], recorded.prev_rnn_state, None
                )
                assert_bitwise(step.agent_info, recorded, f"replay of {t}, {group}")
    finally:
        sampler.shutdown()
    assert n_starts > 12


@pytest.mark.parametrize("layout", ["cpu2", "gpu2", "alternating2"])
def test_a_single_group_replays_with_the_parameters_of_its_batch_while_learning(layout: str):
    """Workers act by the parameters of the newest update, not of the one before."""
    case = Case(recurrent="lstm", n_itr=1)
    sampler, agent, algo = case.sampler(layout), case.agent(), case.algorithm()
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    try:
        sampler.initialize(agent, seed=0, bootstrap_value=True)
        algo.initialize(agent, n_itr=5, batch_spec=sampler.batch_spec, seed=0)
        values = []
        for itr in range(5):
            samples, _trajs = sampler.obtain_samples(itr)
            recorded, inputs = samples.agent_info[9, 2:4], samples.agent_inputs[9, 2:4]
            with torch.inference_mode():
                step, _state = agent.step(inputs, recorded.prev_rnn_state, None)
            assert_bitwise(step.agent_info, recorded)
            algo.optimize_agent(itr, samples)
            with torch.inference_mode():
                step, _state = agent.step(inputs, recorded.prev_rnn_state, None)
            values.append((step.agent_info.value - recorded.value).abs().max().item())
        assert min(values) > 0  # the next batch's parameters are others
    finally:
        sampler.shutdown()


# --- evaluation ---------------------------------------------------------------------------------

EVALUATORS = {
    # Five environments in groups of two: a last one that is smaller, and three for four workers.
    "five": Evaluator(episodes=7, n_envs=5, greedy=False),
    "one": Evaluator(episodes=2, n_envs=1),
    "own": Evaluator(episodes=6, n_envs=6, env="CartPole-v1", greedy=False),
}


@pytest.mark.parametrize("recurrent", ["none", "lstm"])
@pytest.mark.parametrize("name", EVALUATORS)
def test_evaluation_on_workers_is_the_serial_evaluation(name: str, recurrent: str):
    case = Case(recurrent=recurrent, n_itr=6, extras=recurrent == "lstm")
    evaluator = EVALUATORS[name]
    reference = run_case(case, "serial", evaluator=evaluator)
    assert [len(trajs) for trajs in reference.evaluations] == [evaluator.episodes] * 2
    without = run_case(case, "serial")
    assert_same_result(replace(reference, evaluations=[]), without)  # it leaves no trace
    for layout in ("cpu4", "gpu2") if recurrent == "lstm" else ("cpu2", "alternating4"):
        assert_same_result(reference, run_case(case, layout, evaluator=replace(evaluator)))


@pytest.mark.parametrize("layout", ["cpu4", "alternating2"])
def test_evaluation_that_is_cut_short(layout: str):
    case, evaluator = Case(n_itr=1), Evaluator(episodes=20, n_envs=5, max_steps=320)
    found = []
    for name in ("serial", layout):
        with pytest.warns(RuntimeWarning, match=r"of 20 evaluation episodes did not end"):
            found.append(run_case(case, name, evaluator=replace(evaluator)))
    assert_same_result(*found)
    assert 0 < len(found[0].evaluations[0]) < 20


@pytest.mark.parametrize("layout", PARALLEL)
def test_evaluation_by_a_sampler_that_does_not_sample(layout: str):
    found = []
    for name in ("serial", layout):
        case = Case()
        sampler, agent, evaluator = case.sampler(name), case.agent(), Evaluator(episodes=3)
        agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
        try:
            evaluator.initialize(agent, sampler, seed=0, discount=0.9)
            found.append(evaluator.evaluate(0))
        finally:
            evaluator.shutdown()
            sampler.shutdown()
    assert found[0] == found[1]
