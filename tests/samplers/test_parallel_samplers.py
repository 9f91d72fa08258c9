"""Parallel samplers as users meet them: settings and mistakes, life cycle, every back end."""

import gc
import json
import os
import pickle
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from parallel_fakes import (
    FEW_CPUS,
    LAYOUTS,
    PARALLEL,
    Case,
    NestedEnv,
    PeakTrajInfo,
    assert_bitwise,
    assert_same_batches,
    known,
    sampled,
)
from sampler_fakes import CPU, LSTM, MaskEnv, WalkEnv, as_lists

import rlpyt.samplers.plan
from rlpyt.agents.pg import PgAgent
from rlpyt.envs.build import EnvConfig
from rlpyt.runners.evaluator import Evaluator
from rlpyt.samplers import AlternatingSampler, BaseSampler, CpuSampler, GpuSampler
from rlpyt.utils.cpus import Cpus
from rlpyt.utils.errors import RlpytError

pytestmark = pytest.mark.filterwarnings(FEW_CPUS)
kinds = pytest.mark.parametrize("cls", [CpuSampler, GpuSampler, AlternatingSampler])
two_workers = pytest.mark.parametrize("layout", ["cpu2", "gpu2", "alternating2"])


def make(layout: str, env: Any = WalkEnv, **settings: Any) -> BaseSampler:
    """Four environments in groups of two."""
    cls, own = LAYOUTS[layout]
    return cls(**{"env": env, "batch_T": 9, "batch_B": 4, "group_size": 2, **own, **settings})


def start(sampler: BaseSampler, model_kwargs: Any = None) -> BaseSampler:
    agent = PgAgent(model_kwargs=model_kwargs or {})
    agent.initialize(sampler.env_spaces(), seed=3, device=CPU)
    sampler.initialize(agent, seed=3, bootstrap_value=True, discount=0.9)
    return sampler


def same_as_serial(layout: str, env: Any, *, agent: PgAgent | None = None, **settings: Any) -> Any:
    """Sampled with the layout, after a comparison with the serial sampler."""
    expected = sampled(make("serial", env, **settings), agent=agent)
    found = sampled(make(layout, env, **settings), agent=agent)
    assert_same_batches(expected, found)
    assert sum(len(trajs) for _samples, trajs in found[:-1]) > 2
    return found


# --- settings and mistakes ----------------------------------------------------------------------


@kinds
def test_uninitialized_it_is_its_configuration(cls: Any):
    sampler = cls(env="CartPole-v1", batch_T=5, batch_B=4, n_workers=2, worker_timeout=7.0)
    assert sampler == cls(env="CartPole-v1", batch_T=5, batch_B=4, n_workers=2, worker_timeout=7.0)
    assert sampler != cls(env="CartPole-v1", batch_T=5, batch_B=4, n_workers=1, worker_timeout=7.0)
    assert pickle.loads(pickle.dumps(sampler)) == sampler
    assert " _" not in repr(sampler)


@pytest.mark.parametrize(
    ("layout", "settings", "message"),
    [
        ("cpu2", {"group_size": 3}, r"sampler\.batch_B=4 must be a multiple of 3"),
        ("gpu2", {"group_size": 8}, r"sampler\.batch_B=4 must be a multiple of 8"),
        ("alternating2", {"batch_B": 5, "group_size": None}, r"batch_B=5 must be a multiple of 2"),
        ("alternating2", {"batch_B": 6}, r"batch_B=6 must be a multiple of 4"),
        ("cpu2", {"n_workers": 0}, r"sampler\.n_workers=0 must be at least 1"),
        ("gpu2", {"group_size": 0}, r"sampler\.group_size=0 must be at least 1"),
        ("cpu2", {"start_method": "fork"}, r"sampler\.start_method='fork'.*forkserver"),
        ("cpu2", {"worker_timeout": 0.0}, r"sampler\.worker_timeout=0\.0.*above 0"),
        ("cpu2", {"env": lambda: WalkEnv()}, r"cannot be sent to a worker.*module:name"),
    ],
    ids=lambda value: value if isinstance(value, str) else "-".join(value),
)
def test_a_mistake_is_one_line_and_starts_nothing(layout: str, settings: Any, message: str):
    with pytest.raises(RlpytError, match=message) as caught:
        start(make(layout, **settings))
    assert caught.value.code == "config"
    assert "\n" not in str(caught.value)
    make("cpu2").shutdown()  # of what never started


