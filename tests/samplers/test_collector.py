"""The one agent-environment loop: what it writes, where, and that batches have no seams."""

import copy
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode
from sampler_fakes import (
    LSTM,
    SCRIPT,
    SHARED,
    CountTrajInfo,
    Episode,
    MaskEnv,
    ScriptEnv,
    ScriptEnvs,
    WalkEnv,
    as_lists,
    assert_equal,
    collect,
    collector_of,
    copy_samples,
    make_agent,
    make_collector,
    script_from,
    script_vector,
)

from rlpyt.data import AgentInputs, NoState, TrajInfo
from rlpyt.envs.native import NativeVectorEnv
from rlpyt.samplers.double_buffer import DoubleBuffer
from rlpyt.utils.buffer import leaves

MODELS = {"separate": {}, "shared": SHARED, "lstm": LSTM}
every_model = pytest.mark.parametrize("model", MODELS)
T, B = 12, 4


# --- previous values and resets ----------------------------------------------------------------


def test_previous_action_and_reward_are_views_one_step_apart():
    samples, _ = make_collector(WalkEnv, T, B).collect()
    for previous, current in (
        (samples.prev_action, samples.action),
        (samples.prev_reward, samples.reward),
    ):
        assert previous[1:].data_ptr() == current[:-1].data_ptr()
        assert torch.equal(previous[1:], current[:-1])
    before = samples.prev_action[1].clone()
    samples.action[0] += 1
    assert torch.equal(samples.prev_action[1], before + 1)


@every_model
def test_batches_have_no_seams(model):
    long, long_trajs = collect(make_collector(WalkEnv, 4 * T, B, model_kwargs=MODELS[model]), 1)
    short, short_trajs = collect(make_collector(WalkEnv, T, B, model_kwargs=MODELS[model]), 4)
    assert long.reset[1:].sum() > 10
    done = long.done
    info, other = long.agent_info, short.agent_info
    torch.testing.assert_close(info.value, other.value, rtol=0, atol=1e-6)
    assert_equal(info._replace(value=None), other._replace(value=None))
    assert_equal(long.final_observation[done], short.final_observation[done])
    leave_out = {"agent_info": None, "final_observation": None}
    assert_equal(long._replace(**leave_out), short._replace(**leave_out))
    assert sorted(map(repr, long_trajs)) == sorted(map(repr, short_trajs))


def test_a_reset_marks_the_first_step_of_each_episode():
    samples, _ = collect(make_collector(WalkEnv, T, B), 4)
    assert samples.reset[0].all()
    assert torch.equal(samples.reset[1:], samples.done[:-1])
    assert samples.terminated.any()
    assert samples.truncated.any()


def test_before_the_first_step_nothing_was_done():
    for poison in (False, True):
        samples, _ = make_collector(WalkEnv, T, B, poison=poison).collect()
        assert not samples.prev_action[0].any()
        assert not samples.prev_reward[0].any()


def test_what_the_environment_said_is_written_where_it_belongs():
    samples, _ = collect(make_collector(partial(ScriptEnv, SCRIPT), 6, 1, info_keys=("t",)), 4)
    row = 0
    for number, episode in enumerate(SCRIPT):
        for t, reward in enumerate(episode.rewards):
            if row == 24:
                return
            step = samples[row, 0]
            last = t + 1 == len(episode.rewards)
            assert step.observation.tolist() == [number, t, 1]
            assert step.reset == (t == 0)
            assert step.reward == reward
            assert step.terminated == (last and not episode.truncated)
            assert step.truncated == (last and episode.truncated)
            assert step.env_info.t == t + 1
            if last:
                assert step.final_observation.tolist() == [number, t + 1, 1]
            row += 1


def test_samples_are_the_one_buffer_again():
    collector = make_collector(WalkEnv, T, B)
    first, _ = collector.collect()
    kept = copy_samples(first)
    second, _ = collector.collect()
    assert second is first
    assert not torch.equal(kept.observation, second.observation)


