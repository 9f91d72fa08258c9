"""What every intrinsic reward refuses: options out of range, batches of other spaces, and numbers
that it would keep for ever.
"""

import inspect
import math

import pytest
import torch
from gymnasium import spaces
from reward_fakes import ACTIONS, OBSERVATIONS, batch

import rlpyt.rewards
from rlpyt.rewards import (
    E3B,
    GIRM,
    ICM,
    NGU,
    RE3,
    REVD,
    RIDE,
    RISE,
    RND,
    SND,
    BYOLExplore,
    Disagreement,
    Fabric,
    FabricPart,
    IntrinsicReward,
    PseudoCounts,
    RewardWeight,
    reward_samples,
)
from rlpyt.utils.errors import RlpytError

torch.set_num_threads(1)

TINY = {"feature_size": 4, "hidden_sizes": (8,)}
PARTS = [FabricPart(RewardCls=cls, reward_kwargs=TINY) for cls in (RND, ICM)]
NEEDED = {NGU: {"episodic_kwargs": TINY, "lifelong_kwargs": TINY}, Fabric: {"parts": PARTS}}
ALL = [
    thing
    for thing in map(vars(rlpyt.rewards).get, rlpyt.rewards.__all__)
    if inspect.isclass(thing)
    and issubclass(thing, IntrinsicReward)
    and not inspect.isabstract(thing)
]
every_reward = pytest.mark.parametrize("RewardCls", ALL)
OBSERVATION, ACTION = spaces.Box(-1.0, 1.0, (3,)), spaces.Discrete(4)
NUMBER = spaces.Box(-1.0, 1.0, (2,))


def build(RewardCls, observation_space=OBSERVATION, action_space=ACTION, **options):
    chosen = {"n_envs": 2, "seed": 0, **NEEDED.get(RewardCls, TINY), **options}
    return RewardCls.from_spaces(observation_space, action_space, **chosen)


def samples_like(**changes):
    samples = batch(5, 2, observation_space=OBSERVATION, action_space=ACTION)
    return samples._replace(**{name: change(samples) for name, change in changes.items()})


# --- options -----------------------------------------------------------------------------------


LOW = {
    "learning_rate": -1.0,
    "batch_size": 0,
    "epochs": 0,
    "update_proportion": 0.0,
    "clip_grad_norm": 0.0,
    "feature_size": 0,
    "memory_size": 0,
    "hidden_sizes": (0,),
    "model_sizes": (0,),
    "n_envs": -1,
    "n_neighbors": 0,
    "capacity": -5,
    "alpha": -0.1,
    "epsilon": -1.0,
    "forward_weight": -0.1,
    "pseudo_count": -1.0,
    "max_similarity": -1.0,
    "max_scale": 0.5,
    "ridge": 0.0,
    "horizon": 0,
    "target_decay": -0.1,
    "n_models": 1,
    "return_discount": -0.1,
}
"""A value below the range of every option that is a number, or sizes of layers."""


@every_reward
def test_every_number_has_a_range_and_its_error_names_the_reward(RewardCls):
    parameters = inspect.signature(RewardCls.from_spaces).parameters.values()
    numbers = [
        p.name
        for p in parameters
        if p.name in LOW
        or (
            p.annotation in (int, float, int | None, float | None)
            and p.name not in ("seed", "last_channels")
        )
    ]
    assert numbers
    for name in numbers:
        for value in (LOW[name], *([math.nan] if isinstance(LOW[name], float) else [])):
            shown = f"{value}" if name != "capacity" else ""  # one of its errors says it in words
            with pytest.raises(RlpytError) as caught:
                build(RewardCls, **{name: value})
            assert caught.value.code == "config"
            assert shown.strip("()") in caught.value.what
            assert caught.value.where.startswith(RewardCls.__name__)
            assert "use" in caught.value.hint or "differ" in caught.value.hint


