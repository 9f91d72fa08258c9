"""DrAC, DAAC, DrDAAC and PPG: losses against loops, which network learns what, phases, settings."""

import copy
import re
from dataclasses import replace
from functools import partial

import numpy as np
import pytest
import torch
from gymnasium import spaces
from test_algorithms import assert_equal_parameters
from test_learns import Identity
from test_pg_losses import loss_batch, policy_outputs
from toy_envs import ACTIONS, copied, make, parameters, walk

from rlpyt.agents.pg import PgAgent
from rlpyt.algos.augmenter import Augmenter
from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.pg.agreement import policy_agreement_loss, value_agreement_loss
from rlpyt.algos.pg.daac import DAAC, daac_policy_loss, daac_value_loss
from rlpyt.algos.pg.drac import DrAC
from rlpyt.algos.pg.phase import PhaseSteps
from rlpyt.algos.pg.ppg import PPG, auxiliary_loss
from rlpyt.algos.pg.ppo import PPO
from rlpyt.augment import GaussianNoise, RandomConvolution, RandomCrop, RandomCutout, RandomShift
from rlpyt.data import BatchSpec
from rlpyt.distributions.categorical import Categorical
from rlpyt.distributions.categorical import DistInfo as CategoricalInfo
from rlpyt.distributions.gaussian import DistInfo as GaussianInfo
from rlpyt.distributions.gaussian import Gaussian
from rlpyt.envs.build import EnvConfig
from rlpyt.models.decoupled import DecoupledPgModel
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.world import World

T, B = 10, 4
NOISE = GaussianNoise(std=0.05)
ADVANTAGE, VALUE = {"auxiliary": "advantage"}, {"auxiliary": "value"}
SMALL_PHASE = {"policy_iterations": 2, "auxiliary_epochs": 2, "auxiliary_minibatches": 2}
CASES = {
    "daac": (DAAC(minibatches=2, value_epochs=2), ADVANTAGE),
    "drdaac": (DAAC(minibatches=2, value_epochs=2, augmentation=NOISE), ADVANTAGE),
    "drac": (DrAC(minibatches=2, augmentation=NOISE), None),
    "ppg": (PPG(minibatches=2, **SMALL_PHASE), VALUE),
}
CLOSE = {"rtol": 1e-10, "atol": 1e-12}


def agent_cls(model):
    if model is None:
        return PgAgent
    return lambda model_kwargs: PgAgent(
        ModelCls=DecoupledPgModel, model_kwargs={**model, **model_kwargs}
    )


def some_batches(algo, model, n=2, action="discrete", **kwargs):
    """Initialised agent, and batches in the middle of a run."""
    agent, sampler = make(algo, walk(action), T=T, B=B, AgentCls=agent_cls(model), **kwargs)
    batches = [copied(sampler.obtain_samples(itr)[0]) for itr in range(n)]
    sampler.shutdown()
    return agent, batches


# --- losses ------------------------------------------------------------------------------------


@pytest.mark.parametrize("masked", [False, True])
def test_the_policy_loss_of_daac_equals_a_loop(masked):
    batch = loss_batch(valid=torch.arange(500) % 3 > 0 if masked else None)
    log_prob, predicted, entropy = policy_outputs(batch)
    ours = daac_policy_loss(
        batch,
        log_prob,
        predicted,
        entropy,
        ratio_clip=torch.tensor(0.2, dtype=torch.float64),
        advantage_loss_coeff=0.3,
        entropy_loss_coeff=0.02,
    )
    policy, error, mean_entropy, count = 0.0, 0.0, 0.0, 0
    for i in range(500):
        if masked and not batch.valid[i]:
            continue
        ratio = torch.exp(log_prob[i] - batch.old_log_prob[i])
        advantage = batch.advantage[i]
        policy = policy + torch.minimum(ratio * advantage, ratio.clamp(0.8, 1.2) * advantage)
        error = error + (predicted[i] - advantage) ** 2
        mean_entropy, count = mean_entropy + entropy[i], count + 1
    expected = (-policy + 0.3 * error - 0.02 * mean_entropy) / count
    torch.testing.assert_close(ours.loss, expected, **CLOSE)
    torch.testing.assert_close(ours.advantageLoss, 0.3 * error / count, **CLOSE)
    outputs = (log_prob, predicted, entropy)
    found = torch.autograd.grad(ours.loss, outputs)
    for mine, theirs in zip(found, torch.autograd.grad(expected, outputs), strict=True):
        torch.testing.assert_close(mine, theirs, **CLOSE)


