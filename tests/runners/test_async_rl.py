"""AsyncRl: in lockstep it is the run in one process; one batch ahead it is a run of its own, the
same whoever is faster.
"""

import gc
import os
import random
import time
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import Any

import pytest
import torch
from q_runs import BATCH, algorithm, q_runner, replay
from runner_fakes import (
    Drift,
    assert_same_run,
    final_state,
    parameters,
    read_rows,
    small_runner,
    train,
)
from test_parallel_resume import LAYOUTS
from world_runs import (
    LAGS,
    OFTEN,
    as_async,
    assert_equal_ranks,
    assert_learned_the_same,
    assert_same_checkpoints,
    rank_states,
    stopped_after,
)

from rlpyt.agents.dqn import EpsilonGreedy
from rlpyt.algos import IntrinsicRewards
from rlpyt.algos.dqn import DQN
from rlpyt.checkpoint.tree import flatten
from rlpyt.envs.build import EnvConfig
from rlpyt.logging.run_state import read_run_state
from rlpyt.rewards import E3B
from rlpyt.runners.async_rl import AsyncRl
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.runners.records import RunRecords
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.filterwarnings("ignore:.*share .* usable CPU:RuntimeWarning")

slow = partial(pytest.param, marks=pytest.mark.slow)
N_ITR = 40  # of Q-learning, which learns from the 20th on


def run_of(variant: str, layout: str = "serial", **settings: Any) -> MinibatchRl:
    """Q-learning, or an algorithm of ``small_runner``, under a sampler of ``layout``."""
    if variant in ("dqn", "rainbow", "r2d1", "iqn", "dqn-frames"):
        made = q_runner(variant, layout, **{"n_itr": N_ITR, **settings})
        made = replace(made, algo=replace(made.algo, learning_rate=0.05))
        if variant != "dqn":
            return made
        greedy = EpsilonGreedy(initial=0.1, final=0.1)  # acts by what it has learned
        return replace(made, agent=replace(made.agent, epsilon=greedy))
    algo, _, recurrent = variant.partition("-")
    kinds = {"continuous": algo in ("sac", "td3"), "recurrent": recurrent or "none"}
    made = small_runner(algo=algo, **kinds, **settings)
    cls, own = LAYOUTS[layout]
    sizes: dict[str, Any] = {"env": made.sampler.env, "batch_T": 16, "batch_B": 4, "group_size": 2}
    return replace(made, sampler=cls(**sizes, **own))


# --- in lockstep --------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("variant", "layout"),
    [
        ("rainbow", "serial"),
        ("sac", "cpu2"),
        ("sac-lstm", "serial"),
        slow("pqn", "serial"),
        slow("r2d1", "serial"),
        slow("dqn", "serial"),
        slow("dqn-frames", "gpu2"),
        slow("iqn", "alternating2"),
        slow("r2d1", "cpu2"),
        slow("sac", "gpu2"),
        slow("sac", "alternating2"),
        slow("dqn", "cpu2"),
        slow("rainbow", "alternating2"),
        slow("sac-gru", "gpu2"),
        slow("td3", "serial"),
        slow("ppo-lstm", "cpu2"),
        slow("a2c", "alternating2"),
    ],
)
def test_lockstep_is_the_run_in_one_process(variant: str, layout: str, tmp_path: Path):
    alone = train(run_of(variant), tmp_path / "alone")
    run_dir = train(as_async(run_of(variant, layout), lockstep=True), tmp_path / "async")
    assert_learned_the_same(alone, run_dir)
    assert {row["Diagnostics/Lag0"] for row in read_rows(run_dir)} == {"1.0"}


def test_lockstep_with_an_intrinsic_reward(tmp_path: Path):
    """Of sequences: the replay keeps it beside what the network is told."""
    sizes = {"feature_size": 4, "hidden_sizes": (8,), "model_sizes": (8,)}
    intrinsic = IntrinsicRewards(RewardCls=E3B, reward_kwargs=sizes)
    made = run_of("sac-lstm", intrinsic=intrinsic)
    alone = train(made, tmp_path / "alone")
    run_dir = train(as_async(made, lockstep=True), tmp_path / "async")
    assert_learned_the_same(alone, run_dir)
    assert any(float(row["intrinsicRewardAverage"]) > 0 for row in read_rows(run_dir))


