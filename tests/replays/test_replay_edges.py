"""A small ring worked out by hand: rewards are 1, 2, 3, ... and observations count steps."""

import numpy as np
import pytest
import torch
from gymnasium import spaces
from replay_reference import Info

from rlpyt.data import EnvSpaces, RnnState, Samples
from rlpyt.replays import ArrayStorage, FrameStorage, Prioritized, ReplayBuffer

SPACES = EnvSpaces(spaces.Box(-1e6, 1e6, (1,), np.float32), spaces.Discrete(1000))
STATE = RnnState(torch.zeros(1))


def steps(first, T, *, terminated=(), truncated=(), reset=(), invalid=()):
    """Steps number ``first`` to ``first + T - 1`` of one environment. The observation of step t is
    t, its action t + 100, its reward t + 1, its state t + 0.5, a final observation after it -t.
    """
    t = torch.arange(first, first + T)[:, None]

    def at(numbers):
        return torch.isin(t, torch.tensor(sorted(numbers), dtype=torch.int64))

    return Samples(
        observation=t[..., None].float(),
        prev_action=t + 99,
        prev_reward=t.float(),
        reset=at(reset),
        action=t + 100,
        agent_info=Info(RnnState(t[..., None] + 0.5)),
        reward=t + 1.0,
        terminated=at(terminated),
        truncated=at(truncated),
        final_observation=-t[..., None].float(),
        valid=~at(invalid) if invalid else None,
    )


def make(size, *, n=1, discount=0.5, B=1, T=1, **settings):
    buffer = ReplayBuffer(size=size, n_step_return=n, **settings)
    buffer.initialize(
        SPACES,
        B=B,
        T=T,
        discount=discount,
        rng=np.random.default_rng(0),
        prev_rnn_state=STATE if buffer.sequence_length else None,
    )
    return buffer


def all_transitions(buffer):
    """Step number to its transition, of all that can be sampled."""
    found = {}
    while len(found) < buffer.n_sampleable:
        batch = buffer.sample(64)
        for i in range(64):
            found[int(batch.observation[i])] = {
                name: value[i].reshape(-1).tolist()[0]
                for name, value in batch.items()
                if value is not None
            }
    return found


def all_sequences(buffer):
    """First step learnt from to the column of a batch, of all that can be sampled."""
    found = {}
    while len(found) < buffer.n_sampleable:
        batch = buffer.sample_sequences(64)
        for i in range(64):
            found[int(batch.action[0, i]) - 100] = {
                "observation": batch.observation[:, i, 0].tolist(),
                "prev_action": batch.prev_action[:, i].tolist(),
                "prev_reward": batch.prev_reward[:, i].tolist(),
                "reset": batch.reset[:, i].tolist(),
                "action": batch.action[:, i].tolist(),
                "return": batch.return_[:, i].tolist(),
                "next_step": batch.next_step[:, i].tolist(),
                "next_discount": batch.next_discount[:, i].tolist(),
                "valid": batch.valid[:, i].tolist(),
                "state": batch.init_rnn_state.hidden[i].item(),
            }
    return found


def test_the_ring_holds_the_newest_rows_and_the_last_has_no_successor():
    buffer = make(4)
    for t in range(7):
        buffer.append(steps(t, 1, reset=[0]))
        expected = set(range(max(0, t - 3), t))
        if expected:
            assert set(all_transitions(buffer)) == expected
        assert len(buffer) == min(t + 1, 4)


def test_one_step_across_the_wrap():
    buffer = make(4)
    for t in range(7):
        buffer.append(steps(t, 1, reset=[0]))
    assert all_transitions(buffer)[3] == {
        "observation": 3.0,
        "prev_action": 102,  # of step 2, whose own row has gone from the four
        "prev_reward": 3.0,
        "reset": False,
        "action": 103,
        "return_": 4.0,
        "next_observation": 4.0,
        "next_prev_action": 103,
        "next_prev_reward": 4.0,
        "next_discount": 0.5,
        "indices": 3 + 1,
    }


def test_what_came_before_the_first_row_is_known_in_the_middle_of_an_episode_only():
    running, starting = make(4), make(4)
    running.append(steps(5, 2))
    starting.append(steps(5, 2, reset=[5]))
    assert all_transitions(running)[5]["prev_action"] == 104
    assert all_transitions(running)[5]["prev_reward"] == 5.0
    assert not all_transitions(running)[5]["reset"]
    assert all_transitions(starting)[5]["prev_action"] == 0
    assert all_transitions(starting)[5]["prev_reward"] == 0.0


