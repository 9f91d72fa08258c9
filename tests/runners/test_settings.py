"""What a resumed run may set anew, and when its floats are others."""

import json
from copy import deepcopy
from dataclasses import replace
from typing import Any

import pytest
import torch
from runner_fakes import small_runner

from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.cli.changes import accept_changes
from rlpyt.rewards import E3B
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.runners.settings import check_unchanged, lost_exactness, setting_changes
from rlpyt.samplers import AlternatingSampler, CpuSampler, GpuSampler, SerialSampler
from rlpyt.utils.config import config_dict, fresh
from rlpyt.utils.cpus import CpuAffinity
from rlpyt.utils.errors import RlpytError


def config(**settings: Any) -> dict[str, Any]:
    """Of a small run, as it comes back from params.json."""
    written: dict[str, Any] = json.loads(json.dumps(config_dict(small_runner(**settings))))
    return written


def with_sampler(cls: Any, **settings: Any) -> dict[str, Any]:
    """The same run with another sampler; its plan too."""
    common = {"env": "runner_fakes:Drift", "batch_T": 4, "batch_B": 8}
    sampler = cls(**{**common, **settings})
    params = config() | {"sampler": config_dict(sampler), "extra": {"plan": sampler.plan()}}
    loaded: dict[str, Any] = json.loads(json.dumps(params))
    return loaded


def test_the_same_settings_are_unchanged():
    check_unchanged(config(), config(), "here")
    check_unchanged({**config(), "name": "x", "run_ID": 3, "extra": {}}, config(), "here")


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("checkpoint_interval_steps", 5),
        ("device", "cuda:1"),
        ("keep_checkpoints", 9),
        ("log_interval_steps", None),
        ("n_steps", 10**6),
    ],
)
def test_what_may_change(name: str, value: Any):
    check_unchanged(config(), config() | {name: value}, "here")


def changed(path: str, value: Any) -> dict[str, Any]:
    found = config(evaluator=Evaluator(), recurrent="lstm")
    node, *rest = path.split(".")
    inside = found
    for part in rest:
        inside, node = inside[node], part
    if value is KeyError:
        del inside[node]
    else:
        inside[node] = value
    return found


@pytest.mark.parametrize(
    ("path", "value", "told"),
    [
        ("seed", 1, "seed=1 differs from the run's 0"),
        ("torch_threads", 2, "torch_threads=2 differs from the run's 1"),
        ("sampler.batch_B", 5, "sampler.batch_B=5 differs from the run's 4"),
        ("sampler.group_size", 2, "sampler.group_size=2 differs from the run's None"),
        ("sampler.mid_batch_reset", False, "sampler.mid_batch_reset=False differs"),
        (
            "sampler.env.kwargs.length",
            0.1,
            "sampler.env.kwargs.length=0.1 differs from the run's (not set)",
        ),
        ("algo.class", "x.Y", "algo.class='x.Y' differs from the run's 'rlpyt.algos.pg.ppo.PPO'"),
        ("agent.model_kwargs.hidden_sizes", [9], r"hidden_sizes=[9] differs from the run's [8]"),
        (
            "agent.model_kwargs.recurrent",
            KeyError,
            "recurrent=(not set) differs from the run's 'lstm'",
        ),
        ("evaluator.episodes", 3, "evaluator.episodes=3 differs from the run's 10"),
        ("evaluator", None, "evaluator=None differs from the run's Evaluator(...)"),
    ],
)
def test_what_may_not_is_named_with_both_values(path: str, value: Any, told: str):
    before = config(evaluator=Evaluator(), recurrent="lstm")
    with pytest.raises(RlpytError) as caught:
        check_unchanged(before, changed(path, value), "DIR/params.json")
    assert told in caught.value.what
    assert caught.value.where == "DIR/params.json"
    assert caught.value.code == "config"
    with pytest.raises(RlpytError, match="differs from"):
        check_unchanged(changed(path, value), before, "DIR/params.json")


def test_an_evaluator_may_not_join_a_run():
    with pytest.raises(RlpytError, match=r"evaluator=Evaluator\(\.\.\.\) differs from .* None"):
        check_unchanged(config(), config(evaluator=Evaluator()), "here")


def test_fields_that_another_release_has_are_passed_over():
    before, now = config(), config()
    del before["algo"]["value_clip"], before["torch_threads"], before["sampler"]["group_size"]
    now["agent"]["new"] = 5
    check_unchanged(before, now, "here")


SAMPLERS = [
    with_sampler(SerialSampler, group_size=2),
    with_sampler(CpuSampler, group_size=2, n_workers=2),
    with_sampler(CpuSampler, group_size=2, n_workers=4, worker_timeout=1.0, start_method="spawn"),
    with_sampler(GpuSampler, group_size=2, on_worker_failure="restart", max_restarts=1),
    with_sampler(AlternatingSampler, group_size=2, affinity=CpuAffinity(workers=[[0]], master=[])),
]


@pytest.mark.parametrize("before", SAMPLERS)
@pytest.mark.parametrize("now", SAMPLERS)
def test_with_a_group_size_the_sampler_may_change(before: Any, now: Any):
    check_unchanged(before, now, "here")
    assert lost_exactness(before, now) is None