def test_nothing_is_left_open(tmp_path: Path):
    left = []
    for number in range(3):
        train(as_async(small_runner(n_itr=1), lockstep=True), tmp_path / str(number))
        gc.collect()
        left.append(len(os.listdir("/dev/fd")))
    assert left[2] <= left[1] <= left[0] + 2  # the first may have started the fork server


@pytest.mark.parametrize("settings", [{}, slow({"algo": "sac", "continuous": True})], ids=str)
def test_lockstep_with_evaluations(settings: dict[str, Any], tmp_path: Path):
    """They step their environments in the learning process, and perturb nothing."""
    made = small_runner(**settings, evaluator=Evaluator(episodes=3, n_envs=2, greedy=False))
    alone = train(made, tmp_path / "alone")
    run_dir = train(as_async(made, lockstep=True), tmp_path / "async")
    assert_learned_the_same(alone, run_dir)
    assert len(read_rows(run_dir)) == 6  # one of them before training


# --- one batch ahead ----------------------------------------------------------------------------


@pytest.fixture(scope="module")
def free(tmp_path_factory: pytest.TempPathFactory) -> Callable[[str], Path]:
    """``free(variant)``: the directory of the uninterrupted run."""
    root = tmp_path_factory.mktemp("free")

    def whole(variant: str) -> Path:
        if not (root / variant).exists():
            train(as_async(run_of(variant, **OFTEN)), root / variant)
        return root / variant / "run_0"

    return whole


def slowed(patch: pytest.MonkeyPatch) -> None:
    """Now and then an iteration's learning takes longer."""
    add = RunRecords.add

    def adding(self: RunRecords, *args: Any) -> None:
        time.sleep(random.choice([0.0, 0.0, 0.02]))
        add(self, *args)

    patch.setattr(RunRecords, "add", adding)


@pytest.mark.parametrize("variant", ["sac", slow("rainbow"), slow("dqn")])
@pytest.mark.parametrize("who", ["sampler", "learner"])
def test_who_is_faster_makes_no_difference(
    who: str, variant: str, tmp_path: Path, free, monkeypatch: pytest.MonkeyPatch
):
    made = as_async(run_of(variant))
    if who == "learner":
        slowed(monkeypatch)
    else:
        config = EnvConfig.of(made.sampler.env)
        assert config.id == "runner_fakes:Drift"
        made = replace(
            made, sampler=replace(made.sampler, env=replace(config, id="world_runs:SlowDrift"))
        )
    assert_same_run(free(variant), train(made, tmp_path))


def one_batch_ahead(made: MinibatchRl) -> MinibatchRl:
    """The run as it is to be, in one process: batch n is sampled with the parameters that have not
    yet learned from batch n - 1.
    """
    agent, actor = made.agent, replace(made.agent)
    for one in (agent, actor):
        one.initialize(made.sampler.env_spaces(), seed=made.seed, device=torch.device("cpu"))
    made.sampler.initialize(actor, seed=made.seed, discount=made.algo.discount)
    made.algo.initialize(
        agent, n_itr=made.n_itr, batch_spec=made.sampler.batch_spec, seed=made.seed
    )
    samples, _trajs = made.sampler.obtain_samples(0)
    for itr in range(made.n_itr):
        actor.load_state_dict(agent.state_dict())
        made.algo.optimize_agent(itr, samples)
        if itr + 1 < made.n_itr:
            samples, _trajs = made.sampler.obtain_samples(itr + 1)
    made.sampler.shutdown()
    return made


@pytest.mark.parametrize("variant", ["sac", slow("dqn"), slow("r2d1")])
def test_each_batch_is_sampled_by_the_parameters_of_the_iteration_before(variant: str, free):
    expected = one_batch_ahead(run_of(variant))
    arrays, _skeleton = flatten({"agent": expected.agent.state_dict()})
    found = final_state(free(variant))["arrays"]
    for name, array in arrays.items():
        assert torch.equal(found[name], array), name
    alone = run_of(variant)
    alone.train()
    assert parameters(alone) != parameters(expected)