# --- values ------------------------------------------------------------------------------------


def values_after(agent: Any, samples: Any, observation: Any) -> Any:
    """V of ``observation`` [T, B, ...] as the one after each step, with the state after it."""
    found = []
    never = torch.zeros(samples.reset.shape[1], dtype=torch.bool)
    for t in range(samples.reward.shape[0]):
        state = NoState()
        if agent.recurrent:
            recorded = samples.agent_info.prev_rnn_state[t]
            state = agent.step(samples.agent_inputs[t], recorded, None)[1]
        step = samples[t]
        inputs = AgentInputs(observation[t], step.action, step.reward, never)
        found.append(agent.value(inputs, state))
    return torch.stack(found)


@every_model
@torch.inference_mode()
def test_bootstrap_values_are_those_of_the_true_next_observation_and_only_where_needed(model):
    collector = make_collector(WalkEnv, T, B, model_kwargs=MODELS[model], bootstrap_value=True)
    agent = collector.acting.agent
    n_truncated = 0
    for _ in range(4):
        before = collector.state_dict()
        samples, _ = collector.collect()
        following = torch.cat(
            [
                samples.observation[1:],
                torch.as_tensor(collector.state_dict()["observation"]["0"])[None],
            ]
        )
        true_next = torch.where(samples.done[..., None], samples.final_observation, following)
        assert torch.equal(samples.final_observation[-1], true_next[-1])
        expected = values_after(agent, samples, true_next)
        wanted = samples.truncated.clone()
        wanted[-1] |= ~samples.done[-1]
        found = samples.bootstrap_value
        torch.testing.assert_close(found[wanted], expected[wanted], rtol=0, atol=1e-6)
        assert (found[wanted] != 0).all()
        assert (found[:-1][~samples.truncated[:-1]] == 0).all()
        assert before.keys() == collector.state_dict().keys()
        n_truncated += int(samples.truncated[:-1].sum())
    assert n_truncated > 5


def test_without_bootstrap_there_is_none():
    assert make_collector(WalkEnv, T, B).collect()[0].bootstrap_value is None


@pytest.mark.parametrize("model", ["shared", "lstm"])
@torch.inference_mode()
def test_a_recorded_step_replays_exactly(model):
    collector = make_collector(WalkEnv, T, B, model_kwargs=MODELS[model])
    agent = collector.acting.agent
    for _ in range(3):
        samples, _ = collector.collect()
        for t in range(T):
            recorded = samples.agent_info[t]
            state = recorded.prev_rnn_state if agent.recurrent else NoState()
            step, _ = agent.step(samples.agent_inputs[t], state, None)
            assert torch.equal(step.agent_info.value, recorded.value)
            assert_equal(step.agent_info.dist_info, recorded.dist_info)


@torch.inference_mode()
def test_recurrent_state_is_zero_at_every_start_and_carried_on_elsewhere():
    collector = make_collector(WalkEnv, T, B, model_kwargs=LSTM)
    samples, _ = collect(collector, 3)
    reset, state = samples.reset, samples.agent_info.prev_rnn_state
    assert reset[1:].any()
    for leaf in leaves(state):
        assert (leaf[reset] == 0).all()
        assert (leaf[~reset] != 0).any(-1).all()
    for t in range(3 * T - 1):
        _, following = collector.acting.agent.step(samples.agent_inputs[t], state[t], None)
        kept = ~reset[t + 1]
        assert_equal(following[kept], state[t + 1][kept])


@every_model
@torch.inference_mode()
def test_evaluating_the_whole_batch_gives_the_recorded_values(model):
    collector = make_collector(WalkEnv, 25, B, model_kwargs=MODELS[model])
    agent = collector.acting.agent
    for _ in range(3):
        samples, _ = collector.collect()
        assert samples.reset[1:].any()
        info = samples.agent_info
        found = agent.evaluate(agent.learning_inputs(samples.agent_inputs), agent.first_state(info))
        torch.testing.assert_close(found.value, info.value, rtol=0, atol=1e-5)
        torch.testing.assert_close(
            found.dist_info.log_prob, info.dist_info.log_prob, rtol=0, atol=1e-5
        )