@two_workers
def test_a_sampler_can_be_put_right_after_a_mistake(layout: str):
    sampler = make(layout, env=lambda: WalkEnv())
    with pytest.raises(RlpytError, match="cannot be sent"):
        start(sampler)
    sampler.env = WalkEnv
    assert_same_batches(sampled(make("serial")), sampled(sampler))


@two_workers
@pytest.mark.parametrize("method", ["obtain_samples", "state_dict", "load_state_dict", "times"])
def test_before_initialize_and_after_shutdown_it_says_what_to_do(layout: str, method: str):
    arguments = {"obtain_samples": [0], "load_state_dict": [{}]}.get(method, [])
    sampler = make(layout)
    for _ in range(2):
        with pytest.raises(RuntimeError, match=r"call initialize\(agent, seed=\.\.\.\) first"):
            getattr(sampler, method)(*arguments)
        sampler.shutdown()


def one_cpu(monkeypatch) -> None:
    cpus = Cpus(ids=(), count=1, limits=("a test says so",), restricted=False)
    monkeypatch.setattr(rlpyt.samplers.plan, "usable_cpus", lambda: cpus)


@pytest.mark.filterwarnings("error")
def test_more_workers_than_cpus_is_a_warning(monkeypatch):
    one_cpu(monkeypatch)
    sampler = make("cpu2")
    with pytest.warns(RuntimeWarning, match="2 workers share 1 usable CPU") as found:
        start(sampler)
    assert len(found) == 1
    sampler.obtain_samples(0)
    sampler.shutdown()


@pytest.mark.filterwarnings("error")
def test_the_number_of_workers_comes_from_the_cpus(monkeypatch):
    one_cpu(monkeypatch)
    for layout, n in (("cpu2", 1), ("gpu2", 1), ("alternating2", 2)):
        sampler = make(layout, n_workers=None)
        assert sampler.plan()["n_workers"] == n
        start(sampler)
        assert len(sampler.times().busy) == n
        sampler.shutdown()


def test_the_plan_is_data_for_json():
    expected = {
        "cpu4": ([[0, 2], [2, 4], [4, 6], [6, 8]], [[0, 1, 2, 3]], 1),
        "gpu2": ([[0, 4], [4, 8]], [[0, 1]], None),
        "alternating4": ([[0, 2], [2, 4], [4, 6], [6, 8]], [[0, 1], [2, 3]], None),
    }
    together = {
        "cpu4": [[0, 2], [2, 4], [4, 6], [6, 8]],
        "gpu2": [[0, 8]],
        "alternating4": [[0, 4], [4, 8]],
    }
    for layout, (envs, groups, threads) in expected.items():
        plan = make(layout, batch_B=8).plan()
        assert json.loads(json.dumps(plan)) == plan
        assert plan["n_workers"] == len(plan["envs"]) == len(plan["cpus"])
        assert plan["envs"] == envs
        assert plan["groups"] == groups
        assert plan["worker_threads"] == 1
        assert f"{len(envs)} workers of {envs[0][1]} environments each" in plan["text"]
        pairs = [[0, 2], [2, 4], [4, 6], [6, 8]]
        assert plan["inference"] == {"columns": pairs, "threads": threads}
        plan = make(layout, batch_B=8, group_size=None).plan()
        assert plan["inference"] == {"columns": together[layout], "threads": threads}
    assert make("serial").plan() == {}


# --- life cycle ---------------------------------------------------------------------------------