def test_the_log_says_how_old_parameters_were(free):
    lags = [[float(row[name]) for name in LAGS] for row in read_rows(free("sac"))]
    assert lags == [[0.5, 0.5], *[[0.0, 1.0]] * 4]  # the first batch has nothing to wait for


@pytest.mark.parametrize("ratio", [slow(0.5), 1.37, slow(8.0)])
def test_the_replay_ratio_is_the_one_asked_for(ratio: float, tmp_path: Path, monkeypatch):
    slowed(monkeypatch)
    made = as_async(q_runner("dqn", n_itr=120))
    algo = algorithm(DQN, replay(), min_steps_learn=0, replay_ratio=ratio)
    made = replace(made, algo=algo)
    run_dir = train(made, tmp_path)
    last = {name: float(value) for name, value in read_rows(run_dir)[-1].items()}
    assert last["Diagnostics/CumReplayRatio"] == pytest.approx(ratio, rel=0.01)
    updates = final_state(run_dir)["skeleton"]["dict"]["algo"]["dict"]["updates"]
    assert updates == last["Diagnostics/CumUpdates"] == int(ratio * 120 * BATCH / algo.batch_size)


def test_a_runner_trains_twice():
    made = as_async(run_of("sac"))
    made.train()
    once = parameters(made)
    made.train()
    assert parameters(made) == once


def test_evaluations_do_not_perturb(tmp_path: Path, free):
    evaluator = Evaluator(episodes=3, n_envs=2)
    run_dir = train(replace(as_async(run_of("sac")), evaluator=evaluator), tmp_path)
    arrays, found = final_state(free("sac"))["arrays"], final_state(run_dir)["arrays"]
    assert arrays.keys() == found.keys()
    assert all(torch.equal(found[name], array) for name, array in arrays.items())
    rows = read_rows(run_dir)
    assert len(rows) == 6  # one of them before training
    assert all(float(row["Diagnostics/TrajsInEval"]) == 3 for row in rows)


# --- several that learn -------------------------------------------------------------------------


