"""The nouns: what they derive from their fields, and what an episode's statistics are."""

import copy
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpyt.data import (
    AgentInputs,
    AgentStep,
    BatchSpec,
    EnvSpaces,
    EnvStep,
    NoState,
    RnnState,
    Samples,
    TrajInfo,
)
from rlpyt.utils.collections import NamedArrayTuple


def samples(T=4, B=2, **fields):
    terminated, truncated = torch.zeros(2, T, B, dtype=torch.bool)
    if (T, B) == (4, 2):
        terminated[1, 0] = truncated[2, 1] = terminated[3, 1] = truncated[3, 1] = True
    return Samples(
        **{
            "observation": torch.arange(T * B).reshape(T, B),
            "prev_action": torch.ones(T, B),
            "prev_reward": torch.full((T, B), 2.0),
            "reset": torch.zeros(T, B, dtype=torch.bool),
            "action": torch.full((T, B), 3.0),
            "agent_info": None,
            "reward": torch.full((T, B), 4.0),
            "terminated": terminated,
            "truncated": truncated,
            **fields,
        }
    )


def test_a_batch_has_a_size():
    spec = BatchSpec(5, 3)
    assert spec == (spec.T, spec.B) == (5, 3)
    assert spec.size == 15


def test_done_is_terminated_or_truncated():
    found = samples().done
    assert found.dtype == torch.bool
    assert found.nonzero().tolist() == [[1, 0], [2, 1], [3, 1]]
    assert samples()[2].done.tolist() == [False, True]
    arrays = Samples(*[None if leaf is None else leaf.numpy() for leaf in samples()])
    assert np.argwhere(arrays.done).tolist() == [[1, 0], [2, 1], [3, 1]]


def test_agent_inputs_are_what_the_model_saw():
    x = samples()
    inputs = x.agent_inputs
    assert type(inputs) is AgentInputs
    assert all(
        one is other
        for one, other in zip(
            inputs, (x.observation, x.prev_action, x.prev_reward, x.reset), strict=True
        )
    )


def test_optional_fields_are_none():
    assert [name for name, value in samples().items() if value is None] == [
        "agent_info",
        "final_observation",
        "env_info",
        "bootstrap_value",
        "valid",
    ]
    assert RnnState(torch.zeros(1)).cell is None
    assert len(NoState()) == 0
    assert EnvStep(1, 2, 3, 4, 5).env_info is None


def test_which_are_structs_of_arrays():
    structs = (samples(), AgentStep(1, 2), RnnState(1), NoState(), EnvStep(1, 2, 3, 4, 5))
    assert all(isinstance(value, NamedArrayTuple) for value in structs)
    assert not isinstance(BatchSpec(1, 2), NamedArrayTuple)
    assert not isinstance(EnvSpaces(None, None), NamedArrayTuple)


def fragment(rewards, **fields):
    return samples(len(rewards), 1, reward=np.array(rewards, np.float32), **fields)


def test_statistics_of_an_episode():
    traj = TrajInfo(discount=0.5)
    traj.extend(fragment([1.0, 0.0, -4.0]))
    assert traj.columns() == {
        "Length": 3,
        "Return": -3.0,
        "NonzeroRewards": 2,
        "DiscountedReturn": 0.0,
    }
    assert [type(value) for value in traj.columns().values()] == [int, float, int, float]


@settings(max_examples=60, deadline=None, database=None)
@given(
    rewards=st.lists(st.integers(-4, 4), min_size=1, max_size=20),
    cuts=st.sets(st.integers(1, 19)),
    discount=st.sampled_from([1.0, 0.9, 0.0]),
)
def test_fragments_add_up_to_the_episode(rewards, cuts, discount):
    pieces = np.split(
        np.array(rewards, np.float32), sorted(cut for cut in cuts if cut < len(rewards))
    )
    traj = TrajInfo(discount=discount, env_index=3)
    for piece in pieces:
        traj.extend(fragment(piece))
    assert traj.Length == len(rewards)
    assert traj.Return == sum(rewards)
    assert traj.NonzeroRewards == sum(reward != 0 for reward in rewards)
    expected = sum(reward * discount**t for t, reward in enumerate(rewards))
    assert traj.DiscountedReturn == pytest.approx(expected, abs=1e-9)


def test_sums_are_not_in_float32():
    traj = TrajInfo()
    traj.extend(fragment([2.0**24, 1.0, 1.0]))
    assert traj.Return == 2**24 + 2


@dataclass(kw_only=True)
class OwnTrajInfo(TrajInfo):
    """A user's own."""

    Collisions: float = 0.0
    _raw: list[Any] = field(default_factory=list)


def test_columns_leave_out_what_is_no_statistic():
    found = OwnTrajInfo(env_index=2, Collisions=3.0).columns()
    assert found == {**TrajInfo().columns(), "Collisions": 3.0}
    assert copy.deepcopy(OwnTrajInfo()) == OwnTrajInfo()
