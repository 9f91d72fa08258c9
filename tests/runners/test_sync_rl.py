"""SyncRl: several processes that sample each for itself and learn as one."""

import json
import os
import signal
import socket
import subprocess
import sys
import time
from contextlib import closing
from dataclasses import replace
from functools import partial
from itertools import pairwise
from pathlib import Path
from typing import Any

import pytest
import torch
from q_runs import q_runner
from runner_fakes import (
    assert_same_run,
    final_state,
    parameters,
    read_rows,
    small_runner,
    train,
)
from test_family_resume import runner as family_runner
from torch.distributed import HashStore
from world_runs import (
    OFTEN,
    as_sync,
    assert_equal_ranks,
    assert_same_checkpoints,
    rank_states,
    stopped_after,
)

import rlpyt.runners.announce
from rlpyt.agents.base import Agent
from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.algos import NGU, Agent57, IntrinsicRewards
from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.logging.run_state import read_run_state
from rlpyt.rewards import RND
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.ranks import Seat, _neighbours_check
from rlpyt.runners.sync_rl import SyncRl
from rlpyt.samplers.requests import send
from rlpyt.samplers.role import Roles
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.processes import ProcessIdentity
from rlpyt.utils.world import World

slow = partial(pytest.param, marks=pytest.mark.slow)
CPU = torch.device("cpu")
N_ITR = 5  # of 128 steps: 16 in each of four environments of two ranks


def ppo(**settings: Any) -> SyncRl:
    return as_sync(small_runner(n_itr=10, **settings))