@pytest.fixture(scope="module")
def pair(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted run of two that learn."""
    return train(as_async(run_of("sac", **OFTEN), world_size=2), tmp_path_factory.mktemp("pair"))


def test_two_that_learn_stay_equal(pair: Path):
    assert_equal_ranks(pair)
    last = {name: float(value) for name, value in read_rows(pair)[-1].items()}
    assert last["Diagnostics/CumSteps"] == 640
    learned = last["Diagnostics/CumUpdates"] * 2 * 16  # batches of 16 in each
    assert last["Diagnostics/CumReplayRatio"] == pytest.approx(learned / 640)
    assert float(read_rows(pair)[-1]["Diagnostics/ReplayRatio"]) == pytest.approx(1.5, rel=0.01)


def test_two_that_learn_share_each_batch(tmp_path: Path):
    """Nobody learns yet: what is sampled is the same as with one, and each has half of it."""
    made = run_of("dqn", n_itr=12)
    made = replace(made, algo=replace(made.algo, min_steps_learn=10_000))
    one = train(as_async(made), tmp_path / "one")
    two = train(as_async(made, world_size=2), tmp_path / "two")
    arrays, parts = final_state(one)["arrays"], [s["arrays"] for s in rank_states(two)]
    for name in ("reward", "flags", "action/0", "observation/0"):
        name, n = f"algo/replay/arrays/{name}", 12 * 2  # steps; behind them nothing is stored
        both = torch.cat([part[name][:n] for part in parts], 1)
        assert torch.equal(arrays[name][:n], both), name
    assert not torch.equal(*(part["algo/replay/arrays/reward"] for part in parts))
    for name in arrays:
        if name.startswith("sampler/"):
            assert torch.equal(arrays[name], parts[0][name]), name


# --- stopped and resumed ------------------------------------------------------------------------

WAYS: dict[str, dict[str, Any]] = {
    "lockstep": {"lockstep": True},
    "free": {},
    "two": {"world_size": 2},
}


def through(made: Callable[[], AsyncRl], stops: list[int], log_dir: Path) -> Path:
    for n, stop in enumerate(stops):
        with stopped_after(stop):
            train(made(), log_dir, resume=n > 0)
        assert read_run_state(log_dir / "run_0") == "preempted"
    return train(made(), log_dir, resume=True)


@pytest.mark.parametrize(
    ("way", "variant", "stops"),
    [
        ("free", "sac", [1, 5]),
        ("two", "sac", [3]),
        slow("lockstep", "sac", [5]),
        slow("lockstep", "r2d1", [25]),
        slow("two", "dqn", [1, 24, 10]),
        slow("two", "r2d1", [25]),
        slow("free", "dqn", [3, 22]),
        slow("free", "r2d1", [1, 24]),
        slow("free", "rainbow", [9, 15]),
        slow("free", "sac-lstm", [4]),
    ],
)
def test_resumed_is_uninterrupted(
    way: str, variant: str, stops: list[int], tmp_path: Path, free, request
):
    def made() -> AsyncRl:
        return as_async(run_of(variant, **OFTEN), **WAYS[way])

    if way == "free":
        whole = free(variant)
    elif (way, variant) == ("two", "sac"):
        whole = request.getfixturevalue("pair")
    else:
        whole = train(made(), tmp_path / "whole")
    run_dir = through(made, stops, tmp_path / "parts")
    assert_same_run(whole, run_dir)
    assert_same_checkpoints(whole, run_dir)


@pytest.mark.parametrize("way", ["free", slow("lockstep"), slow("two")])
def test_checkpoints_do_not_perturb(way: str, tmp_path: Path, free):
    """Not even those that wait for the batch that is on its way."""
    without = train(as_async(run_of("sac"), **WAYS[way]), tmp_path / "without")
    often = tmp_path / "often"
    whole = (
        free("sac")
        if way == "free"
        else train(as_async(run_of("sac", **OFTEN), **WAYS[way]), often)
    )
    assert_same_run(whole, without)


@pytest.mark.slow
def test_resumed_with_another_sampler_inside(tmp_path: Path, free):
    with stopped_after(4):
        train(as_async(run_of("sac", "cpu2")), tmp_path)
    assert_same_run(free("sac"), train(as_async(run_of("sac")), tmp_path, resume=True))


# --- what it refuses ----------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["a2c", "ppo", "pqn"])
def test_what_learns_from_its_own_samples_is_refused(algo: str, tmp_path: Path):
    with pytest.raises(RlpytError) as caught:
        train(as_async(small_runner(algo=algo)), tmp_path)
    name = algo.upper()
    assert caught.value.code == "config"
    assert caught.value.what == (
        f"{name} learns from what its present parameters have sampled, and AsyncRl samples with "
        "older ones"
    )
    assert "use IMPALA or APPO" in caught.value.hint
    assert "lockstep=True" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"world_size": 0}, "world_size=0"),
        ({"world_size": 3}, "sampler.batch_B=4 for world_size=3"),
        ({"timeout": 0.0}, "timeout=0.0"),
        ({"timeout": -1.0}, "timeout=-1.0"),
        ({"n_steps": 0}, "n_steps=0"),
        ({"seed": -1}, "seed=-1"),
        ({"start_method": "fork"}, "start_method='fork'"),
    ],
    ids=str,
)
def test_numbers_that_no_run_can_have(settings: dict[str, Any], told: str):
    with pytest.raises(RlpytError) as caught:
        replace(as_async(run_of("dqn")), **settings).train()
    assert caught.value.code == "config"
    assert caught.value.what == told
    assert caught.value.hint


def test_torchrun_is_not_for_it(monkeypatch: pytest.MonkeyPatch):
    place = {"RANK": "0", "WORLD_SIZE": "2", "MASTER_ADDR": "127.0.0.1", "MASTER_PORT": "1"}
    for name, value in place.items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RlpytError, match="AsyncRl in 2 processes of torchrun"):
        as_async(run_of("dqn")).train()


def test_an_environment_that_cannot_be_sent():
    """Not a name at the top level of a module."""
    made = run_of("dqn")
    made = replace(made, sampler=replace(made.sampler, env=lambda: Drift()))
    with pytest.raises(RlpytError, match="cannot be sent") as caught:
        as_async(made).train()
    assert caught.value.code == "config"
