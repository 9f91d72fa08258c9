"""Grids: what they unfold to, the names of their directories, and what they refuse."""

import re
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpyt.agents.dqn import DqnAgent
from rlpyt.agents.pg import PgAgent
from rlpyt.algos.dqn.dqn import DQN
from rlpyt.algos.pg.ppo import PPO
from rlpyt.launch import Grid, GridRun, apply_variant, grid, load_variant, save_variant
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError

SAMPLER = SerialSampler(env="CartPole-v1", batch_T=8, batch_B=4)
RUNNER = MinibatchRl(algo=PPO(), agent=PgAgent(), sampler=SAMPLER, n_steps=1000)


def error_of(call: Any, *args: Any, **more: Any) -> RlpytError:
    with pytest.raises(RlpytError) as caught:
        call(*args, **more)
    assert "\n" not in str(caught.value)
    return caught.value


def test_every_combination_with_every_seed():
    found = grid(algo__learning_rate=[1e-3, 3e-4], env=["CartPole-v1", "ALE/Pong-v5"], seeds=2)
    assert len(found) == 8
    assert found.variants == [
        {"algo": {"learning_rate": 0.001}, "env": "CartPole-v1"},
        {"algo": {"learning_rate": 0.001}, "env": "ALE/Pong-v5"},
        {"algo": {"learning_rate": 0.0003}, "env": "CartPole-v1"},
        {"algo": {"learning_rate": 0.0003}, "env": "ALE/Pong-v5"},
    ]
    assert found.log_dirs == [
        "learning_rate=0.001/env=CartPole-v1",
        "learning_rate=0.001/env=ALE-Pong-v5",
        "learning_rate=0.0003/env=CartPole-v1",
        "learning_rate=0.0003/env=ALE-Pong-v5",
    ]
    runs = list(found)
    assert [run.run_ID for run in runs] == [0] * 4 + [1] * 4
    assert runs[5] == GridRun(found.variants[1], found.log_dirs[1], 1)


def test_seeds_may_be_given_and_keys_left_out():
    assert list(grid(seeds=[7, 3])) == [GridRun({}, "", 7), GridRun({}, "", 3)]
    assert len(grid()) == 1


def test_runs_share_nothing():
    runs = list(grid(agent__model_kwargs__hidden_sizes=[[64, 64]], seeds=2))
    runs[0].variant["agent"]["model_kwargs"]["hidden_sizes"].append(1)
    assert runs[1].variant == {"agent": {"model_kwargs": {"hidden_sizes": [64, 64]}}}


def test_variants_make_runners_before_and_after_their_files(tmp_path):
    found = grid(
        algo__learning_rate=[1e-3],
        algo__OptimCls=[torch.optim.SGD],
        env=["Acrobot-v1"],
        agent__model_kwargs__hidden_sizes=[(32, 32)],
        sampler__batch_B=[np.int64(8)],
    )
    found.check(RUNNER)
    (variant,) = found.variants
    changed = apply_variant(RUNNER, variant)
    assert changed.algo.learning_rate == 1e-3
    assert changed.algo.OptimCls is torch.optim.SGD
    assert changed.sampler.env == "Acrobot-v1"
    assert changed.sampler.batch_B == 8
    save_variant(variant, tmp_path)
    again = apply_variant(RUNNER, load_variant(tmp_path))
    assert config_dict(again) == config_dict(changed)
    assert RUNNER.sampler.env == "CartPole-v1"


@pytest.mark.parametrize(
    ("values", "names"),
    [
        ([1e-3, 1e16, -1.5, 3], ["x=0.001", "x=1e16", "x=-1.5", "x=3"]),
        ([True, False, None], ["x=true", "x=false", "x=none"]),
        ([[64, 64], [128]], ["x=64_64", "x=128"]),
        (["ALE/Pong-v5", "../../etc", "a b\n", "ä", ""], None),
        ([{"a": 1, "b": [2]}, {}], ["x=a=1_b=2", "x=none"]),
    ],
)
def test_directory_names(values, names):
    found = grid(x=values).log_dirs
    if names is None:
        names = ["x=ALE-Pong-v5", "x=..-..-etc", "x=a-b-", "x=-", "x=empty"]
    assert found == names


def test_keys_with_the_same_end_are_told_apart():
    found = grid(algo__alpha=[1], algo__replay__alpha=[2], agent__size=[3], sampler__size=[4])
    assert found.log_dirs == ["algo.alpha=1/replay.alpha=2/agent.size=3/sampler.size=4"]


