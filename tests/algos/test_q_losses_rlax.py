"""The losses of the Q-learning algorithms are those of rlax, from the batch that the replay hands
out to the gradient of every parameter.

What was to be learnt is taken from the log of all that happened, step by step: n-step returns,
terminations, and the true final observation at truncations.
"""

import importlib.util
from dataclasses import dataclass, field
from functools import partial
from typing import Any

import numpy as np
import pytest
import torch
from q_fakes import DISCOUNT, Learner, Target, end_of, stacked, target_at
from torch import Tensor

from rlpyt.algos.dqn import DQN, IQN, QRDQN, R2D1, CategoricalDQN
from rlpyt.data import AgentInputs, NoState
from rlpyt.models.dqn import DqnModel
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer

pytestmark = pytest.mark.skipif(
    importlib.util.find_spec("rlax") is None,
    reason='the oracle is not here: pip install "rlpyt[oracles]"',
)
CLOSE = {"rtol": 1e-9, "atol": 1e-11}
N = 200  # cases of each kind


# --- rlax, in a process of its own ---------------------------------------------------------------


def rlax_q(case, *, delta_clip):
    """Huber or half the square of the error of q_learning, or double_q_learning."""
    import rlax

    q, action, return_, discount, following, selector = case
    if selector is None:
        error = rlax.q_learning(q, action, return_, discount, following)
    else:
        error = rlax.double_q_learning(q, action, return_, discount, following, selector)
    return 0.5 * error**2 if delta_clip is None else rlax.huber_loss(error, delta_clip)


def rlax_categorical(case):
    import jax.numpy as jnp
    import rlax

    logits, action, return_, discount, following, selector = case
    z = jnp.linspace(-4.0, 4.0, logits.shape[-1])
    rest = (z, logits, action, return_, discount, z, following)
    if selector is None:
        return rlax.categorical_q_learning(*rest)
    return rlax.categorical_double_q_learning(*rest, selector)


def rlax_quantile(case, *, kappa):
    """rlax does not divide by κ."""
    import rlax

    quantiles, action, return_, discount, following, selector, fractions = case
    found = rlax.quantile_q_learning(
        quantiles.T, fractions, action, return_, discount, selector.T, following.T, kappa
    )
    return found / kappa


def evaluate(loss, cases, weight):
    """Losses [N], and the gradient of their weighted sum by the network's outputs."""
    import jax

    def total(outputs, rest):
        found = jax.vmap(lambda *case: loss(case))(outputs, *rest)
        return (found * weight).sum(), found

    with jax.enable_x64(True):
        run = jax.jit(jax.value_and_grad(total, has_aux=True))
        (_total, losses), gradient = run(cases[0], cases[1:])
        return np.asarray(losses), np.asarray(gradient)


def evaluate_sequences(sequences, n_step, length, weight):
    """Losses [N] of sequences, one by one, and of their weighted sum the gradient of each's q."""
    import jax
    import rlax

    def total(q, weight, *rest):
        action, following, next_action, reward, discount = rest
        error = rlax.transformed_n_step_q_learning(
            *(q, action, following, next_action, reward, discount, n_step),
            tx_pair=rlax.SIGNED_HYPERBOLIC_PAIR,
        )
        loss = 0.5 * (error[:length] ** 2).mean()
        return weight * loss, loss

    losses, gradients = [], []
    with jax.enable_x64(True):
        run = jax.jit(jax.value_and_grad(total, has_aux=True))  # once for each number of steps
        for (q, *rest), w in zip(sequences, weight, strict=True):
            (_total, loss), gradient = run(q, w, *rest)
            losses.append(float(loss))
            gradients.append(np.asarray(gradient))
    return losses, gradients


# --- transitions ---------------------------------------------------------------------------------


@dataclass(frozen=True)
class Case:
    """An algorithm, a model, and rlax's loss; ``double`` where rlax's has a selector."""

    algo: Any
    loss: Any
    model: dict[str, Any] = field(default_factory=dict)
    masked: bool = False


UNIFORM = {"size": 4_000}
N_STEP = {**UNIFORM, "n_step_return": 3}
PRIORITIZED = {**N_STEP, "prioritized": Prioritized()}
QUANTILES = {"head": "quantile", "n_quantiles": 7}
IMPLICIT = {"head": "implicit", "n_quantiles": 6, "n_cosines": 5}


def settings(replay: dict[str, Any], **kwargs: Any) -> dict[str, Any]:
    return {"discount": DISCOUNT, "replay": ReplayBuffer(**replay), "batch_size": N, **kwargs}