@pytest.fixture(scope="module")
def whole(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The uninterrupted run of two ranks."""
    return train(ppo(**OFTEN), tmp_path_factory.mktemp("whole"))


# --- alone --------------------------------------------------------------------------------------


@pytest.mark.parametrize("algo", ["ppo", "sac", "dqn"])
def test_one_process_is_the_plain_run(algo: str, tmp_path: Path):
    def made() -> Any:
        if algo == "dqn":
            return q_runner("dqn", n_itr=40)
        return small_runner(algo=algo, continuous=algo == "sac", recurrent="lstm")

    alone = train(made(), tmp_path / "alone")
    assert_same_run(alone, train(as_sync(made(), world_size=1), tmp_path / "sync"))


# --- two ---------------------------------------------------------------------------------------


def test_ranks_stay_equal(whole: Path):
    assert_equal_ranks(whole)
    for itr in range(N_ITR + 1):
        one, other = (final_state(whole, part, itr)["arrays"] for part in ("", "rank_1"))
        names = [name for name in one if name.startswith("agent/")]
        assert all(torch.equal(one[name], other[name]) for name in names)


def test_ranks_have_environments_and_noise_of_their_own(whole: Path):
    one, other = (state["arrays"] for state in rank_states(whole))
    assert not torch.equal(one["sampler/observation/0"], other["sampler/observation/0"])
    states = [
        Checkpointer(whole / "checkpoints" / part).load_latest()[0] for part in ("", "rank_1")
    ]
    assert len({str(state["algo"]["generator"]) for state in states}) == 2
    generators = [str(g) for state in states for g in state["sampler"]["actor"]["generators"]]
    assert len(set(generators)) == 8


def test_steps_are_counted_over_all(whole: Path):
    rows = read_rows(whole)
    assert [float(row["Diagnostics/CumSteps"]) for row in rows] == [128.0 * n for n in range(1, 6)]
    assert [float(row["Diagnostics/Iteration"]) for row in rows] == [1, 2, 3, 4, 5]
    assert [float(row["Diagnostics/ReplayRatio"]) for row in rows] == [2.0] * 5  # two epochs
    manifest = Checkpointer(whole / "checkpoints").load_latest()[1]
    assert (manifest.itr, manifest.cum_steps) == (N_ITR, 640)


def test_only_the_first_writes_but_for_its_part(whole: Path):
    assert {path.name for path in whole.iterdir() if path.suffix != ".diff"} == {
        *("checkpoints", "debug.log", "params.json", "progress.csv", "provenance.json"),
        *("state.json", "variant.json"),
    }
    [part] = whole.glob("checkpoints/rank_*")
    assert part.name == "rank_1"
    assert sorted(Checkpointer(part).saved()) == sorted(Checkpointer(whole / "checkpoints").saved())
    assert all(path.name.startswith("itr_") for path in part.iterdir())


def one_world(ranks: int, **settings: Any) -> BaseRunner:
    """Eight environments in all, and nobody learns."""
    made = small_runner(n_itr=10, **settings)
    made = replace(
        made,
        n_steps=1280,
        algo=replace(made.algo, learning_rate=0.0),
        sampler=replace(made.sampler, batch_B=8 // ranks, group_size=4),
    )
    return as_sync(made, world_size=ranks)


@pytest.fixture(scope="module")
def unlearned(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """With the eight environments in one process, and in two."""
    root = tmp_path_factory.mktemp("unlearned")
    return train(one_world(1), root / "1"), train(one_world(2), root / "2")


def test_episodes_of_all_are_in_the_log(unlearned: tuple[Path, Path]):
    """Without learning all environments do what they do in one process."""
    for row, other in zip(*map(read_rows, unlearned), strict=True):
        for name in ("NewCompletedTrajs", "CumCompletedTrajs", "StepsInTrajWindow", "CumSteps"):
            assert row[f"Diagnostics/{name}"] == other[f"Diagnostics/{name}"]
        for name in ("ReturnMin", "ReturnMax", "LengthMedian", "DiscountedReturnMax"):
            assert row[name] == other[name]
        for name in ("ReturnAverage", "ReturnStd"):
            assert float(row[name]) == pytest.approx(float(other[name]), rel=1e-9)
    assert float(read_rows(unlearned[0])[-1]["Diagnostics/CumCompletedTrajs"]) > 20


def test_statistics_are_those_of_all_data(unlearned: tuple[Path, Path]):
    alone = final_state(unlearned[0])["arrays"]
    ranks = [state["arrays"] for state in rank_states(unlearned[1])]
    names = [n for n in alone if n.endswith(("count", "mean", "var"))]
    assert {name.partition("/")[0] for name in names} == {"agent", "algo"}  # and of returns
    for name in names:
        assert torch.equal(ranks[0][name], ranks[1][name]), name
        torch.testing.assert_close(ranks[0][name], alone[name], rtol=1e-9, atol=1e-12)
    assert max(float(alone[name]) for name in names if name.endswith("count")) == 1280


def test_each_rank_has_its_share_of_the_vector_epsilon():
    """Whose place in the whole counts, not the one among its rank's."""
    epsilon = EpsilonGreedy(initial=0.0, final=0.5, final_min=0.01, steps=1)

    def shares(rank: int, n_ranks: int) -> Any:
        agent: Agent = DqnAgent(model_kwargs={"hidden_sizes": [4]}, epsilon=epsilon)
        B = 8 // n_ranks
        sampler = SerialSampler(env="runner_fakes:Drift", batch_T=40, batch_B=B, group_size=4)
        agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
        sampler.initialize(agent, seed=0, rank=rank, n_ranks=n_ranks)
        try:
            return torch.cat([sampler.obtain_samples(itr)[0].action.clone() for itr in range(3)])
        finally:
            sampler.shutdown()

    together = torch.cat([shares(0, 2), shares(1, 2)], 1)
    assert torch.equal(together, shares(0, 1))
    assert not torch.equal(shares(0, 2), shares(1, 2))


def test_all_stop_early_together(tmp_path: Path):
    """By a divergence that is the mean of all: else one would wait for the other's gradients."""
    made = small_runner(n_itr=10)
    algo = replace(made.algo, epochs=8, target_kl=0.01, learning_rate=3e-2)
    run_dir = train(as_sync(replace(made, algo=algo)), tmp_path)
    assert_equal_ranks(run_dir)
    counts = [float(row["Diagnostics/CumUpdates"]) for row in read_rows(run_dir)]
    updates = [after - before for before, after in pairwise([0.0, *counts])]
    assert len(set(updates)) > 2  # not at once, and not at the end
    assert max(updates) <= 8 * 2


@pytest.mark.slow
def test_evaluations_are_the_first_ones(tmp_path: Path, whole: Path):
    run_dir = train(ppo(evaluator=Evaluator(episodes=3, n_envs=2)), tmp_path)
    assert_equal_ranks(run_dir)
    arrays, found = final_state(whole)["arrays"], final_state(run_dir)["arrays"]
    assert all(torch.equal(found[name], array) for name, array in arrays.items())
    rows = read_rows(run_dir)
    assert [float(row["Diagnostics/CumSteps"]) for row in rows] == [128.0 * n for n in range(6)]
    assert all(float(row["Diagnostics/TrajsInEval"]) == 3 for row in rows)


@pytest.mark.slow
def test_a_runner_trains_twice():
    made = ppo()
    made.train()
    once = parameters(made)
    made.train()
    assert parameters(made) == once


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sac", "rainbow", "r2d1", "pqn", "a2c"])
def test_other_algorithms_stay_equal(kind: str, tmp_path: Path):
    if kind in ("rainbow", "r2d1"):
        made = q_runner(kind, n_itr=80)
    else:
        made = small_runner(algo=kind, continuous=kind == "sac")
    assert_equal_ranks(train(as_sync(made), tmp_path))


def test_ranks_that_are_paid_for_novelty_stay_equal(tmp_path: Path):
    """Also the networks that find it, taught by the data of all."""
    sizes = {"feature_size": 4, "hidden_sizes": (8,)}
    made = small_runner(n_itr=4, intrinsic=IntrinsicRewards(RewardCls=RND, reward_kwargs=sizes))
    run_dir = train(as_sync(made), tmp_path)
    assert_equal_ranks(run_dir)
    first, second = (state["arrays"] for state in rank_states(run_dir))
    taught = [name for name in first if "intrinsic" in name and "predictor" in name]
    assert taught
    assert all(torch.equal(first[name], second[name]) for name in taught)


@pytest.mark.slow
def test_three_ranks(tmp_path: Path):
    run_dir = train(as_sync(small_runner(n_itr=9), world_size=3), tmp_path)
    assert_equal_ranks(run_dir, 3)
    assert float(read_rows(run_dir)[-1]["Diagnostics/CumSteps"]) == 9 * 64


# --- stopped and resumed ------------------------------------------------------------------------


@pytest.mark.parametrize("stops", [[2], slow([1, 1, 2])], ids=str)
def test_resumed_is_uninterrupted(stops: list[int], tmp_path: Path, whole: Path):
    for n, stop in enumerate(stops):
        with stopped_after(stop):
            train(ppo(**OFTEN), tmp_path, resume=n > 0)
        assert read_run_state(tmp_path / "run_0") == "preempted"
    made = replace(ppo(**OFTEN), timeout=50.0)  # on which nothing depends
    run_dir = train(made, tmp_path, resume=True)
    assert_same_run(whole, run_dir)
    assert_same_checkpoints(whole, run_dir)
    assert read_run_state(run_dir) == "done"


@pytest.mark.slow
@pytest.mark.parametrize("kind", ["sac", "rainbow", "r2d1", "ngu", "agent57"])
def test_resumed_with_replays(kind: str, tmp_path: Path):
    def made() -> SyncRl:
        if kind in ("ngu", "agent57"):
            alone = family_runner({"ngu": NGU, "agent57": Agent57}[kind])
            return as_sync(replace(alone, n_steps=960, **OFTEN))
        if kind == "sac":
            return as_sync(small_runner(algo="sac", continuous=True, **OFTEN))
        return as_sync(q_runner(kind, n_itr=60, **OFTEN))

    one = train(made(), tmp_path / "whole")
    for n, stop in enumerate([2, 1]):
        with stopped_after(stop, signal.SIGINT):
            train(made(), tmp_path / "parts", resume=n > 0)
    other = train(made(), tmp_path / "parts", resume=True)
    assert_same_run(one, other)
    assert_same_checkpoints(one, other)


@pytest.mark.slow
def test_checkpoints_do_not_perturb(tmp_path: Path, whole: Path):
    assert_same_run(whole, train(ppo(), tmp_path))


def test_a_save_of_the_first_that_fails_is_made_again_by_all(tmp_path: Path, monkeypatch):
    """Else the others would be through, and the first wait for them."""
    save, failed = Checkpointer.save, []

    def failing(self: Checkpointer, state: Any, *, itr: int, **settings: Any) -> Path:
        if itr == N_ITR and not failed:
            failed.append(itr)
            raise RlpytError("checkpoint", "no room")
        return save(self, state, itr=itr, **settings)

    monkeypatch.setattr(Checkpointer, "save", failing)
    with pytest.warns(RuntimeWarning, match="no room; the run goes on"):
        run_dir = train(replace(ppo(checkpoint_interval_steps=640), timeout=3.0), tmp_path)
    assert failed
    assert [state["itr"] for state in rank_states(run_dir)] == [N_ITR, N_ITR]


@pytest.mark.slow
@pytest.mark.filterwarnings("default")
def test_a_damaged_part_costs_all_ranks_only_time(tmp_path: Path, whole: Path, recwarn):
    """They go back together, to what both have."""
    with stopped_after(3):
        train(ppo(**OFTEN), tmp_path)
    arrays = tmp_path / "run_0/checkpoints/rank_1/itr_000000003/arrays.safetensors"
    content = bytearray(arrays.read_bytes())
    content[len(content) // 2] ^= 1
    arrays.write_bytes(content)
    run_dir = train(ppo(**OFTEN), tmp_path, resume=True)
    messages = [str(warning.message) for warning in recwarn]
    assert any("fell back to iteration 2: rank 1: " in message for message in messages), messages
    assert_same_run(whole, run_dir)


@pytest.mark.slow
def test_with_another_number_of_ranks_there_is_nothing_to_resume(tmp_path: Path):
    with stopped_after(2):
        train(ppo(), tmp_path)
    with pytest.raises(RlpytError, match=r"world_size=3 differs from the run's 2"):
        train(replace(ppo(), world_size=3), tmp_path, resume=True)


# --- what it refuses ----------------------------------------------------------------------------


@pytest.mark.skipif(torch.accelerator.is_available(), reason="here is one")
def test_without_accelerators_a_number_is_needed():
    with pytest.raises(RlpytError, match="world_size=None without an accelerator") as caught:
        as_sync(small_runner(), world_size=None).train()
    assert "--world-size 2" in caught.value.hint


@pytest.mark.parametrize(
    ("settings", "told"),
    [
        ({"world_size": 0}, "world_size=0"),
        ({"timeout": 0.0}, "timeout=0.0"),
        ({"start_method": "fork"}, "start_method='fork'"),
        ({"n_steps": 0}, "n_steps=0"),
    ],
    ids=str,
)
def test_numbers_that_no_run_can_have(settings: dict[str, Any], told: str):
    with pytest.raises(RlpytError) as caught:
        replace(ppo(), **settings).train()
    assert (caught.value.code, caught.value.what) == ("config", told)
    assert caught.value.hint


def test_torchrun_says_how_many(monkeypatch: pytest.MonkeyPatch):
    for name, value in launch(0, 1).items():
        monkeypatch.setenv(name, value)
    with pytest.raises(RlpytError, match="world_size=3, and torchrun has started 2"):
        as_sync(small_runner(), world_size=3).train()


def test_a_neighbour_that_has_ended_is_noticed_in_a_wait():
    """Under torchrun, whose store outlives the ranks."""
    store, seat = HashStore(), Seat(rank=1, size=2, local_rank=1, port=None, timeout=60.0)
    with subprocess.Popen(
        [sys.executable, "-S", "-c", "input()"], stdin=subprocess.PIPE
    ) as neighbour:
        identity = ProcessIdentity.of(neighbour.pid)
        store.set("process/0", json.dumps([identity.host, identity.pid, identity.start]))
        check = _neighbours_check(store, seat)
        check()
        neighbour.kill()
        start = time.monotonic()
        with pytest.raises(RlpytError, match="rank 0 of 2 has ended") as caught:
            World(1, 2, store=store, timeout=60.0, check=check).meet()
    assert caught.value.where == f"pid {neighbour.pid}"
    assert time.monotonic() - start < 10


def test_who_has_come_may_end_before_the_others_have_seen_it():
    store = HashStore()

    def came_and_ended() -> None:
        store.add("meeting/1", 1)
        raise RlpytError("rank", "rank 0 of 2 has ended")

    World(1, 2, store=store, check=came_and_ended).meet()
    assert store.add("meeting/1", 0) == 2


# --- ranks that differ --------------------------------------------------------------------------


def launch(rank: int, port: int) -> dict[str, str]:
    """What torchrun tells one of two processes."""
    place = {"RANK": rank, "LOCAL_RANK": rank, "WORLD_SIZE": 2, "MASTER_PORT": port}
    return {"MASTER_ADDR": "127.0.0.1", "GLOO_SOCKET_IFNAME": "lo"} | {
        name: str(number) for name, number in place.items()
    }


def launched_body(setup: tuple[int, SyncRl], pipe: Any) -> None:
    port, runner = setup
    os.environ |= launch(1, port)
    try:
        runner.train()
    except RlpytError as error:
        send(pipe, error)


def launched_pair(
    first: SyncRl, other: SyncRl, patch: pytest.MonkeyPatch
) -> tuple[RlpytError, RlpytError]:
    """What both are told, as if torchrun had started them."""
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    for name, value in launch(0, port).items():
        patch.setenv(name, value)
    with closing(Roles("forkserver")) as roles:
        role = roles.start("the other", launched_body, (port, other), torch_threads=1)
        with pytest.raises(RlpytError) as caught:
            first.train()
        return caught.value, role.receive(30.0)


DIFFERENCES: dict[str, tuple[dict[str, Any], str]] = {
    "seed": ({"seed": 5}, "seed=5"),
    "steps": ({"n_steps": 64}, "n_steps=64"),
    "algorithm": ({"algo": "a2c"}, "algo.class='rlpyt.algos.pg.a2c.A2C'"),
    "model": ({"recurrent": "gru"}, "agent.model_kwargs.recurrent='gru'"),
}


@pytest.mark.faults("F32")
@pytest.mark.parametrize("which", [*DIFFERENCES, "code"])
def test_ranks_that_were_started_differently(which: str, monkeypatch: pytest.MonkeyPatch):
    """F32: both are told by name what differs, and how."""
    settings, told = DIFFERENCES.get(which, ({}, ""))
    made, other = (as_sync(small_runner(**s), world_size=None) for s in ({}, settings))
    if which == "code":
        monkeypatch.setattr(rlpyt.runners.announce, "source_digest", lambda: "0123456789ab")
        told = "source 0123456789ab' in rank 0"
    errors = launched_pair(made, other, monkeypatch)
    for error in errors:
        assert error.code == "rank"
        assert error.hint == "start all ranks with the same code, settings and seed"
    assert told in errors[which == "code"].what
    assert errors[0].what.startswith(told.partition("=")[0] if which != "code" else "rlpyt=")
