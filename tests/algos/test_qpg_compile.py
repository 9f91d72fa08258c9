"""Compiled updates of actor-critics, and what happens where they cannot be compiled."""

import shutil
from typing import Any

import pytest
import torch
from qpg_fakes import CASES
from test_qpg import started

from rlpyt.algos.optimizer import GradientStep
from rlpyt.algos.qpg import QpgAlgorithm

needs_compiler = pytest.mark.skipif(
    shutil.which("c++") is None, reason="torch.compile needs a C++ compiler"
)


def learned(algo: QpgAlgorithm, batches: list[Any]) -> dict[str, torch.Tensor]:
    for itr, batch in enumerate(batches[:14]):
        algo.optimize_agent(itr, batch)
    networks = {"policy": algo.online.policy, "critic": algo.online.critic}
    return {
        f"{kind}.{name}": parameter.detach().clone()
        for kind, network in networks.items()
        for name, parameter in network.named_parameters()
    }


@pytest.mark.slow
@needs_compiler
@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, by torch
@pytest.mark.parametrize("name", [name for name in CASES if name != "crossq"])
def test_compiled_updates_equal_eager_ones(name: str) -> None:
    algo, batches = started(name)
    expected = learned(algo, batches)
    with torch._inductor.config.patch(compile_threads=1):
        compiled, _same = started(name, compiled=True)
        found = learned(compiled, batches)
    assert compiled._critic_step._compiled is not None
    for key, parameter in expected.items():
        torch.testing.assert_close(found[key], parameter, rtol=1e-3, atol=1e-4)


@pytest.mark.filterwarnings("ignore::DeprecationWarning")  # of torch, by torch
def test_what_cannot_be_compiled_learns_without_and_says_so() -> None:
    """CrossQ's running statistics change in the forward pass."""
    algo, batches = started("crossq")
    expected = learned(algo, batches)
    other, _same = started("crossq", compiled=True)
    with pytest.warns(RuntimeWarning, match="Model cannot be compiled here"):
        found = learned(other, batches)
    assert all(torch.equal(found[key], parameter) for key, parameter in expected.items())


def test_an_error_of_the_loss_itself_is_not_hidden() -> None:
    def loss() -> Any:
        raise ZeroDivisionError("of the loss")

    step = GradientStep(torch.nn.Linear(2, 1), loss, compile=True)
    with (
        pytest.warns(RuntimeWarning, match="it learns without"),
        pytest.raises(ZeroDivisionError, match="of the loss"),
    ):
        step.step(1e-3)