@pytest.mark.parametrize("clip", [None, 0.3])
def test_the_value_loss_of_daac_equals_a_loop(clip):
    batch = loss_batch(valid=torch.arange(500) % 4 > 0)
    value = policy_outputs(batch)[1].detach()
    total, count = 0.0, 0
    for i in range(500):
        if not batch.valid[i]:
            continue
        errors = [(batch.return_[i] - value[i]) ** 2]
        if clip is not None:
            step = min(max((value[i] - batch.old_value[i]).item(), -clip), clip)
            errors.append((batch.return_[i] - batch.old_value[i] - step) ** 2)
        total, count = total + max(float(error) for error in errors), count + 1
    found = daac_value_loss(batch, value, clip).item()
    assert found == pytest.approx(0.5 * total / count, rel=1e-10)


def test_agreement_of_categorical_policies_equals_a_loop_and_moves_only_the_augmented():
    rng = np.random.default_rng(0)
    logits, seen = (torch.tensor(rng.standard_normal((20, 3)), requires_grad=True) for _ in "12")
    valid = torch.arange(20) % 3 > 0
    policies = (CategoricalInfo(logits.log_softmax(-1)), CategoricalInfo(seen.log_softmax(-1)))
    loss = policy_agreement_loss(Categorical(3), *policies, valid)
    p, q = (torch.softmax(each.detach(), -1).tolist() for each in (logits, seen))
    kl = [sum(a * np.log(a / b) for a, b in zip(p[i], q[i], strict=True)) for i in range(20)]
    assert loss.item() == pytest.approx(np.mean([kl[i] for i in range(20) if valid[i]]))
    loss.backward()
    assert logits.grad is None
    np.testing.assert_allclose(  # ∂KL(p || softmax(z)) / ∂z = softmax(z) - p
        seen.grad[valid], (np.array(q) - np.array(p))[valid] / valid.sum().item(), atol=1e-12
    )
    assert not seen.grad[~valid].any()


def test_agreement_of_gaussian_policies_has_its_closed_form():
    """Equal deviations: KL = ½ ((μ - μ') / σ)²."""
    mean, seen = torch.tensor([[0.5]]), torch.tensor([[1.5]])
    log_std = torch.full((1, 1), np.log(2.0), dtype=torch.float32)
    infos = GaussianInfo(mean, log_std), GaussianInfo(seen, log_std)
    loss = policy_agreement_loss(Gaussian((1,)), *infos, None)
    assert loss.item() == pytest.approx(0.125)


def test_agreement_of_values_equals_its_definition_and_moves_only_the_augmented():
    value = torch.tensor([1.0, 2.0, 9.0], requires_grad=True)
    seen = torch.tensor([0.0, 4.0, 0.0], requires_grad=True)
    loss = value_agreement_loss(value, seen, torch.tensor([True, True, False]))
    assert loss.item() == 2.5
    loss.backward()
    assert value.grad is None
    assert seen.grad.tolist() == [-1.0, 2.0, 0.0]


