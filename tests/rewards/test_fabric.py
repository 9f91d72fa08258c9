"""Several rewards as one."""

import pytest
import torch
from transitions import DISCRETE, VECTOR, transitions

from rlpyt.rewards import E3B, RE3, RND, Fabric, FabricPart, RewardScale
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import Stream, seed_int

torch.set_num_threads(1)

SMALL = {"feature_size": 6, "hidden_sizes": (16,)}
KINDS = ((RE3, 1.0), (E3B, 0.25), (RE3, -2.0))


def parts(*kinds):
    return [FabricPart(RewardCls=cls, reward_kwargs=SMALL, weight=w) for cls, w in kinds]


def build(*kinds, **options):
    return Fabric.from_spaces(VECTOR, DISCRETE, n_envs=2, seed=3, parts=parts(*kinds), **options)


def test_it_is_the_weighted_sum_of_its_parts():
    fabric = build(*KINDS)
    alone = [
        cls.from_spaces(VECTOR, DISCRETE, n_envs=2, seed=seed_int(3, Stream.REWARD, 3, i), **SMALL)
        for i, (cls, _weight) in enumerate(KINDS)
    ]
    for seed in range(3):
        batch = transitions(6, 2, seed=seed, done=0.2)
        each = [reward.compute(batch) for reward in alone]
        expected = each[0] + 0.25 * each[1] - 2.0 * each[2]
        torch.testing.assert_close(fabric.compute(batch), expected)
        assert not torch.equal(each[0], each[2])  # of one kind, but of seeds of their own
        for reward in alone:
            reward.update(batch)
        fabric.update(batch)


def test_all_parts_learn_and_report_by_name():
    fabric = build((RND, 1.0), (E3B, 1.0), (RND, 1.0))
    batch = transitions(6, 2)
    fabric.compute(batch)
    report = fabric.update(batch)
    assert set(report) == {
        f"{name}{key}" for name in ("rnd", "e3b", "rnd2") for key in ("Loss", "GradNorm")
    }


def test_it_is_episodic_where_a_part_is():
    assert build((E3B, 1.0), (RND, 1.0)).episodic
    assert not build((RE3, 1.0), (RND, 1.0)).episodic
    assert Fabric.episodic


def test_it_may_be_part_of_another_and_scale_the_sum():
    inner = FabricPart(RewardCls=Fabric, reward_kwargs={"parts": parts((RE3, 2.0))}, weight=3.0)
    outer = Fabric.from_spaces(
        VECTOR, DISCRETE, n_envs=2, seed=0, parts=[inner], reward_norm="minmax"
    )
    found = outer.compute(transitions(6, 2))
    assert found.min() == 0
    assert found.max() == 1


def test_mistakes_are_named():
    for chosen in ({}, {"parts": []}, {"parts": RND}, {"parts": [RND]}):
        with pytest.raises(RlpytError, match=r"\(Fabric\) - parts=\[FabricPart\(RewardCls=RND\)"):
            Fabric.from_spaces(VECTOR, DISCRETE, n_envs=2, seed=3, **chosen)
    with pytest.raises(RlpytError, match="0 rewards"):
        Fabric(reward_scale=RewardScale("none"), rewards=[], weights=[])
    with pytest.raises(RlpytError, match="weight=nan of RE3"):
        FabricPart(RewardCls=RE3, weight=float("nan"))
    with pytest.raises(RlpytError, match="1 rewards and 2 weights"):
        Fabric(
            reward_scale=RewardScale("none", discount=None, n_envs=2),
            rewards=[RE3.from_spaces(VECTOR, DISCRETE, n_envs=2, seed=0)],
            weights=[1.0, 2.0],
        )
    wrong = FabricPart(RewardCls=RE3, reward_kwargs={"capacitty": 3})
    with pytest.raises(RlpytError, match=r"parts\[0\].reward_kwargs.capacitty.*capacity"):
        Fabric.from_spaces(VECTOR, DISCRETE, n_envs=2, seed=0, parts=[wrong])