@pytest.mark.parametrize("mid_batch_reset", [True, False])
def test_masked_actions_are_never_taken(mid_batch_reset):
    collector = make_collector(MaskEnv, T, B, mid_batch_reset=mid_batch_reset, poison=True)
    samples, _ = collect(collector, 8)  # the environment itself insists
    mask = samples.observation.action_mask
    allowed = mask.gather(-1, samples.action.unsqueeze(-1)).squeeze(-1) == 1
    valid = torch.ones_like(allowed) if samples.valid is None else samples.valid
    assert allowed[valid].all()
    probability = samples.agent_info.dist_info.log_prob.exp()
    assert (probability[valid][mask[valid] == 0] == 0).all()


# --- waiting for the next batch ----------------------------------------------------------------


def course_in_waiting(b, T, n_batches):
    """Rows (number, t, reward, terminated, truncated), ``None`` after an end, of environment b."""
    script, number, t = script_from(b), 0, 0
    for _ in range(n_batches):
        rows = []
        while len(rows) < T:
            episode = script[number % len(script)]
            reward, last = episode.rewards[t], t + 1 == len(episode.rewards)
            ends = (last and not episode.truncated, last and episode.truncated)
            rows.append((number, t, reward, *ends))
            t += 1
            if last:
                number, t = number + 1, 0
                rows += [None] * (T - len(rows))
        yield rows


def test_without_mid_batch_resets_the_rest_of_the_column_is_not_valid():
    T, B = 6, 5
    collector = make_collector(
        ScriptEnvs(), T, B, mid_batch_reset=False, bootstrap_value=True, info_keys=("t",)
    )
    courses = [course_in_waiting(b, T, 8) for b in range(B)]
    for rows in zip(*courses, strict=True):
        samples, _ = collector.collect()
        for b, column in enumerate(rows):
            n = sum(row is not None for row in column)
            assert samples.valid[:, b].tolist() == [True] * n + [False] * (T - n)
            for t, (number, at, reward, terminated, truncated) in enumerate(column[:n]):
                step = samples[t, b]
                assert step.observation.tolist() == [number, at, 1]
                assert step.reset == (at == 0)
                assert (step.reward, step.terminated, step.truncated) == (
                    reward,
                    terminated,
                    truncated,
                )
                if terminated or truncated:
                    assert step.final_observation.tolist() == [number, at + 1, 1]
            waiting = samples[n:, b]
            assert not waiting.reward.any()
            assert not waiting.done.any()
            assert not waiting.observation[1:].any()  # the first is where the episode ended
            assert waiting.reset.all()


def test_in_waiting_bootstrap_values_are_written_where_they_are_wanted():
    collector = make_collector(ScriptEnvs(), 6, 5, mid_batch_reset=False, bootstrap_value=True)
    agent = collector.acting.agent
    for _ in range(6):
        samples, _ = collector.collect()
        with torch.inference_mode():
            expected = values_after(agent, samples, samples.final_observation)
        found, cut = samples.bootstrap_value, samples.truncated
        torch.testing.assert_close(found[cut], expected[cut], rtol=0, atol=1e-6)
        assert (found[:-1][~cut[:-1]] == 0).all()
        assert (found[-1][samples.valid[-1]] != 0).all()


def test_in_waiting_every_sequence_is_one_episodes():
    collector = make_collector(WalkEnv, T, B, mid_batch_reset=False, model_kwargs=LSTM)
    agent = collector.acting.agent
    with torch.inference_mode():
        for _ in range(4):
            samples, _ = collector.collect()
            assert not (samples.reset[1:] & samples.valid[1:]).any()
            info, valid = samples.agent_info, samples.valid
            found = agent.evaluate(samples.agent_inputs, agent.first_state(info))
            torch.testing.assert_close(found.value[valid], info.value[valid], rtol=0, atol=1e-5)