@pytest.mark.parametrize(
    ("RewardCls", "options", "named"),
    [
        (ICM, {"forward_weight": 2.0}, "forward_weight=2.0"),
        (RIDE, {"forward_weight": 2.0}, "forward_weight=2.0"),
        (PseudoCounts, {"pseudo_count": 9.0}, "max_similarity=8.0, pseudo_count=9.0"),
        (PseudoCounts, {"pseudo_count": math.inf}, "pseudo_count=inf"),
        (SND, {"vicreg_weights": (1.0, 2.0, -1.0)}, r"vicreg_weights\.covariance=-1.0"),
        (REVD, {"epsilon": math.inf}, "epsilon=inf"),
        (E3B, {"ridge": math.inf}, "ridge=inf"),
        (RND, {"learning_rate": math.inf}, "learning_rate=inf"),
        (GIRM, {"vae_kwargs": {"action_share": 2.0}}, "action_share=2.0"),
        (GIRM, {"vae_kwargs": {"latent_weight": -1.0}}, "latent_weight=-1.0"),
        (RIDE, {"kernel_kwargs": {"kernel_epsilon": math.inf}}, "kernel_epsilon=inf"),
        (RIDE, {"kernel_kwargs": {"capacity": 0}}, "a memory of 2 environments, 0 vectors"),
        (NGU, {"lifelong_kwargs": {"learning_rat": 1.0}}, "lifelong_kwargs.learning_rat"),
        (NGU, {"lifelong_kwargs": {"epochs": 0}}, r"epochs=0 \(NGU, RND\)"),
        (
            Fabric,
            {"parts": [FabricPart(RewardCls=RE3, reward_kwargs={"n_neighbors": 0})]},
            r"n_neighbors=0 \(Fabric, RE3\)",
        ),
    ],
)
def test_options_that_make_no_sense(RewardCls, options, named):
    with pytest.raises(RlpytError, match=named) as caught:
        build(RewardCls, **options)
    assert caught.value.where.startswith(RewardCls.__name__)


@pytest.mark.parametrize(
    ("RewardCls", "options"),
    [
        (ICM, {"forward_weight": 1.0}),
        (ICM, {"learning_rate": 0.0, "clip_grad_norm": math.inf, "model_sizes": ()}),
        (PseudoCounts, {"pseudo_count": 0.0, "max_similarity": math.inf}),
        (REVD, {"epsilon": 0.0, "alpha": 0.0}),
        (NGU, {"max_scale": math.inf}),
        (SND, {"vicreg_weights": (0.0, 0.0, 0.0)}),
    ],
)
def test_the_ends_of_ranges_are_taken(RewardCls, options):
    assert build(RewardCls, **options).compute(samples_like()).isfinite().all()


@pytest.mark.parametrize("beta", [-1.0, math.inf, math.nan])
def test_a_weight_is_finite(beta):
    with pytest.raises(RlpytError, match=rf"beta={beta} \(RewardWeight\)"):
        RewardWeight(beta=beta)


# --- batches -----------------------------------------------------------------------------------


def wider(samples):
    return torch.zeros(5, 2, 4)


def one_more(samples):
    return torch.cat([samples.next_observation, samples.observation[:1]])


WRONG = {
    "another width": ({"observation": wider}, r"observation has shape .* of \(4,\)"),
    "another next width": ({"next_observation": wider}, r"next_observation has shape .* of \(4,\)"),
    "one next too many": (
        {"next_observation": one_more},
        r"next_observation has shape \(6, 2, 3\)",
    ),
    "no time": ({"terminated": lambda s: s.terminated[0]}, r"terminated has shape \(2,\)"),
    "other ends": ({"truncated": lambda s: s.truncated[:4]}, r"truncated has shape \(4, 2\)"),
    "ends of more": ({"truncated": lambda s: s.truncated[..., None]}, r"truncated has shape"),
    "counted ends": ({"terminated": lambda s: s.terminated.float()}, "terminated is torch.float32"),
    "real actions": ({"action": lambda s: s.action.float()}, "action is torch.float32"),
    "actions in columns": ({"action": lambda s: s.action[..., None]}, r"action has shape"),
    "an array": ({"observation": lambda s: s.observation.numpy()}, "observation is a ndarray"),
}


