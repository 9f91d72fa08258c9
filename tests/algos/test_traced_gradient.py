"""Updates that repeat what the first steps did equal eager ones to the last bit; and what happens
where they cannot.
"""

import copy
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import pytest
import torch
from golden_q import Q_CASES, after_three_q_updates
from qpg_fakes import CASES
from test_golden import PG_CASES, after_three_updates
from test_qpg import copied_state, parameters, started
from torch import Tensor, nn
from torch.nn import functional

from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.straight_line import StraightLine
from rlpyt.models.batched import BatchedMlp
from rlpyt.models.mlp import Mlp

RECURRENT = [name for name in CASES if "recurrent" in name]


def repeats(step: GradientStep) -> bool:
    """Whether every step of shapes that came twice is repeated by now."""
    traced = step._traced
    assert traced is not None
    lines = traced._lines.values()
    return bool(lines) and all(isinstance(line, StraightLine) for line in lines)


# --- algorithms --------------------------------------------------------------------------------


@pytest.mark.parametrize("name", [name for name in CASES if name not in RECURRENT])
def test_actor_critics_learn_the_same(name: str) -> None:
    """64 updates, then on from the state of 32."""
    algos = [started(name, compiled=mode)[0] for mode in (False, "trace", "trace")]
    _algo, batches = started(name)
    eager, traced, resumed = algos
    for itr, batch in enumerate(batches[:16]):
        if itr == 14:
            resumed.agent.load_state_dict(copied_state(traced.agent.state_dict()))
            resumed.load_state_dict(copied_state(traced.state_dict()))
        wanted = eager.optimize_agent(itr, batch)
        assert traced.optimize_agent(itr, batch) == wanted
        if itr >= 14:
            assert resumed.optimize_agent(itr, batch) == wanted
    assert repeats(traced._critic_step)
    assert repeats(traced._policy_step)
    wanted = parameters(eager)
    for algo in (traced, resumed):
        for key, value in parameters(algo).items():
            assert torch.equal(value, wanted[key]), key


@pytest.mark.parametrize("name", ["dqn double", "dqn prioritized", "rainbow", "iqn", "qr"])
def test_q_learning_learns_the_same(name: str) -> None:
    algo, model = Q_CASES[name]
    traced = replace(algo, replay=replace(algo.replay), compile="trace")
    wanted = after_three_q_updates(replace(algo, replay=replace(algo.replay)), model)
    assert after_three_q_updates(traced, model) == wanted
    assert repeats(traced._gradient)


@pytest.mark.parametrize("name", ["a2c box normalized", "ppo dict", "ppo box clipped value"])
def test_policy_gradients_learn_the_same(name: str) -> None:
    """Observations are normalised by statistics that change in between; PPO's clipping changes."""
    algo, *case = PG_CASES[name]
    traced = replace(algo, compile="trace")
    assert after_three_updates(traced, *case) == after_three_updates(replace(algo), *case)
    assert repeats(traced._gradient)


def test_sequences_of_varying_length_learn_without_and_say_so() -> None:
    algo, *case = PG_CASES["ppo multi_binary gru"]
    traced = replace(algo, compile="trace")
    with pytest.warns(RuntimeWarning, match=r"cannot be traced here \(aten.nonzero"):
        found = after_three_updates(traced, *case)
    assert found == after_three_updates(replace(algo), *case)


# --- one gradient step -------------------------------------------------------------------------

Loss = Callable[..., Any]


def pair(
    model: nn.Module, loss: Callable[[nn.Module], Loss]
) -> tuple[tuple[nn.Module, GradientStep], tuple[nn.Module, GradientStep]]:
    """An eager and a traced step of two equal models."""
    other = copy.deepcopy(model)
    eager = GradientStep(model, loss(model), clip_grad_norm=0.1)
    return (model, eager), (
        other,
        GradientStep(other, loss(other), clip_grad_norm=0.1, compile="trace"),
    )