@two_workers
def test_shutdown_can_be_repeated_and_undone(layout: str):
    expected = sampled(make("serial"))
    sampler = make(layout)
    assert_same_batches(expected, sampled(sampler))
    sampler.shutdown()
    sampler.shutdown()
    assert_same_batches(expected, sampled(sampler))


@two_workers
def test_initialize_starts_a_running_sampler_anew_with_any_agent(layout: str):
    sampler = start(make(layout))
    first = known(sampler.obtain_samples(0)[0])
    sampler.obtain_samples(1)
    start(sampler)
    assert_bitwise(first, known(sampler.obtain_samples(0)[0]))
    start(sampler, LSTM)
    assert sampler.obtain_samples(0)[0].agent_info.prev_rnn_state is not None
    sampler.shutdown()


@pytest.mark.parametrize("layout", ["cpu2", "gpu2"])
def test_nothing_is_left_open(layout: str):
    evaluator = Evaluator(episodes=2, n_envs=2)
    before: list[int] = []
    for _ in range(4):
        sampler = start(make(layout))
        agent = sampler._collector._agent
        for n in range(2):
            evaluator.initialize(agent, sampler, seed=0, discount=1.0)
            evaluator.evaluate(n)
            sampler.obtain_samples(n)
            if n == 0:
                evaluator.shutdown()
        sampler.shutdown()
        evaluator.shutdown()  # in this order, too
        gc.collect()
        before.append(len(os.listdir("/dev/fd")))
    # The first has started the fork server; what an earlier test had left open may be closed now.
    assert before[-1] <= before[1], before


@two_workers
def test_evaluators_come_and_go_while_sampling_goes_on(layout: str):
    expected = sampled(make("serial"), n_batches=4)
    sampler = start(make(layout))
    agent = sampler._collector._agent
    for itr in range(4):
        found, trajs = sampler.obtain_samples(itr)
        assert_bitwise(expected[itr][0], known(found))
        assert expected[itr][1] == trajs
        evaluator = Evaluator(episodes=3, n_envs=3, greedy=False)
        evaluator.initialize(agent, sampler, seed=itr, discount=1.0)
        assert len(evaluator.evaluate(itr)) == 3
        evaluator.shutdown()
        evaluator.shutdown()
    sampler.shutdown()


@two_workers
def test_nobody_draws_from_a_global_generator(layout: str):
    before = torch.get_rng_state(), np.random.get_state()[1].copy()
    sampled(make(layout, max_decorrelation_steps=5), n_batches=2)
    assert torch.equal(torch.get_rng_state(), before[0])
    np.testing.assert_array_equal(np.random.get_state()[1], before[1])


@pytest.mark.parametrize("layout", PARALLEL)
def test_where_the_time_went(layout: str):
    sampler = start(make(layout, batch_B=8))
    for itr in range(5):
        sampler.obtain_samples(itr)
    times = sampler.times()
    n_workers = sampler.plan()["n_workers"]
    assert len(times.busy) == n_workers
    assert min(times.busy) > 0
    assert times.env > 0
    assert times.transfer == times.restarts == 0
    assert (times.worker_act > 0) == layout.startswith("cpu")
    assert sum(times.busy) / n_workers == pytest.approx(times.env + times.worker_act)
    sampler.shutdown()


# --- environments of every kind -----------------------------------------------------------------

ACTION_SPACES = {
    "box": spaces.Box(-0.5, 0.5, (2,), np.float32),
    "multi_discrete": spaces.MultiDiscrete([2, 3], start=[1, 0]),
    "multi_binary": spaces.MultiBinary(3),
    "nested": spaces.Dict(
        x=spaces.Tuple([spaces.Discrete(2, start=3), spaces.Box(-1, 1, (1,), np.float32)]),
        y=spaces.MultiBinary(2),
    ),
}


@pytest.mark.parametrize(
    ("layout", "name"),
    [
        ("cpu2", "box"),
        ("gpu2", "multi_discrete"),
        ("alternating2", "multi_binary"),
        ("cpu2", "nested"),
        ("gpu2", "nested"),
    ],
)
def test_actions_of_every_kind(layout: str, name: str):
    env = EnvConfig(id="parallel_fakes:walk", kwargs={"action_space": ACTION_SPACES[name]})
    same_as_serial(layout, env, max_decorrelation_steps=5)