def test_the_auxiliary_loss_equals_a_loop():
    rng = np.random.default_rng(3)
    return_, head, value, kl = map(torch.tensor, rng.standard_normal((4, 30)))
    valid = torch.arange(30) % 5 > 0
    found = auxiliary_loss(return_, head, value, kl, valid, clone_coeff=0.7)
    kept = [i for i in range(30) if valid[i]]
    heads = sum(0.5 * (head[i] - return_[i]).item() ** 2 for i in kept) / len(kept)
    values = sum(0.5 * (value[i] - return_[i]).item() ** 2 for i in kept) / len(kept)
    kls = sum(kl[i].item() for i in kept) / len(kept)
    assert [each.item() for each in found] == pytest.approx(
        [heads + values + 0.7 * kls, heads, values, kls]
    )


# --- what each algorithm does ------------------------------------------------------------------


@pytest.mark.parametrize("action", ACTIONS)
@pytest.mark.parametrize("name", CASES)
def test_two_iterations_move_every_parameter(name, action):
    algo, model = CASES[name]
    algo = replace(algo)
    agent, batches = some_batches(algo, model, action=action)
    before = parameters(agent)
    infos = [algo.optimize_agent(itr, samples) for itr, samples in enumerate(batches)]
    assert all(np.isfinite(column).all() for info in infos for column in info.values())
    after = parameters(agent)
    assert [key for key in before if torch.equal(before[key], after[key])] == []
    assert len(infos[0]["gradNorm"]) == algo.epochs * algo.minibatches
    if name == "daac":
        assert set(infos[0]["policyAgreementLoss"] + infos[0]["valueAgreementLoss"]) == {0.0}
    if name in ("drdaac", "drac"):
        assert min(infos[0]["valueAgreementLoss"]) > 0
        assert max(infos[1]["policyAgreementLoss"]) > 0


def test_drac_without_weight_on_its_terms_is_ppo():
    shared = {
        "epochs": 2,
        "minibatches": 2,
        "learning_rate": 0.01,
        "discount": 0.9,
        "value_clip": None,
        "value_loss_coeff": 0.7,
    }
    results = {}
    for coeff in (0.0, 1.0):
        algo = DrAC(
            augmentation=NOISE, augmentation_loss_coeff=coeff, normalize_reward=False, **shared
        )
        agent, batches = some_batches(algo, None)
        algo.optimize_agent(0, batches[0])
        results[coeff] = parameters(agent)
    ppo = PPO(normalize_advantage="batch", **shared)
    agent, batches = some_batches(ppo, None)
    ppo.optimize_agent(0, batches[0])
    for key, expected in parameters(agent).items():
        torch.testing.assert_close(results[0.0][key], expected, rtol=1e-5, atol=1e-6)
    assert any(not torch.allclose(results[0.0][k], results[1.0][k]) for k in results[0.0])


def test_the_value_of_daac_learns_in_every_nth_iteration_only_and_alone():
    algo = DAAC(minibatches=2, value_epochs=3, value_interval=2)
    agent, batches = some_batches(algo, ADVANTAGE)
    kept = [parameters(agent)]
    infos = []
    for itr, samples in enumerate(batches):
        infos.append(algo.optimize_agent(itr, samples))
        kept.append(parameters(agent))
    moved = [
        {key for key in kept[0] if not torch.equal(kept[i][key], kept[i + 1][key])} for i in (0, 1)
    ]
    value = {key for key in kept[0] if key.startswith("value_network")}
    assert moved == [set(kept[0]) - value, set(kept[0])]
    assert "valueLoss" not in infos[0]
    assert len(infos[1]["valueLoss"]) == 6


def test_the_auxiliary_phase_moves_its_head_and_leaves_the_policy_nearly_where_it_was():
    algo = PPG(minibatches=2, policy_iterations=3, auxiliary_epochs=6, learning_rate=1e-3)
    agent, batches = some_batches(algo, VALUE, n=3)
    head = "policy_network.head."
    start = parameters(agent)
    for itr in (0, 1):
        info = algo.optimize_agent(itr, batches[itr])
        assert "auxiliaryLoss" not in info
    before = parameters(agent)
    assert [key for key in start if torch.equal(start[key], before[key])] == [
        key for key in start if key.startswith(head)
    ]  # PPO leaves the head alone
    info = algo.optimize_agent(2, batches[2])
    assert len(info["auxiliaryLoss"]) == 6 * 3 * 16
    after = parameters(agent)
    assert all(not torch.equal(before[key], after[key]) for key in before)
    assert info["cloneKl"][0] == pytest.approx(0.0, abs=1e-7)  # it starts as the old policy
    assert 0 < max(info["cloneKl"]) < 0.01
    losses = np.array(info["auxiliaryHeadLoss"]).reshape(6, -1).mean(1)
    assert losses[-1] < losses[0]