CASES = {
    "dqn": Case(DQN(**settings(UNIFORM)), partial(rlax_q, delta_clip=1.0)),
    "dqn-square": Case(DQN(**settings(N_STEP, delta_clip=None)), partial(rlax_q, delta_clip=None)),
    "dqn-masked": Case(
        DQN(**settings(N_STEP, delta_clip=0.3)), partial(rlax_q, delta_clip=0.3), masked=True
    ),
    "double-dueling-prioritized": Case(
        DQN(**settings(PRIORITIZED, double=True)),
        partial(rlax_q, delta_clip=1.0),
        {"dueling": True},
    ),
    "double-noisy-masked": Case(
        DQN(**settings(UNIFORM, double=True, delta_clip=2.0)),
        partial(rlax_q, delta_clip=2.0),
        {"noisy": True},
        masked=True,
    ),
    "c51": Case(CategoricalDQN(**settings(UNIFORM)), rlax_categorical, {"head": "categorical"}),
    "rainbow": Case(
        CategoricalDQN(**settings(PRIORITIZED, double=True)),
        rlax_categorical,
        {"head": "categorical", "n_atoms": 21, "dueling": True, "noisy": True},
    ),
    "qr": Case(QRDQN(**settings(UNIFORM)), partial(rlax_quantile, kappa=1.0), QUANTILES),
    "qr-double-n-step": Case(
        QRDQN(**settings(N_STEP, double=True, kappa=0.5)),
        partial(rlax_quantile, kappa=0.5),
        {**QUANTILES, "dueling": True},
    ),
    "iqn": Case(
        IQN(**settings(UNIFORM, n_fractions=5, n_target_fractions=9)),
        partial(rlax_quantile, kappa=1.0),
        IMPLICIT,
    ),
    "iqn-double-n-step": Case(
        IQN(**settings(PRIORITIZED, n_fractions=5, n_target_fractions=9, double=True, kappa=2.0)),
        partial(rlax_quantile, kappa=2.0),
        {**IMPLICIT, "dueling": True},
    ),
}


def outputs(model: DqnModel, observation: Any, fractions: Tensor | None = None) -> Tensor:
    """Of a feed-forward model, that looks at the observation alone."""
    nothing = torch.zeros(len(observation.vector))
    values: Tensor = model(observation, nothing, nothing, nothing.bool(), NoState(), fractions)[
        0
    ].values
    return values


def expectation(case: Case, learner: Learner, batch: Any, noise: Any) -> list[Any]:
    """The arrays that rlax's loss takes, the network's outputs (with their graph) first."""
    log, n_step = learner.log, case.algo.replay.n_step_return
    places = learner.places(batch.observation)
    targets = [target_at(log, t, b, n_step) for t, b in places]
    assert {target.discount > 0 for target in targets} == {True, False}
    action = [int(log.action[place]) for place in places]
    observation = stacked([log.observation[place] for place in places])
    following = stacked([target.next_observation for target in targets])
    tau, next_tau = (None, None) if noise is None else noise
    with torch.no_grad():
        next_values = outputs(learner.algo.target, following, next_tau)
        chooses = outputs(learner.agent.model, following) if case.algo.double else next_values
        if case.masked:  # no allowed action is worth so little
            forbidden = following.action_mask == 0
            chooses = chooses.masked_fill(forbidden, -1e6)
            next_values = next_values if case.algo.double else chooses
    values = outputs(learner.agent.model, observation, tau)
    arrays = [values, action, [t.return_ for t in targets], [t.discount for t in targets]]
    if isinstance(case.algo, QRDQN | IQN):
        n = values.shape[-1]
        midpoints = np.broadcast_to((np.arange(n) + 0.5) / n, (len(action), n))
        return [*arrays, next_values, chooses, midpoints if tau is None else tau]
    if isinstance(case.algo, CategoricalDQN) and case.algo.double:
        chooses = chooses.exp() @ torch.linspace(-4, 4, values.shape[-1], dtype=torch.float64)
    return [*arrays, next_values, chooses if case.algo.double else None]


def as_array(value: Any) -> Any:
    if isinstance(value, Tensor):
        return value.detach().numpy()
    return None if value is None else np.asarray(value)


@pytest.mark.parametrize("name", CASES)
def test_transition_losses_and_gradients_are_those_of_rlax(name: str, apart: Any) -> None:
    case = CASES[name]
    learner = Learner(case.algo, case.model, masked=case.masked)
    learner.fill(30)
    learner.perturb_target()
    algo, rng = case.algo, np.random.default_rng(3)
    learner.agent.model.resample(rng)
    algo.target.resample(rng)
    batch, noise = algo.replay.sample(N), algo.draw(rng)
    arrays = expectation(case, learner, batch, noise)
    weight = rng.uniform(0.5, 1.5, N)
    expected, by_output = apart(evaluate, case.loss, [as_array(x) for x in arrays], weight)
    found = algo.losses(batch, noise)
    np.testing.assert_allclose(found.loss.detach().numpy(), expected, **CLOSE)
    total = (found.loss * torch.tensor(weight)).sum()
    assert_same_gradients(learner, total, arrays[0], torch.tensor(by_output))
    ends = {end_of(learner.log, place) for place in learner.places(batch.observation)}
    assert ends == {"terminated", "truncated", "goes on"}


def assert_same_gradients(
    learner: Learner, total: Tensor, values: Tensor | list[Tensor], by_output: Any
) -> None:
    """Of ``total`` by every parameter, as by those of ``values`` alone: nothing else has any."""
    parameters = learner.parameters()
    ours = torch.autograd.grad(total, list(parameters.values()))
    theirs = torch.autograd.grad(values, list(parameters.values()), by_output)
    for name, one, other in zip(parameters, ours, theirs, strict=True):
        assert one.abs().max() > 1e-6, name
        np.testing.assert_allclose(one.numpy(), other.numpy(), **CLOSE, err_msg=name)