def test_with_mid_batch_resets_every_step_is_valid():
    assert make_collector(WalkEnv, T, B).collect()[0].valid is None


# --- episodes ----------------------------------------------------------------------------------


def loop_collector(T, B, **kwargs):
    return make_collector(ScriptEnvs(), T, B, **kwargs)


def native_collector(mode, T, B, **kwargs):
    vector = NativeVectorEnv(lambda n: script_vector(n, mode), range(B), seed=0)
    collector = collector_of(vector, make_agent(partial(ScriptEnv, SCRIPT)), T, seed=0, **kwargs)
    collector.reset()
    return collector


COLLECTORS = {
    "mid_batch_reset": loop_collector,
    "waiting": partial(loop_collector, mid_batch_reset=False),
    "native_same_step": partial(native_collector, AutoresetMode.SAME_STEP),
    "native_next_step": partial(native_collector, AutoresetMode.NEXT_STEP),
}
every_collector = pytest.mark.parametrize("kind", COLLECTORS)


def columns_of(episode: Episode, discount: float) -> dict[str, float]:
    return {
        "Length": len(episode.rewards),
        "Return": sum(episode.rewards),
        "NonzeroRewards": sum(reward != 0 for reward in episode.rewards),
        "DiscountedReturn": sum(r * discount**t for t, r in enumerate(episode.rewards)),
    }