def test_the_auxiliary_phase_is_held_to_the_policy_at_its_start(monkeypatch):
    """To π of the whole phase's beginning, not of the step before: β KL(π_start || π) is reported
    of every step, and its gradient is that of a formula.
    """
    taken, step = [], GradientStep.step

    def recorded(self, rate, *args, share=None):
        if isinstance(args[0], PhaseSteps):
            taken.append((args[0], parameters(agent)))
        return step(self, rate, *args, share=share)

    monkeypatch.setattr(GradientStep, "step", recorded)
    counts = {"minibatches": 2, "policy_iterations": 2, "auxiliary_epochs": 3}
    algo = PPG(**counts, auxiliary_minibatches=2, clone_coeff=3.0, learning_rate=1e-2)
    agent, batches = some_batches(algo, VALUE)
    found = [algo.optimize_agent(itr, batch) for itr, batch in enumerate(batches)][1]["cloneKl"]
    assert len(taken) == len(found) == 3 * 2 * 2

    def log_policy(observation, values):
        for name, parameter in agent.model.named_parameters():
            parameter.data.copy_(values[name])
        return algo._model.policy_params(observation).log_softmax(-1)

    kls = []
    for part, before in taken:
        old = log_policy(part.observation, taken[0][1]).detach()
        kls.append((old.exp() * (old - log_policy(part.observation, before))).sum(-1).mean())
    assert found == pytest.approx([kl.item() for kl in kls], rel=1e-3, abs=1e-6)
    assert found[-1] > 1e-4  # it has gone somewhere
    part, _before = taken[-1]
    loss, parts = algo._auxiliary_loss(part)
    rest = parts.auxiliaryHeadLoss + parts.auxiliaryValueLoss
    own = [p for name, p in agent.model.named_parameters() if name.startswith("policy_network")]
    pulls = (torch.autograd.grad(each, own, allow_unused=True) for each in (loss - rest, kls[-1]))
    moved = 0
    for pull, expected in zip(*pulls, strict=True):
        if expected is not None:
            torch.testing.assert_close(pull, 3.0 * expected, rtol=1e-3, atol=1e-6)
            moved += bool(expected.any())
    assert moved > 2


@pytest.mark.parametrize("name", CASES)
def test_an_algorithm_continues_from_its_state(name):
    """PPG in the middle of a phase; the augmentation's generator where it was."""
    settings, model = CASES[name]
    agent, batches = some_batches(replace(settings), model, n=3)

    def fresh():
        algo, learner = replace(settings), copy.deepcopy(agent)
        algo.initialize(learner, n_itr=10, batch_spec=BatchSpec(T, B), seed=0)
        return algo, learner

    first, learner = fresh()
    first.optimize_agent(0, batches[0])
    saved = copy.deepcopy((first.state_dict(), learner.state_dict()))
    second, other = fresh()
    other.load_state_dict(saved[1])
    second.load_state_dict(saved[0])
    for itr in (1, 2):
        assert first.optimize_agent(itr, batches[itr]) == second.optimize_agent(itr, batches[itr])
    assert_equal_parameters(parameters(learner), parameters(other))


# --- augmentations -----------------------------------------------------------------------------


def augmented(observation, space, augmentation):
    return Augmenter(augmentation, space, seed=0, world=World())(observation)


IMAGE = spaces.Box(0, 255, (3, 12, 12), np.uint8)
VECTOR = spaces.Box(-1.0, 1.0, (4,), np.float32)