# --- sequences -----------------------------------------------------------------------------------

LENGTH, N_SEQUENCES = 3, 40


def unrolled(model: DqnModel, steps: list[AgentInputs], state: Any, burn_in: int) -> Tensor:
    """Q along one sequence, step by step, without the burn-in and its gradient; [steps, A]."""
    values = []
    for i, inputs in enumerate(steps):
        with torch.set_grad_enabled(torch.is_grad_enabled() and i >= burn_in):
            found, state = model(*inputs[None], state)
        values.append(found.values[0])
    return torch.stack(values[burn_in:])


def first_step(log: Any, t: int, b: int, burn_in: int) -> int:
    """Where the burn-in starts: ``burn_in`` steps before, but in the same episode."""
    first = t
    while first > t - burn_in and not log.reset[first, b]:
        first -= 1
    return first


def expected_sequence(learner: Learner, t: int, b: int) -> tuple[Tensor, list[Any]]:
    """The online Q of one sequence's learnt transitions, and rlax's other arguments."""
    log, replay = learner.log, learner.algo.replay
    first = first_step(log, t, b, replay.burn_in)
    steps = [log.agent_inputs[i, b] for i in range(first, t)]
    reward, discount = [], []
    action = []
    for i in range(t, t + LENGTH + replay.n_step_return - 1):
        steps.append(log.agent_inputs[i, b])
        action.append(int(log.action[i, b]))
        reward.append(float(log.reward[i, b]))
        discount.append(0.0 if log.terminated[i, b] else DISCOUNT)
        if log.done[i, b]:
            break
    final: Target = target_at(log, i, b, 1)
    previous = (log.action[i, b], log.reward[i, b], torch.tensor(False))
    steps.append(AgentInputs(final.next_observation, *previous))
    start = log.agent_info.prev_rnn_state[first, b][None]
    q = unrolled(learner.agent.model, steps, start, t - first)
    with torch.no_grad():
        following = unrolled(learner.algo.target, steps, start, t - first)[1:]
    chooses = q.detach()[1:] if learner.algo.double else following
    return q[:-1], [action, following, chooses.argmax(-1), reward, discount]


R2D1_CASES = {
    "lstm": ({"burn_in": 4, "n_step_return": 3}, {"recurrent": "lstm"}, True),
    "gru-dueling": (
        {"burn_in": 3, "n_step_return": 1},
        {"recurrent": "gru", "dueling": True},
        True,
    ),
    "lstm-noisy-not-double": (
        {"burn_in": 0, "n_step_return": 5},
        {"recurrent": "lstm", "noisy": True},
        False,
    ),
}


@pytest.mark.parametrize("name", R2D1_CASES)
def test_sequence_losses_and_gradients_are_those_of_rlax(name: str, apart: Any) -> None:
    options, model, double = R2D1_CASES[name]
    replay = ReplayBuffer(size=4_000, sequence_length=LENGTH, rnn_state_interval=3, **options)
    algo = R2D1(discount=DISCOUNT, replay=replay, batch_size=N_SEQUENCES, double=double)
    learner = Learner(algo, {"rnn_size": 5, **model})
    learner.fill(20)
    learner.perturb_target()
    rng = np.random.default_rng(3)
    learner.agent.model.resample(rng)
    algo.target.resample(rng)
    batch = replay.sample_sequences(N_SEQUENCES)
    places = learner.places(batch.observation[replay.burn_in])
    values, rest = zip(*(expected_sequence(learner, *place) for place in places), strict=True)
    sequences = [
        [as_array(q), *(as_array(x) for x in arrays)]
        for q, arrays in zip(values, rest, strict=True)
    ]
    weight = rng.uniform(0.5, 1.5, N_SEQUENCES)
    expected, by_output = apart(evaluate_sequences, sequences, replay.n_step_return, LENGTH, weight)
    found = algo.losses(batch, None)
    np.testing.assert_allclose(found.loss.detach().numpy(), expected, **CLOSE)
    total = (found.loss * torch.tensor(weight)).sum()
    gradients = [torch.tensor(each) for each in by_output]
    assert_same_gradients(learner, total, list(values), gradients)
    assert_kinds_of_sequences(learner, places, rest)


def assert_kinds_of_sequences(learner: Learner, places: Any, rest: Any) -> None:
    """Some start within the burn-in, some end early, in either way."""
    burn_in = learner.algo.replay.burn_in
    if burn_in:
        starts = [t - first_step(learner.log, t, b, burn_in) for t, b in places]
        assert min(starts) < burn_in
        assert max(starts) == burn_in
    whole = LENGTH + learner.algo.replay.n_step_return - 1
    lengths = [len(arrays[0]) for arrays in rest]
    assert min(lengths) < LENGTH
    assert max(lengths) == whole
    last = [arrays[4][-1] for arrays in rest if len(arrays[0]) < whole]
    assert set(last) == {0.0, DISCOUNT}