def equal_after(eager: GradientStep, traced: GradientStep, batches: list[Any]) -> None:
    for args in batches:
        wanted, wanted_norm = eager.step(1e-2, *args)
        found, norm = traced.step(1e-2, *args)
        assert torch.equal(norm, wanted_norm)
        assert all(torch.equal(a, b) for a, b in zip(found, wanted, strict=True))
        assert torch.equal(traced.vector, eager.vector)


def normal(*shape: int, seed: int = 0) -> Tensor:
    return torch.randn(*shape, generator=torch.Generator().manual_seed(seed))


def square(model: nn.Module) -> Loss:
    def loss(x: Tensor) -> Any:
        error = model(x).square()
        return error.mean(), (error.detach().amax(),)

    return loss


@pytest.mark.parametrize(
    "make",
    [
        lambda: BatchedMlp(2, 5, (128, 128), 1),  # one function by oneDNN, forward and backward
        lambda: BatchedMlp(2, 5, (128, 128), 1, "tanh", layer_norm=True),
        lambda: Mlp(5, (128, 128), 3),
        lambda: nn.Sequential(nn.Unflatten(1, (5, 1, 1)), nn.Conv2d(5, 4, 1), nn.ReLU()),
    ],
)
def test_large_layers_learn_the_same(make: Callable[[], nn.Module]) -> None:
    torch.manual_seed(0)
    (_model, eager), (_other, traced) = pair(make(), square)
    equal_after(eager, traced, [(normal(128, 5, seed=seed),) for seed in range(6)])
    assert repeats(traced)


def test_a_gradient_is_written_where_it_belongs() -> None:
    """A function that allocates its gradients is given their places."""
    step = GradientStep(model := BatchedMlp(2, 5, (128, 128), 1), square(model), compile="trace")
    for seed in range(3):
        step.step(0.0, normal(128, 5, seed=seed))
    assert step._traced is not None
    (line,) = step._traced._lines.values()
    assert isinstance(line, StraightLine)
    called = [str(node.target) for node in line._graph.nodes]
    assert not any("empty" in target or "detach" in target for target in called)


class Scale(torch.autograd.Function):
    """x * weight, [3, 5]; allocates the weight's gradient first, in the other order or too large,
    and fills it then.
    """

    @staticmethod
    def forward(ctx: Any, x: Tensor, weight: Tensor, rows: int) -> Tensor:
        ctx.save_for_backward(x, weight)
        ctx.rows = rows
        return x * weight

    @staticmethod
    def backward(ctx: Any, gradient: Tensor) -> Any:
        x, weight = ctx.saved_tensors
        if ctx.rows == 3:
            into = torch.empty_like(weight.t(), memory_format=torch.contiguous_format).t()
        else:
            into = torch.empty(ctx.rows, 5)[1:4]
        into.copy_(gradient * x)
        return None, into, None


@pytest.mark.parametrize("rows", [3, 5])
def test_a_gradient_of_another_layout_is_copied(rows: int) -> None:
    def loss_of(model: nn.Module) -> Loss:
        return lambda x: (Scale.apply(x, model.weight, rows).square().mean(), ())

    (_model, eager), (_other, traced) = pair(nn.Linear(5, 3), loss_of)
    equal_after(eager, traced, [(normal(3, 5, seed=seed),) for seed in range(5)])
    assert repeats(traced)