VALUES = st.recursive(
    st.none()
    | st.booleans()
    | st.integers()
    | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(), inner, max_size=3),
    max_leaves=20,
)


@settings(max_examples=200, derandomize=True, deadline=None, database=None)
@given(st.lists(VALUES, min_size=1, max_size=4))
def test_names_are_safe_and_different_or_refused(values):
    singly = [grid(algo__x=[value]).log_dirs[0] for value in values]
    if len({name.casefold() for name in singly}) < len(values):
        what = error_of(grid, algo__x=values).what
        assert "the same" in what or "would share the directory" in what
        return
    names = grid(algo__x=values).log_dirs
    assert names == singly
    assert all(re.fullmatch(r"x=[A-Za-z0-9_.=-]{1,60}", name) for name in names)
    assert len({name.casefold() for name in names}) == len(values)


@pytest.mark.parametrize(
    ("arguments", "what"),
    [
        ({"env": "CartPole-v1"}, "env='CartPole-v1' is no list of values"),
        ({"algo__lr": 1e-3}, "algo.lr=0.001 is no list of values"),
        ({"algo__lr": {"a": 1}}, "is no list of values"),
        ({"algo__lr": []}, "algo.lr=[] has no values"),
        ({"algo__lr": [float("nan")]}, "algo.lr=nan, which JSON does not have"),
        ({"algo__lr": [object()]}, "(object), which JSON does not have"),
        ({"algo__lr": [1e-3, 1e-3]}, "0.001 and 0.001 are the same"),
        ({"env": ["ALE/Pong", "ALE-Pong"]}, "would share the directory env=ALE-Pong"),
        ({"x": [1, "1"]}, "would share the directory x=1"),
        ({"x": ["Adam", "adam"]}, "would share the directory x=adam"),
        ({"algo": [{}], "algo__lr": [1]}, "algo and algo.lr varied by two keys"),
        ({"algo__lr": [1], "algo.lr": [1]}, "algo.lr is given twice"),
        ({"algo__": [1]}, "malformed path 'algo.'"),
        ({"seed": [1, 2]}, "seed is no setting of a grid"),
        ({"seeds": 0}, "seeds=0"),
        ({"seeds": True}, "seeds=True"),
        ({"seeds": []}, "seeds=[]"),
        ({"seeds": [1, 1]}, "seeds=[1, 1] has one twice"),
        ({"seeds": [1, -1]}, "seeds: -1"),
        ({"seeds": [1.5]}, "seeds: 1.5"),
        ({"seeds": "12"}, "seeds='12'"),
    ],
)
def test_grids_that_cannot_be(arguments, what):
    error = error_of(grid, **arguments)
    assert error.code == "config"
    assert what in error.what


@pytest.mark.parametrize(
    ("arguments", "what", "hint"),
    [
        ({"algo__learning_rat": [1]}, "algo.learning_rat: PPO has no field", "'learning_rate'"),
        ({"algoo__x": [1]}, "algoo.x: MinibatchRl has no field 'algoo'", "did you mean 'algo'"),
        ({"algo__learning_rate": [1e-3, "fast"]}, "algo.learning_rate takes float, not 'fast'", ""),
        ({"algo__epochs": [1.5]}, "algo.epochs takes int", ""),
        ({"sampler__batch_B": [8, 0]}, "sampler.batch_B=0", "use 1 or more"),
        ({"n_steps": [-1]}, "n_steps=-1", "use 1 or more"),
        ({"env": ["CartPole-v1", "CartPol-v1"]}, "'CartPol-v1'", "CartPole-v1"),
        ({"env": ["no_such_module:make"]}, "cannot import 'no_such_module'", ""),
        ({"algo__learning_rate__x": [1]}, "algo.learning_rate.x: learning_rate", ""),
    ],
)
def test_a_runner_refuses_what_it_is_not(arguments, what, hint):
    error = error_of(grid(**arguments).check, RUNNER)
    assert what in error.what
    assert hint in error.hint
    last = [f"variant {log_dir}" for log_dir in grid(**arguments).log_dirs][-1]
    assert error.where.endswith(last)


def test_checking_makes_no_environment(monkeypatch):
    monkeypatch.setattr("gymnasium.make", None)
    dqn = MinibatchRl(algo=DQN(), agent=DqnAgent(), sampler=SAMPLER, n_steps=1000)
    found = grid(algo__learning_rate=[10.0**-n for n in range(5)], env=["CartPole-v1"], seeds=100)
    found.check(dqn)
    assert isinstance(found, Grid)
    assert len(found) == 500