def test_images_are_augmented_else_vectors_never_a_mask():
    image = torch.randint(0, 255, (6, 3, 12, 12), dtype=torch.uint8)
    vector, mask = torch.randn(6, 4), torch.ones(6, 4)
    tree = namedarraytuple("Seen", ["action_mask", "image", "vector"])(mask, image, vector)
    space = spaces.Dict({"action_mask": VECTOR, "image": IMAGE, "vector": VECTOR})
    found = augmented(tree, space, RandomShift(pad=3))
    assert not torch.equal(found.image, image)
    assert found.vector is vector
    assert found.action_mask is mask
    tree = namedarraytuple("Blind", ["action_mask", "number", "vector"])(
        mask, torch.arange(6), vector
    )
    space = spaces.Dict({"action_mask": VECTOR, "number": spaces.Discrete(6), "vector": VECTOR})
    found = augmented(tree, space, NOISE)
    assert not torch.equal(found.vector, vector)
    assert found.action_mask is mask
    sequence = torch.randn(3, 2, 4)
    assert augmented(sequence, VECTOR, NOISE).shape == (3, 2, 4)


def test_images_without_a_channel_have_a_draw_each():
    """They are no channels of one image."""
    image = torch.randint(0, 255, (12, 12), dtype=torch.uint8)
    space = spaces.Box(0, 255, (12, 12), np.uint8)
    found = augmented(image.expand(3, 20, 12, 12).clone(), space, RandomShift(pad=3))
    assert found.shape == (3, 20, 12, 12)
    different = {tuple(one.flatten().tolist()) for one in found.flatten(0, 1)}
    assert len(different) > 20  # of 49 shifts
    with pytest.raises(RlpytError, match="fit observations of shape") as caught:
        augmented(image, space, NOISE)
    assert caught.value.hint.endswith("these fit: RandomFlip, RandomRotate, RandomShift, "
                                      "RandomTranslate")  # fmt: skip


def test_what_cannot_be_augmented_is_refused():
    with pytest.raises(RlpytError, match="neither image nor vector") as caught:
        augmented(torch.arange(5), spaces.Discrete(5), NOISE)
    assert caught.value.code == "config"
    assert caught.value.hint == "use algo.augmentation=none"
    image = torch.zeros(2, 3, 12, 12)
    with pytest.raises(RlpytError, match=r"shape \[3, 8, 8\] from \[3, 12, 12\]"):
        augmented(image, IMAGE, RandomCrop(size=8))


SHIFTS = "RandomFlip, RandomRotate, RandomShift, RandomTranslate"
FLOATS = "GaussianNoise, RandomAmplitudeScaling"


@pytest.mark.parametrize(
    ("augmentation", "space", "what", "hint"),
    [
        (RandomShift(), VECTOR, r"shape \[4\], float32; .*height, width", f"these fit: {FLOATS}$"),
        (
            NOISE,
            spaces.Box(0, 255, (3, 96, 96), np.uint8),  # a RandomCrop would not keep that shape
            r"shape \[3, 96, 96\], uint8; .*are floats",
            f"fit: Gray.*Convolution, RandomCutout, RandomCutoutColor, {SHIFTS}$",
        ),
        (RandomCutout(), IMAGE, "in images of 12 x 12", f"max_size of 12 or less; .*{SHIFTS}$"),
        (
            RandomConvolution(),
            spaces.Dict({"eye": spaces.Box(0, 255, (4, 12, 12), np.uint8)}),
            r"observation 'eye' of shape \[4, 12, 12\]",
            f"frame_channels=1.*these fit: {SHIFTS}$",
        ),
        (
            RandomShift(),
            spaces.Box(0, 1, (12, 12, 3), np.float32),
            "12 channels of only 3 columns",
            "channel is last, .*a wrapper of the environment; or do without$",
        ),
        (RandomShift(), spaces.Box(0, 1, (3, 12, 12), np.bool_), "bool", "^do without$"),
    ],
    ids=lambda value: type(value).__name__,
)
def test_what_does_not_fit_the_observations_is_told_with_what_does(augmentation, space, what, hint):
    with pytest.raises(RlpytError, match=what) as caught:
        Augmenter(augmentation, space, seed=0, world=World(), instead="do without")
    assert caught.value.code == "config"
    assert caught.value.where == f"algo.augmentation={type(augmentation).__name__}"
    assert re.search(hint, caught.value.hint)