@two_workers
def test_observations_that_are_trees(layout: str):
    found = same_as_serial(layout, NestedEnv, agent=PgAgent(model_kwargs=LSTM))
    samples = found[0][0]
    _vector, number = samples.observation.pair
    assert number.unique().tolist() == [0, 1, 2, 3, 4]
    assert samples.observation.bits.dtype == torch.int8


@two_workers
def test_action_masks_are_honoured(layout: str):
    """The environment fails where one is not."""
    found = same_as_serial(layout, MaskEnv, mid_batch_reset=layout != "gpu2")
    for samples, _trajs in found[:-1]:
        chosen = samples.observation.action_mask.gather(2, samples.action[..., None])
        idle = samples.observation.action_mask.sum(-1) == 0
        assert (chosen[..., 0].bool() | idle).all()


@two_workers
@pytest.mark.parametrize(
    "env",
    [
        WalkEnv,
        "sampler_fakes:WalkEnv",
        partial(WalkEnv, end=0.2),
        EnvConfig(id="parallel_fakes:walk"),
        partial(gymnasium.make, "CartPole-v1", max_episode_steps=12),
    ],
    ids=["class", "name", "partial", "config", "make"],
)
def test_environments_by_class_name_and_callable(layout: str, env: Any):
    same_as_serial(layout, env)


@two_workers
def test_wrappers_limits_and_info(layout: str):
    config = EnvConfig(
        id="parallel_fakes:DotEnv", frame_stack=2, clip_reward=0.1, time_limit=6, info_keys=("t",)
    )
    agent = Case(env="image").agent()
    agent = PgAgent(model_kwargs={"image": "flatten", "hidden_sizes": [8]})
    found = same_as_serial(layout, config, agent=agent, TrajInfoCls=PeakTrajInfo)
    lengths = [traj.Length for _samples, trajs in found[:-1] for traj in trajs]
    assert max(lengths) == 6
    samples = found[0][0]
    assert samples.observation.shape[2:] == (2, 12, 12, 1)
    assert samples.reward.abs().max() <= 0.1 + 1e-6
    assert samples.env_info.t.max() == 6


@two_workers
def test_trajectory_infos_of_the_users_own(layout: str):
    agent = Case(env="image").agent()
    config = EnvConfig(id="parallel_fakes:DotEnv", info_keys=("t",))
    found = same_as_serial(layout, config, agent=agent, TrajInfoCls=PeakTrajInfo)
    for traj in [traj for _samples, trajs in found[:-1] for traj in trajs]:
        assert type(traj) is PeakTrajInfo
        assert traj.discount == 0.9
        assert traj.Length == traj.LastT
        assert len(traj._values) >= 1
        assert traj.Peak == 255