def test_n_steps_across_the_wrap():
    # n = 3, γ = ½: R_t = (t+1) + (t+2)/2 + (t+3)/4, and γ³ = 1/8 at the observation t + 3
    buffer = make(6, n=3)
    for t in range(10):
        buffer.append(steps(t, 1, reset=[0]))
    found = all_transitions(buffer)
    assert sorted(found) == [4, 5, 6]
    assert [found[t]["return_"] for t in (4, 5, 6)] == [9.75, 11.5, 13.25]
    assert [found[t]["next_observation"] for t in (4, 5, 6)] == [7.0, 8.0, 9.0]
    assert {found[t]["next_discount"] for t in found} == {0.125}
    assert [found[t]["next_prev_action"] for t in (4, 5, 6)] == [106, 107, 108]


def test_n_steps_up_to_a_termination_also_at_the_cursor():
    buffer = make(6, n=3)
    for t in range(10):
        buffer.append(steps(t, 1, reset=[0], terminated=[9]))
    found = all_transitions(buffer)
    assert sorted(found) == [4, 5, 6, 7, 8, 9]  # the last three reach the end, not three steps
    assert [found[t]["return_"] for t in (7, 8, 9)] == [8 + 4.5 + 2.5, 9 + 5, 10]
    assert [found[t]["next_discount"] for t in (6, 7, 8, 9)] == [0.125, 0, 0, 0]
    assert [found[t]["next_observation"] for t in (7, 8, 9)] == [9.0] * 3  # something finite


def test_n_steps_up_to_a_truncation_bootstrap_from_the_final_observation():
    buffer = make(6, n=3)
    for t in range(10):
        buffer.append(steps(t, 1, reset=[0, 8], truncated=[7]))
    found = all_transitions(buffer)
    assert sorted(found) == [4, 5, 6, 7]  # 8 and 9 are a new episode's first two
    assert [found[t]["return_"] for t in (5, 6, 7)] == [6 + 3.5 + 2, 7 + 4, 8]
    assert [found[t]["next_observation"] for t in (5, 6, 7)] == [-7.0, -7.0, -7.0]
    assert [found[t]["next_discount"] for t in (5, 6, 7)] == [0.125, 0.25, 0.5]
    assert found[4]["next_observation"] == 7.0
    assert buffer.n_final == 1


def test_an_episode_that_is_terminated_and_truncated_is_terminated():
    buffer = make(6)
    buffer.append(steps(0, 1, reset=[0], terminated=[0], truncated=[0]))
    assert all_transitions(buffer)[0]["next_discount"] == 0.0
    assert buffer.n_final == 0


def test_final_observations_go_with_their_rows():
    buffer = make(3)
    for t in range(20):
        buffer.append(steps(t, 1, reset=range(0, 20, 2), truncated=range(1, 20, 2)))
        assert buffer.n_final <= 2
    assert all_transitions(buffer)[19]["next_observation"] == -19.0
    assert buffer._contents.store._slots.n_touched <= 3  # the slots are used again


def test_rows_that_are_no_transitions_are_not_sampled_and_not_crossed():
    buffer = make(9, n=2)
    # 0 1 2 end, 3 and 4 idle, 5 6 7 the next
    buffer.append(steps(0, 8, reset=[0, 5], truncated=[2], invalid=[3, 4]))
    found = all_transitions(buffer)
    assert sorted(found) == [0, 1, 2, 5]
    assert found[1]["next_observation"] == -2.0
    assert found[5]["reset"]


def test_a_gap_without_an_end_is_not_crossed():
    # The environments were started anew: row 3 belongs to another episode, row 2 has no end.
    buffer = make(9, n=2)
    buffer.append(steps(0, 3, reset=[0]))
    buffer.append(steps(3, 4, reset=[3]))
    assert sorted(all_transitions(buffer)) == [0, 3, 4]
    invalid = make(9, n=2)
    invalid.append(steps(0, 6, reset=[0], invalid=[3]))
    assert sorted(all_transitions(invalid)) == [0]
    one = make(9)
    one.append(steps(0, 6, reset=[0], invalid=[3]))
    found = all_transitions(one)
    assert sorted(found) == [0, 1, 4]
    assert found[4]["reset"]  # nothing is known of what came before
    assert found[4]["prev_action"] == 0


def test_the_sequence_that_starts_at_index_0():
    # Its previous action and reward are of the row before, not of the newest one in the ring.
    settings = {"sequence_length": 3, "burn_in": 2, "rnn_state_interval": 2}
    buffer = make(10, n=1, **settings)
    for t in range(6):
        buffer.append(steps(t, 1, reset=[0]))
    assert all_sequences(buffer) == {
        2: {
            "observation": [0, 1, 2, 3, 4, 5],
            "prev_action": [0, 100, 101, 102, 103, 104],
            "prev_reward": [0, 1, 2, 3, 4, 5],
            "reset": [True, False, False, False, False, False],
            "action": [102, 103, 104],
            "return": [3, 4, 5],
            "next_step": [3, 4, 5],
            "next_discount": [0.5, 0.5, 0.5],
            "valid": [True, True, True],
            "state": 0.5,
        }
    }
    for t in range(6, 17):  # once round: rows are at (t + 1) % 11, so step 10 is at index 0
        buffer.append(steps(t, 1))
    found = all_sequences(buffer)[12]
    assert found["observation"] == [10, 11, 12, 13, 14, 15]
    assert found["prev_action"] == [109, 110, 111, 112, 113, 114]
    assert found["prev_reward"] == [10, 11, 12, 13, 14, 15]
    assert found["state"] == 10.5