def test_parameters_that_the_loss_leaves_out_have_no_gradient() -> None:
    class Half(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.used, self.unused = nn.Linear(5, 2), nn.Linear(5, 2)

        def forward(self, x: Tensor) -> Tensor:
            return self.used(x)

    (_model, eager), (model, traced) = pair(Half(), square)
    before = model.unused.weight.clone()
    equal_after(eager, traced, [(normal(8, 5, seed=seed),) for seed in range(4)])
    assert repeats(traced)
    assert torch.equal(model.unused.weight, before)


def test_new_shapes_are_recorded_and_old_ones_kept() -> None:
    (_model, eager), (_other, traced) = pair(nn.Linear(5, 2), square)
    rows = [4, 4, 4, 6, 4, 6, 6, 4]
    equal_after(eager, traced, [(normal(n, 5, seed=seed),) for seed, n in enumerate(rows)])
    assert repeats(traced)


def test_another_order_in_memory_is_another_shape() -> None:
    def flat(model: nn.Module) -> Loss:
        return lambda x: (model(x.flatten()).square().mean(), ())  # a view, or a copy

    (_model, eager), (_other, traced) = pair(nn.Linear(20, 2), flat)
    equal_after(eager, traced, [(normal(4, 5, seed=seed),) for seed in range(3)])
    equal_after(eager, traced, [(normal(5, 4, seed=seed).t(),) for seed in range(3)])
    assert repeats(traced)


def test_memory_that_the_loss_fills_starts_as_it_did() -> None:
    def padded(model: nn.Module) -> Loss:
        def loss(x: Tensor) -> Any:
            output = model(x)
            sums = torch.zeros_like(output)
            sums[:, 0] += output.sum(1)
            return sums.square().mean(), (sums.detach().sum(),)

        return loss

    (_model, eager), (_other, traced) = pair(nn.Linear(5, 2), padded)
    equal_after(eager, traced, [(normal(4, 5, seed=seed),) for seed in range(6)])
    assert repeats(traced)


def test_a_part_that_is_left_out_now_and_then_has_no_gradient_then() -> None:
    class Parts(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.one, self.other = nn.Linear(5, 2), nn.Linear(5, 2)

        def forward(self, x: Tensor, y: Tensor | None) -> Tensor:
            output: Tensor = self.one(x)
            return output if y is None else output + self.other(y)

    def loss_of(model: nn.Module) -> Loss:
        return lambda x, y: (model(x, y).square().mean(), ())

    (_model, eager), (_other, traced) = pair(Parts(), loss_of)
    x, y = normal(4, 5), normal(4, 5, seed=1)
    equal_after(eager, traced, [(x, y), (x, None), (x, y), (x, None), (x, y), (x, None)])
    assert repeats(traced)


def test_there_need_be_no_arguments() -> None:
    def constant(model: nn.Module) -> Loss:
        return lambda: (model(torch.ones(3, 5)).square().mean(), ())

    (_model, eager), (_other, traced) = pair(nn.Linear(5, 2), constant)
    equal_after(eager, traced, [()] * 4)
    assert repeats(traced)


def test_too_many_shapes_learn_without_and_say_so() -> None:
    (_model, eager), (_other, traced) = pair(nn.Linear(5, 2), square)
    equal_after(eager, traced, [(normal(n, 5),) for n in range(1, 9)])
    with pytest.warns(RuntimeWarning, match="Linear cannot be traced here .* more than 8 shapes"):
        equal_after(eager, traced, [(normal(9, 5),)])
    equal_after(eager, traced, [(normal(n, 5),) for n in range(1, 9)])


def test_numbers_among_the_arguments_are_part_of_their_shape() -> None:
    def scaled(model: nn.Module) -> Loss:
        return lambda x, scale: (model(x).square().mean() * (scale or 1.0), ())

    (_model, eager), (_other, traced) = pair(nn.Linear(5, 2), scaled)
    scales = [None, None, None, 1.0, 2.0, 1.0, 2.0, True, 1.0, 2.0, None]
    equal_after(eager, traced, [(normal(4, 5, seed=k), s) for k, s in enumerate(scales)])


def test_what_changes_in_place_is_read_as_it_is() -> None:
    model = nn.Linear(5, 2)
    log_alpha = torch.tensor(0.5)

    def loss(x: Tensor) -> Any:
        alpha = log_alpha.exp()
        return (model(x).square() * alpha).mean(), (alpha,)

    step = GradientStep(model, loss, compile="trace")
    for expected in (0.5, 0.5, 0.5, -1.0, 2.0):
        log_alpha.fill_(expected)
        (alpha,), norm = step.step(0.0, normal(4, 5))
        assert torch.equal(alpha, log_alpha.exp())
        wanted = 2 * model(normal(4, 5)) * alpha.item() / 8
        assert norm.item() == pytest.approx(
            torch.cat([wanted.t() @ normal(4, 5), wanted.sum(0)[:, None]], 1).norm().item(),
            rel=1e-5,
        )
    assert repeats(step)


def test_a_copy_of_the_model_is_its_own() -> None:
    (_model, _eager), (model, traced) = pair(nn.Linear(5, 2), square)
    for seed in range(4):
        traced.step(1e-2, normal(4, 5, seed=seed))
    target = copy.deepcopy(model)
    before = target.weight.clone()
    traced.step(1e-2, normal(4, 5))
    assert torch.equal(target.weight, before)
    assert not torch.equal(model.weight, before)


def look(x: Tensor) -> Tensor:
    return x if x.sum().item() > -1e9 else -x


STATE = torch.ones(())


def look_at_state(x: Tensor) -> Tensor:
    return x if STATE else -x


def drop(x: Tensor) -> Tensor:
    return functional.dropout(x, 0.5)


def choose(x: Tensor) -> Tensor:
    return x[x.detach() > 0.0]


def counting() -> Callable[[Tensor], Tensor]:
    count = iter(range(100))
    return lambda x: x * (1.0 + next(count))


def making() -> Callable[[Tensor], Tensor]:
    count = iter(range(100))
    return lambda x: x * torch.tensor(1.0 + next(count))


def reading(x: Tensor) -> Tensor:
    return x * float(x.detach().numpy()[0, 0])


@pytest.mark.parametrize(
    ("use", "reason"),
    [
        (look, "Python looks at a number"),
        (look_at_state, "Python looks at a number"),
        (drop, "global generator"),
        (choose, "a shape depends on numbers"),
        (counting, "do not do the same"),
        (making, "do not do the same"),
        (reading, "do not do the same"),
    ],
)
def test_what_cannot_be_repeated_learns_without_and_says_so(use: Any, reason: str) -> None:
    def loss_of(model: nn.Module) -> Loss:
        then = use() if use in (counting, making) else use
        return lambda x: (then(model(x)).square().mean(), ())

    (_model, eager), (_other, traced) = pair(nn.Linear(5, 2), loss_of)

    def train(step: GradientStep) -> None:
        torch.manual_seed(0)
        for seed in range(5):
            step.step(1e-2, normal(4, 5, seed=seed))

    train(eager)
    with pytest.warns(RuntimeWarning, match=reason) as warned:
        train(traced)
    assert len(warned) == 1
    assert torch.equal(traced.vector, eager.vector)


def test_what_gives_other_numbers_when_repeated_is_not_used() -> None:
    """Memory of which torch is not told: numpy writes it."""
    hidden = torch.zeros(1)

    def loss_of(model: nn.Module) -> Loss:
        def loss(x: Tensor) -> Any:
            hidden.numpy()[0] = 3.0
            scale = hidden.clone()
            hidden.numpy()[0] = 0.0
            return (model(x).square() * scale).mean(), ()

        return loss

    (_model, eager), (_other, traced) = pair(nn.Linear(5, 2), loss_of)
    with pytest.warns(RuntimeWarning, match="repeated, it gives other numbers"):
        equal_after(eager, traced, [(normal(4, 5, seed=seed),) for seed in range(4)])


def test_the_same_tensor_twice_is_not_taken_for_one() -> None:
    def loss_of(model: nn.Module) -> Loss:
        return lambda x, y: ((model(x) * model(y)).mean(), ())

    (_model, eager), (_other, traced) = pair(nn.Linear(5, 2), loss_of)
    same = normal(4, 5)
    with pytest.warns(RuntimeWarning, match="the same tensor is given twice"):
        equal_after(eager, traced, [(same, same), (same, same), (same, normal(4, 5, seed=1))])


def test_an_error_of_the_loss_itself_is_not_hidden() -> None:
    def loss() -> Any:
        raise ZeroDivisionError("of the loss")

    step = GradientStep(nn.Linear(2, 1), loss, compile="trace")
    with pytest.raises(ZeroDivisionError, match="of the loss"):
        step.step(1e-3)