# --- settings ----------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("algo", "model", "message"),
    [
        (DAAC(), None, "ModelCls=PgModel: it needs the advantage head"),
        (DAAC(), VALUE, "auxiliary='value': it needs the advantage head"),
        (PPG(), ADVANTAGE, "auxiliary='advantage': it needs the value head"),
        (DAAC(), {"auxiliary": "valeu"}, "'valeu' is none of"),
        (DAAC(value_epochs=0), ADVANTAGE, r"algo\.value_epochs=0"),
        (DrAC(augmentation_loss_coeff=-1.0), None, r"algo\.augmentation_loss_coeff=-1"),
        (PPG(policy_iterations=0), VALUE, r"algo\.policy_iterations=0"),
        (PPG(minibatches=41), VALUE, "minibatches=41 is more than the 40 steps"),
    ],
    ids=str,
)
def test_what_does_not_fit_is_refused_by_name(algo, model, message):
    with pytest.raises(RlpytError, match=message) as caught:
        make(algo, walk(), T=T, B=B, AgentCls=agent_cls(model))
    assert caught.value.code == "config"


def test_the_room_of_a_phase_is_foretold():
    algo = PPG(policy_iterations=3)
    agent, _batches = some_batches(algo, VALUE, n=1)
    assert algo.forecast(agent, BatchSpec(T, B)) == 3 * T * B * (3 * 4 + 4 + 1)


# --- learning ----------------------------------------------------------------------------------

FAST = {
    "learning_rate": 3e-3,
    "learning_rate_schedule": "linear",
    "discount": 0.9,
    "epochs": 4,
    "minibatches": 4,
    "entropy_loss_coeff": 0.0,
    "normalize_reward": False,
    "value_clip": None,
}
LEARNERS = {
    "daac": (DAAC(value_epochs=4, **FAST), ADVANTAGE),
    "drdaac": (DAAC(value_epochs=4, augmentation=GaussianNoise(std=0.02), **FAST), ADVANTAGE),
    "drac": (DrAC(augmentation=GaussianNoise(std=0.02), **FAST), None),
    "ppg": (
        PPG(policy_iterations=8, auxiliary_epochs=2, auxiliary_minibatches=2, **FAST),
        VALUE,
    ),
}


def mean_return(name, n_steps, continuous, **model_kwargs):
    """Train, then evaluate 200 greedy episodes."""
    algo, model = LEARNERS[name]
    agent = agent_cls(model)(model_kwargs=model_kwargs)
    env = EnvConfig(id=partial(Identity, continuous=continuous))
    sampler = SerialSampler(env=env, batch_T=32, batch_B=16)
    runner = MinibatchRl(algo=replace(algo), agent=agent, sampler=sampler, n_steps=n_steps)
    replace(runner, device="cpu").train()
    evaluator = Evaluator(episodes=200, n_envs=20)
    evaluator.initialize(agent, sampler, seed=1, discount=1.0)
    trajs = evaluator.evaluate(0)
    evaluator.shutdown()
    return sum(traj.Return for traj in trajs) / 200


@pytest.mark.parametrize("name", ["daac", "ppg"])
def test_names_an_index(name):
    assert mean_return(name, 20_000, continuous=False) == 10.0


@pytest.mark.parametrize("name", LEARNERS)
def test_names_a_number(name):
    assert mean_return(name, 40_000, continuous=True, init_log_std=-1.0) > -0.1  # at random: -6.7