def test_the_oldest_sequence_and_the_one_that_ends_at_the_cursor():
    buffer = make(8, n=2, sequence_length=2, burn_in=1, rnn_state_interval=1)
    for t in range(21):
        buffer.append(steps(t, 1, reset=[0]))
    found = all_sequences(buffer)  # held: 13 ... 20; five observations each
    assert sorted(found) == [14, 15, 16, 17]
    assert found[14]["observation"] == [13, 14, 15, 16, 17]
    assert found[14]["prev_action"] == [112, 113, 114, 115, 116]
    assert found[14]["state"] == 13.5
    assert found[17]["observation"] == [16, 17, 18, 19, 20]
    assert found[17]["return"] == [18 + 9.5, 19 + 10]
    assert found[17]["next_step"] == [3, 4]


def test_a_sequence_ends_with_its_episode():
    buffer = make(30, n=2, sequence_length=4, burn_in=1, rnn_state_interval=5)
    # the sequence from 5: burn-in 5, learnt 6 7 and 8, where the episode is cut
    buffer.append(steps(0, 16, reset=[0, 9], truncated=[8]))
    found = all_sequences(buffer)[6]
    for name in ("return", "next_step", "next_discount"):
        del found[name][3]  # not valid: anything
    assert found == {
        "observation": [5, 6, 7, 8, -8, 8, 8],
        "prev_action": [104, 105, 106, 107, 108, 108, 108],
        "prev_reward": [5, 6, 7, 8, 9, 9, 9],
        "reset": [False] * 7,
        "action": [106, 107, 108, 108],
        "return": [7 + 4, 8 + 4.5, 9],
        "next_step": [3, 4, 4],
        "next_discount": [0.25, 0.25, 0.5],
        "valid": [True, True, True, False],
        "state": 5.5,
    }


def test_a_terminated_sequence_has_no_bootstrap():
    buffer = make(30, n=2, sequence_length=3)
    buffer.append(steps(0, 3, reset=[0], terminated=[2]))
    found = all_sequences(buffer)[0]
    assert found["observation"] == [0, 1, 2, 2, 2]
    assert found["next_discount"] == [0.25, 0.0, 0.0]
    assert found["return"] == [1 + 1, 2 + 1.5, 3]
    assert found["valid"] == [True, True, True]


def test_a_burn_in_that_reaches_into_the_episode_before_is_filler():
    buffer = make(30, sequence_length=2, burn_in=4, rnn_state_interval=4)
    buffer.append(steps(0, 16, reset=[0, 6], truncated=[5]))
    found = all_sequences(buffer)
    assert sorted(found) == [4, 8, 12]
    # starts at 4, learnt 8 and 9; the episode starts at 6, in row 2
    assert found[8]["reset"] == [True, True, True, False, False, False, False]
    assert found[8]["observation"][2:] == [6, 7, 8, 9, 10]
    assert found[8]["prev_action"][2:] == [0, 106, 107, 108, 109]
    # starts at 0, learnt 4 and 5, where it is cut
    assert found[4]["observation"] == [0, 1, 2, 3, 4, 5, -5]


def test_every_step_of_waiting_environments_is_learnt_from():
    """T = interval = burn-in, each batch starts with an episode's start: R2D1's way."""
    buffer = make(64, sequence_length=8, burn_in=4, rnn_state_interval=4)
    for t in range(0, 32, 4):
        ends = t + 2 if t % 8 == 4 else -1
        batch = steps(t, 4, reset=range(0, 32, 8), truncated=[ends], invalid=[ends + 1])
        buffer.append(batch)
    learnt = set()
    for column in all_sequences(buffer).values():
        pairs = zip(column["action"], column["valid"], strict=True)
        learnt |= {action - 100 for action, valid in pairs if valid}
    assert learnt == {t for t in range(4, 32) if t % 8 != 7}