@two_workers
def test_ranks_have_environments_of_their_own(layout: str):
    whole = sampled(make("serial", batch_B=8))
    for rank in (0, 1):
        own = sampled(make(layout), rank=rank)
        columns = slice(4 * rank, 4 * rank + 4)
        for (samples, trajs), (all_samples, all_trajs) in zip(own[:-1], whole[:-1], strict=True):
            assert torch.equal(samples.observation, all_samples.observation[:, columns])
            assert torch.equal(samples.action, all_samples.action[:, columns])
            assert trajs == [t for t in all_trajs if t.env_index // 4 == rank]


# --- native vector environments -----------------------------------------------------------------

NEXT_STEP = EnvConfig(id="CartPole-v1", vectorization="native")
SAME_STEP = EnvConfig(
    id="sampler_fakes:walk_vector",
    kwargs={"mode": AutoresetMode.SAME_STEP},
    vectorization="native",
)
MODES = {"next": NEXT_STEP, "same": SAME_STEP}


@pytest.mark.parametrize("mode", MODES)
def test_native_environments_of_one_worker_are_the_serial_ones(mode: str):
    expected = sampled(make("serial", MODES[mode], batch_T=30))
    for layout in ("cpu1", "gpu1"):
        assert_same_batches(expected, sampled(make(layout, MODES[mode], batch_T=30)))


@pytest.mark.parametrize("mode", MODES)
def test_native_environments_of_two_workers_are_the_same_whoever_acts(mode: str):
    first, *others = (
        sampled(make(layout, MODES[mode], batch_T=30), agent=PgAgent(model_kwargs=LSTM))
        for layout in ("cpu2", "gpu2", "alternating2")
    )
    for other in others:
        assert_same_batches(first, other)
    starts = [samples.observation[0] for samples, _trajs in first[:1]]
    assert not torch.equal(starts[0][:2], starts[0][2:])  # another seed in each worker
    samples = first[0][0]
    assert (samples.valid is None) == (mode == "same")


@two_workers
def test_a_step_that_a_reset_takes_is_no_transition(layout: str):
    found = sampled(make(layout, NEXT_STEP, batch_T=40), n_batches=3)
    lengths = [0] * 4
    for samples, trajs in found[:-1]:
        assert torch.equal(samples.valid[1:], ~samples.done[:-1])
        assert samples.reset[1:][~samples.valid[:-1]].all()
        for traj in trajs:
            lengths[traj.env_index] += traj.Length
    valid = sum(samples.valid.sum(0) for samples, _trajs in found[:-1])
    open_steps = [traj["Length"] for traj in found[-1]["trajs"]]
    assert [a + b for a, b in zip(lengths, open_steps, strict=True)] == valid.tolist()


def test_what_native_environments_cannot_do_is_said_of_workers_too():
    for settings in ({"mid_batch_reset": False}, {"max_decorrelation_steps": 3}):
        sampler = make("gpu2", NEXT_STEP, **settings)
        with pytest.raises(RlpytError, match=next(iter(settings))) as caught:
            start(sampler)
        assert caught.value.code == "config"


@pytest.mark.parametrize("mode", MODES)
@two_workers
def test_native_environments_continue_in_the_same_layout(mode: str, layout: str):
    agent = PgAgent(model_kwargs=LSTM)
    whole = sampled(make(layout, MODES[mode]), agent=agent, n_batches=6)
    half = sampled(make(layout, MODES[mode]), agent=agent, n_batches=2)
    again = {"cpu2": "gpu2", "gpu2": "alternating2", "alternating2": "cpu2"}[layout]
    rest = sampled(make(again, MODES[mode]), agent=agent, n_batches=4, state=half[-1])
    assert_same_batches(whole[2:], rest)


@pytest.mark.parametrize("layout", ["cpu1", "gpu1", "gpu2"])
def test_native_environments_in_another_layout_start_new_episodes(layout: str):
    n_workers = 4 if layout == "gpu2" else 1
    half = sampled(make("cpu2", NEXT_STEP, batch_T=20), n_batches=2)
    assert max(traj["Length"] for traj in half[-1]["trajs"]) > 0
    sampler = make(layout, NEXT_STEP, group_size=1, n_workers=n_workers, batch_T=20)
    [(samples, trajs), *others, state] = sampled(sampler, state=half[-1], n_batches=6)
    assert samples.reset[0].all()
    batches = [(samples, trajs), *others]
    first = {traj.env_index: traj for _, found in reversed(batches) for traj in reversed(found)}
    done = torch.cat([found.done for found, _ in batches])
    for b in range(4):
        assert first[b].Length == int(done[:, b].nonzero()[0]) + 1  # nothing of the old episode
    assert as_lists(state)["env"]["vectors"][0]["first_episode"] == 1


def test_a_resumed_native_environment_in_another_layout_is_warned_of():
    half = sampled(make("cpu2", NEXT_STEP), n_batches=1)
    with pytest.warns(UserWarning, match="native vector environments were divided otherwise"):
        sampled(make("serial", NEXT_STEP), state=half[-1], n_batches=1)