@every_collector
@pytest.mark.parametrize("T", [1, 2, 5, 40])
def test_episodes_are_what_the_script_says_across_batches(kind, T):
    B = 5
    collector = COLLECTORS[kind](T, B, traj_info=TrajInfo(discount=0.9))
    n_done = np.zeros(B, int)
    finished: dict[int, list[TrajInfo]] = {b: [] for b in range(B)}
    for _ in range(80 // T):
        samples, trajs = collector.collect()
        n_done += samples.done.sum(0).numpy()
        for traj in trajs:
            finished[traj.env_index].append(traj)
    for b, found in finished.items():
        assert len(found) == n_done[b] >= 3 - (T == 40)
        script = script_from(b)
        for i, traj in enumerate(found):
            assert traj.columns() == pytest.approx(columns_of(script[i % 5], 0.9))


@every_collector
def test_finished_episodes_come_in_the_order_of_their_ends(kind):
    collector = COLLECTORS[kind](40, 5)
    samples, trajs = collector.collect()
    ends = [samples.done[:, b].nonzero()[:, 0].tolist() for b in range(5)]
    taken = [iter(of_env) for of_env in ends]
    times = [next(taken[traj.env_index]) for traj in trajs]
    assert times == sorted(times)
    assert len(times) == int(samples.done.sum())


@every_collector
def test_a_reset_forgets_open_episodes(kind):
    collector = COLLECTORS[kind](2, 5)
    collector.collect()
    collector.reset()
    _, trajs = collect(collector, 20)
    lengths = {len(episode.rewards) for episode in SCRIPT}
    assert {traj.Length for traj in trajs} <= lengths


@dataclass(kw_only=True)
class LongTrajInfo(TrajInfo):
    """Logs more: from observations, from info, from a list of its own."""

    MaxTime: float = 0.0
    LastObserved: float = 0.0
    NFragments: int = 0
    _times: list[float] = field(default_factory=list)

    def extend(self, fragment: Any) -> None:
        """Take in a fragment."""
        super().extend(fragment)
        assert isinstance(fragment.observation, np.ndarray)
        self._times += fragment.env_info.t.tolist()
        self.MaxTime = max(self._times)
        self.LastObserved = float(fragment.observation[-1, 1])
        self.NFragments += 1


def test_a_traj_info_of_the_users_own_logs_more():
    info = LongTrajInfo(discount=0.5)
    collector = make_collector(ScriptEnvs(), 4, 5, traj_info=info, info_keys=("t",))
    _, trajs = collect(collector, 20)
    assert {type(traj) for traj in trajs} == {LongTrajInfo}
    for traj in trajs:
        assert traj.MaxTime == traj.Length
        assert traj.LastObserved == traj.Length - 1
        assert traj.discount == 0.5
        assert set(traj.columns()) == {
            *TrajInfo().columns(),
            "MaxTime",
            "LastObserved",
            "NFragments",
        }
    assert max(traj.NFragments for traj in trajs) > 2
    assert info == LongTrajInfo(discount=0.5)


def test_episodes_share_no_mutable_field():
    collector = make_collector(ScriptEnvs(), 4, 5, traj_info=LongTrajInfo(), info_keys=("t",))
    _, trajs = collect(collector, 20)
    for traj in trajs:
        assert traj._times == [float(t + 1) for t in range(traj.Length)]


# --- native ------------------------------------------------------------------------------------


def test_steps_spent_on_a_reset_are_not_valid():
    native = native_collector(AutoresetMode.NEXT_STEP, 40, 5, bootstrap_value=True)
    samples, _ = native.collect()
    loop, _ = loop_collector(40, 5, bootstrap_value=True).collect()
    assert torch.equal(samples.valid[1:], ~samples.done[:-1])
    for b in range(5):
        valid = samples.valid[:, b]
        n = int(valid.sum())
        for name in ("observation", "reset", "reward", "terminated", "truncated"):
            assert torch.equal(getattr(samples, name)[valid, b], getattr(loop, name)[:n, b])
        done = samples.done[:, b]
        wanted = loop.done[:n, b]
        assert_equal(samples.final_observation[done, b], loop.final_observation[:n, b][wanted])
        cut = samples.truncated[:, b]
        torch.testing.assert_close(
            samples.bootstrap_value[:-1, b][cut[:-1]],
            loop.bootstrap_value[:n, b][loop.truncated[:n, b]][: int(cut[:-1].sum())],
            rtol=0,
            atol=1e-6,
        )


def test_resets_in_the_same_step_give_the_loops_samples():
    found, _ = collect(native_collector(AutoresetMode.SAME_STEP, 10, 5), 4)
    wanted, _ = collect(loop_collector(10, 5), 4)
    for name in ("observation", "reset", "reward", "terminated", "truncated", "valid"):
        assert_equal(getattr(found, name), getattr(wanted, name))


# --- poison ------------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("mid_batch_reset", [True, False])
def test_poison_shows_only_where_nothing_was_written(model, mid_batch_reset):
    common = {"model_kwargs": MODELS[model], "mid_batch_reset": mid_batch_reset}
    common["bootstrap_value"] = True
    poisoned, _ = collect(make_collector(WalkEnv, T, B, poison=True, **common), 1)
    plain, _ = collect(make_collector(WalkEnv, T, B, **common), 1)
    written = plain.done
    written[-1] |= True if plain.valid is None else plain.valid[-1]
    assert poisoned.final_observation[~written].isnan().all()
    assert_equal(poisoned.final_observation[written], plain.final_observation[written])
    assert_equal(poisoned._replace(final_observation=None), plain._replace(final_observation=None))


# --- every space -------------------------------------------------------------------------------

ACTION_SPACES = {
    "multi_discrete": spaces.MultiDiscrete([2, 3], start=[1, 0]),
    "multi_binary": spaces.MultiBinary(3),
    "box": spaces.Box(-0.5, 0.5, (2,), np.float32),
    "float64_box": spaces.Box(-0.5, 0.5, (2,), np.float64),
    "nested": spaces.Dict(
        x=spaces.Tuple([spaces.Discrete(2), spaces.Box(-1, 1, (1,), np.float32)]),
        y=spaces.MultiBinary(2),
    ),
}


@pytest.mark.parametrize("name", ACTION_SPACES)
def test_actions_of_every_kind(name):
    space = ACTION_SPACES[name]
    env = partial(WalkEnv, action_space=space)
    samples, _ = collect(make_collector(env, T, B, model_kwargs=LSTM, poison=True), 2)
    for previous, current in zip(leaves(samples.prev_action), leaves(samples.action), strict=True):
        assert torch.equal(previous[1:], current[:-1])
        assert (previous[0] == 0).all()
    if name == "box":  # recorded as drawn: clipped only for the environment
        assert (samples.action.abs() > 0.5).any()


# --- state -------------------------------------------------------------------------------------


@every_model
@pytest.mark.parametrize("mid_batch_reset", [True, False])
def test_it_continues_from_its_state_in_the_middle_of_episodes(model, mid_batch_reset):
    make = partial(
        make_collector,
        WalkEnv,
        5,
        B,
        model_kwargs=MODELS[model],
        mid_batch_reset=mid_batch_reset,
        bootstrap_value=True,
    )
    collector = make()
    collect(collector, 3)
    state = collector.state_dict()
    kept = copy.deepcopy(state)
    assert not state["reset"].all()
    expected, trajs = collect(collector, 5)
    for other in (make(), make(reset=False)):
        other.load_state_dict(copy.deepcopy(state))
        found, found_trajs = collect(other, 5)
        unwritten = ~expected.done
        assert torch.equal(found.done, expected.done)
        for samples in (found, expected):
            samples.final_observation[unwritten] = 0
        assert_equal(found, expected)
        assert found_trajs == trajs
    assert len(trajs) > 3
    assert as_lists(state) == as_lists(kept)


@pytest.mark.parametrize("mode", [AutoresetMode.SAME_STEP, AutoresetMode.NEXT_STEP], ids=str)
def test_native_environments_continue_too(mode):
    collector = native_collector(mode, 4, 5, bootstrap_value=True)
    collect(collector, 3)
    state = copy.deepcopy(collector.state_dict())
    expected, trajs = collect(collector, 5)
    again = native_collector(mode, 4, 5, bootstrap_value=True)
    again.env._envs.set_attr("number", -1)  # a ScriptEnv counts its episodes, whatever the seed
    again.load_state_dict(state)
    found, found_trajs = collect(again, 5)
    leave_out = {"final_observation": None}
    assert_equal(found._replace(**leave_out), expected._replace(**leave_out))
    assert found_trajs == trajs


def test_open_episodes_of_the_users_own_traj_info_are_saved():
    make = partial(make_collector, WalkEnv, 5, B, traj_info=CountTrajInfo())
    collector = make()
    collect(collector, 2)
    state = copy.deepcopy(collector.state_dict())
    expected = collect(collector, 6)[1]
    again = make()
    again.load_state_dict(state)
    assert collect(again, 6)[1] == expected
    assert any(traj.NFragments > 2 for traj in expected)


def test_decorrelated_starts_are_starts():
    collector = make_collector(WalkEnv, T, B, reset=False)
    collector.reset(max_decorrelation_steps=9)
    samples, _ = collector.collect()
    assert samples.reset[0].all()
    plain, _ = make_collector(WalkEnv, T, B).collect()
    assert (samples.observation[0] != plain.observation[0]).any()


def test_two_batches_keep_final_observations_where_they_mean_something():
    collector = make_collector(WalkEnv, T, B)
    buffer = DoubleBuffer.allocate(collector.samples)
    for itr in range(3):
        samples, _ = collector.collect()
        buffer.write(itr, samples)
        meant = samples.done
        meant[-1] = True
        found = buffer.copied(itr).final_observation
        assert torch.equal(found[meant], samples.final_observation[meant])
        assert (found[~meant] == 0).all()
        assert torch.equal(buffer.halves[itr % 2].final_observation[-1], found[-1])