@pytest.mark.parametrize("storage", [ArrayStorage(), FrameStorage(n_frames=2)])
def test_columns_do_not_mix(storage):
    image = spaces.Box(0, 255, (2, 2, 2), np.uint8)
    buffer = ReplayBuffer(size=12, storage=storage)
    rng = np.random.default_rng(0)
    buffer.initialize(EnvSpaces(image, SPACES.action), B=3, T=1, discount=1.0, rng=rng)
    for t in range(9):
        frames = torch.tensor([[10 * b + max(0, t - 1), 10 * b + t] for b in range(3)])
        batch = steps(t, 1, reset=[0])
        wide = Samples(*(None if leaf is None else leaf for leaf in batch))._replace(
            observation=frames.to(torch.uint8)[None, :, :, None, None].expand(1, 3, 2, 2, 2),
            final_observation=None,
            agent_info=None,
            **{
                name: getattr(batch, name).expand(1, 3)
                for name in ("prev_action", "prev_reward", "reset", "action", "reward")
            },
            terminated=torch.zeros(1, 3, dtype=torch.bool),
            truncated=torch.zeros(1, 3, dtype=torch.bool),
        )
        buffer.append(wide)
    batch = buffer.sample(64)
    column = batch.indices % 3
    newest = batch.observation[:, 1, 0, 0].long()
    assert torch.equal(newest // 10, column)
    assert torch.equal(batch.next_observation[:, 1, 0, 0].long(), newest + 1)
    assert set(column.tolist()) == {0, 1, 2}


def test_priorities_of_what_was_overwritten_are_left_out():
    buffer = make(5, prioritized=Prioritized(alpha=1.0))
    for t in range(5):
        buffer.append(steps(t, 1, reset=[0]))
    old = buffer.sample(64).indices
    assert set(old.tolist()) == {1, 2, 3, 4}  # steps 0 ... 3
    for t in range(5, 8):  # step 6 is where step 0 was
        buffer.append(steps(t, 1))
    buffer.update_priorities(old, torch.full((64,), 50.0))  # of those only step 3 is still there
    assert sorted(all_transitions(buffer)) == [3, 4, 5, 6]
    values = buffer._contents.priorities.tree.get(np.arange(6))
    assert values.tolist() == [1.0, 1.0, 0.0, 0.0, 50.0, 1.0]


def test_an_end_starts_another_episode_whatever_reset_says():
    buffer = make(30, sequence_length=2, burn_in=2, rnn_state_interval=2)
    buffer.append(steps(0, 8, truncated=[2]))  # reset is False everywhere
    assert all_sequences(buffer)[4]["reset"][:3] == [True, True, False]
    assert all_sequences(buffer)[4]["prev_action"][1:3] == [0, 103]


def test_frames_kept_before_an_episode_go_with_their_rows():
    image = spaces.Box(0, 255, (3, 2, 2), np.uint8)
    buffer = ReplayBuffer(size=8, storage=FrameStorage(n_frames=3))
    rng = np.random.default_rng(0)
    buffer.initialize(EnvSpaces(image, SPACES.action), B=1, T=1, discount=1.0, rng=rng)
    stacks = torch.randint(1, 255, (60, 3, 2, 2), dtype=torch.uint8)
    for t in range(60):  # episodes of one step that start from frames never seen before
        batch = steps(t, 1, reset=[t], truncated=[t])
        final = torch.cat([stacks[t, 1:], stacks[t, :1]])
        buffer.append(
            batch._replace(observation=stacks[t][None, None], final_observation=final[None, None])
        )
    found = buffer.sample(64)
    t = found.action - 100
    assert set(t.tolist()) == set(range(52, 60))
    assert torch.equal(found.observation, stacks[t])
    assert torch.equal(found.next_observation[:, :2], stacks[t, 1:])
    assert torch.equal(found.next_observation[:, 2], stacks[t, 0])
    filled = buffer._contents.store.filled()
    assert filled["observation/0/slots"] <= 10  # the ring's rows: the slots are used again
    assert filled["final"] <= 10


@pytest.mark.parametrize("repeated", [False, True])
def test_what_comes_before_an_episode_is_not_kept_where_it_is_zeros_or_repeats(repeated):
    image = spaces.Box(0, 255, (3, 2, 2), np.uint8)
    buffer = ReplayBuffer(size=8, storage=FrameStorage(n_frames=3))
    rng = np.random.default_rng(0)
    buffer.initialize(EnvSpaces(image, SPACES.action), B=1, T=1, discount=1.0, rng=rng)
    for t in range(20):
        frames = torch.full((1, 1, 3, 2, 2), t + 1, dtype=torch.uint8)
        if not repeated:
            frames[0, 0, :2] = 0
        buffer.append(steps(t, 1, reset=[t], terminated=[t])._replace(observation=frames))
    found = buffer.sample(32).observation
    assert ((found[:, 0] > 0) == repeated).all()
    assert (found[:, 2] > 12).all()
    assert buffer._contents.store.filled()["observation/0/slots"] == 0