@every_reward
@pytest.mark.parametrize("way", ["compute", "update"])
def test_batches_of_other_shapes(RewardCls, way):
    reward = build(RewardCls)
    for changes, named in WRONG.values():
        with pytest.raises(RlpytError, match=named) as caught:
            getattr(reward, way)(samples_like(**changes))
        assert caught.value.where == RewardCls.__name__
    for nothing in (samples_like()[:0], samples_like()[:, :0]):
        with pytest.raises(RlpytError, match="a batch of T, B ="):
            getattr(reward, way)(nothing)


@every_reward
def test_a_tree_without_a_leaf(RewardCls):
    reward = build(RewardCls, OBSERVATIONS["dict"])
    samples = batch(observation_space=OBSERVATIONS["dict"])
    short = reward_samples(
        observation={"cell": samples.observation.cell},
        action=samples.action,
        next_observation=samples.next_observation,
        terminated=samples.terminated,
    )
    for other in (short, short._replace(observation=torch.zeros(6, 2, 3))):
        with pytest.raises(RlpytError, match=r"observation has no '(place|cell)'"):
            reward.compute(other)


def test_other_environments_than_it_follows_are_not_learned_from():
    with pytest.raises(RlpytError, match="BYOLExplore is of 3 environments, and 2 columns"):
        build(BYOLExplore, n_envs=3).update(samples_like())


# --- numbers -----------------------------------------------------------------------------------


@every_reward
@pytest.mark.parametrize("field", ["observation", "next_observation"])
@pytest.mark.parametrize("number", [math.nan, math.inf])
def test_a_number_that_is_not_finite_does_not_get_in(RewardCls, field, number):
    reward, other = build(RewardCls), build(RewardCls)
    bad = samples_like(**{field: lambda s: getattr(s, field).clone()})
    getattr(bad, field)[3, 1, 2] = number
    with pytest.raises(RlpytError, match=rf"{field}\[3, 1, 2\] is {number}"):
        reward.compute(bad)
    good = samples_like()
    assert torch.equal(reward.compute(good), other.compute(good))


@every_reward
def test_an_index_that_is_none_of_the_spaces(RewardCls):
    reward = build(RewardCls)
    for number in (9, 4, -1):
        bad = samples_like(action=lambda s: s.action.clone())
        bad.action[3, 1] = number
        with pytest.raises(RlpytError, match=rf"action\[3, 1\] is {number}, .*Discrete\(4\)"):
            reward.compute(bad)


def test_what_is_not_valid_may_be_anything():
    valid = torch.ones(5, 2, dtype=torch.bool)
    valid[3:, 1] = False
    samples = samples_like(valid=lambda s: valid, action=lambda s: s.action.clone())
    samples.action[4, 1] = -42
    samples.observation[4, 1] = math.nan
    build(Disagreement).layout.check_numbers(samples)
    samples.observation[4, 0] = math.nan
    with pytest.raises(RlpytError, match=r"observation\[4, 0, 0\] is nan"):
        build(Disagreement).compute(samples)


def test_large_numbers_are_finite():
    """Their sum is not."""
    samples = samples_like(observation=lambda s: torch.full_like(s.observation, 3e38))
    build(RISE).layout.check_numbers(samples)


def test_indices_of_more_than_one_number_and_real_actions():
    many = batch(
        5, 2, observation_space=OBSERVATIONS["dict"], action_space=ACTIONS["multi_discrete"]
    )
    layout = build(RND, OBSERVATIONS["dict"], ACTIONS["multi_discrete"]).layout
    layout.check(many)
    layout.check_numbers(many)
    many.action[2, 1, 0] = 2  # of [2, 3]
    with pytest.raises(RlpytError, match=r"action\[2, 1, 0\] is 2"):
        layout.check_numbers(many)
    many.action[2, 1, 0] = 0
    many.next_observation.cell[0, 1] = 5
    with pytest.raises(RlpytError, match=r"next_observation.cell\[0, 1\] is 5, .*Discrete\(5\)"):
        layout.check_numbers(many)
    real = batch(5, 2, observation_space=OBSERVATION, action_space=NUMBER)
    reward = build(ICM, action_space=NUMBER)
    real.action[1, 1, 0] = math.inf  # clipped to the bounds
    assert reward.compute(real).isfinite().all()
    real.action[1, 1, 1] = math.nan
    with pytest.raises(RlpytError, match=r"action\[1, 1, 1\] is nan"):
        reward.compute(real)