def test_without_a_group_size_it_counts_how_many_act_together():
    serial = with_sampler(SerialSampler)
    gpu = [with_sampler(GpuSampler, n_workers=n) for n in (1, 2)]
    cpu = {n: with_sampler(CpuSampler, n_workers=n) for n in (1, 2, 3)}
    alternating = with_sampler(AlternatingSampler, n_workers=2)
    for same in (serial, *gpu, cpu[1]):
        check_unchanged(serial, same, "here")
        assert lost_exactness(serial, same) is None
        assert lost_exactness(same, serial) is None
    assert lost_exactness(cpu[2], alternating) is None
    for before, now, text in (
        (serial, cpu[2], "acts for 4 environments at a time, before for 8:"),
        (cpu[2], cpu[3], "acts for 2 or 3 environments at a time, before for 4:"),
        (gpu[0], alternating, "acts for 4 environments at a time, before for 8:"),
    ):
        check_unchanged(before, now, "here")
        lost = lost_exactness(before, now)
        assert text in lost
        assert "only up to float sums" in lost
        assert "sampler.group_size" in lost


def test_threads_of_inference_count_too():
    two = CpuAffinity(workers=[[], []], master=[], worker_torch_threads=2)
    before = with_sampler(CpuSampler, group_size=2, n_workers=2)
    now = with_sampler(CpuSampler, group_size=2, affinity=two)
    assert "the agent acts on 2 threads, before on 1: " in lost_exactness(before, now)
    assert lost_exactness(before, with_sampler(GpuSampler, group_size=2, affinity=two)) is None


def test_a_run_that_kept_no_plan():
    before = deepcopy(SAMPLERS[0])
    del before["extra"]
    assert lost_exactness(before, SAMPLERS[1]) is None


def nested(path: str, value: Any) -> dict[str, Any]:
    for part in reversed(path.split(".")):
        value = {part: value}
    return value


@pytest.mark.parametrize(
    ("kind", "paths"),
    [
        (
            "impossible",
            "agent.class algo.class algo.replay.size algo.replay.priority.alpha class init_from "
            "sampler.TrajInfoCls sampler.batch_B sampler.batch_T sampler.env.id "
            "sampler.env.kwargs.length sampler.mid_batch_reset world_size",
        ),
        (
            "override",
            "agent.model_kwargs.hidden_sizes algo.learning_rate algo.replay.checkpointed "
            "evaluator.episodes sampler.group_size seed torch_threads",
        ),
        (
            "allowed",
            "checkpoint_interval_steps device keep_checkpoints log_interval_steps n_steps "
            "pause_steps sampler.affinity.master sampler.class sampler.max_restarts "
            "sampler.n_workers sampler.on_worker_failure sampler.worker_timeout timeout",
        ),
    ],
)
def test_each_setting_has_its_kind(kind: str, paths: str):
    for path in paths.split():
        [change] = setting_changes(nested(path, 1), nested(path, 2))
        assert (change.setting, change.before, change.now, change.kind) == (path, 1, 2, kind)
        assert bool(change.why) == (kind == "impossible")


def state_of(runner: MinibatchRl) -> dict[str, Any]:
    """What a checkpoint of a run of these settings holds of agent and algorithm."""
    begun = fresh(runner)
    begun.agent.initialize(begun.sampler.env_spaces(), seed=0, device=torch.device("cpu"))
    spec = begun.sampler.batch_spec
    begun.algo.initialize(begun.agent, n_itr=begun.n_itr, batch_spec=spec, seed=0)
    return {"agent": begun.agent.state_dict(), "algo": begun.algo.state_dict()}


def test_what_an_algorithm_s_checkpoint_does_not_fit_is_impossible(capsys):
    runner = small_runner(algo="sac", continuous=True)
    state = state_of(runner)
    before = json.loads(json.dumps(config_dict(runner)))
    slower = replace(runner, algo=replace(runner.algo, learning_rate=1e-5))
    assert [each.kind for each in accept_changes(before, slower, state, override=True)] == [
        "override"
    ]
    larger = replace(runner, algo=replace(slower.algo, critic_kwargs={"hidden_sizes": [9]}))
    with pytest.raises(RlpytError, match=r"algo\.\S+ differs from .*: impossible, ") as caught:
        accept_changes(before, larger, state, override=True)
    assert "does not fit" in caught.value.what
    rows = capsys.readouterr().err.splitlines()
    assert any(row.startswith("algo.critic_kwargs") and "impossible" in row for row in rows)


def test_no_value_and_none_are_not_the_same():
    """An item of a dict that is set to None is a change where its default is not None."""
    before, now = nested("algo.kwargs", {"a": 1}), nested("algo.kwargs", {"a": 1, "b": None})
    for first, second in ((before, now), (now, before)):
        [change] = setting_changes(first, second)
        assert change.setting == "algo.kwargs.b"
        assert {change.before, change.now} == {"(not set)", None}
        assert "b=" in change.told
        assert "'(not set)'" not in change.told


def test_another_intrinsic_reward_is_impossible_and_says_so(capsys):
    runner = small_runner(algo="a2c")
    rnd = IntrinsicRewards(reward_kwargs={"hidden_sizes": [4]})
    runner = replace(runner, algo=replace(runner.algo, intrinsic=rnd))
    state = state_of(runner)
    before = json.loads(json.dumps(config_dict(runner)))
    other = replace(rnd, RewardCls=E3B)
    changed = replace(runner, algo=replace(runner.algo, intrinsic=other, learning_rate=1e-5))
    with pytest.raises(RlpytError, match=r"RewardCls.*impossible, .* is not this E3B"):
        accept_changes(before, changed, state, override=True)
    table = capsys.readouterr().err.splitlines()
    kinds = {row.split()[0]: "impossible" in row for row in table[1:]}
    assert kinds == {"algo.intrinsic.RewardCls": True, "algo.learning_rate": False}
