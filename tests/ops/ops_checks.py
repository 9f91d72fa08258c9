"""How the functions of rlpyt.ops are checked: against a loop, against rlax, and compiled.

Here nothing imports jax at the top: the test process must not run it (see the fixture ``apart``).
"""

import importlib.util

import numpy as np
import pytest
import torch

CLOSE = {"rtol": 1e-9, "atol": 1e-11}


def random_tensors(*shapes, seed=0, scale=1.0, dtype=torch.float64):
    """A normal tensor that requires its gradient for each shape."""
    rng = np.random.default_rng(seed)
    draws = [torch.tensor(rng.standard_normal(shape) * scale, dtype=dtype) for shape in shapes]
    return [draw.requires_grad_() for draw in draws]


def gradients(outputs, inputs):
    """Of one weighted sum of ``outputs`` by each floating point input; zeros where it has none."""
    weight = np.random.default_rng(7).standard_normal(outputs.shape)
    if not outputs.requires_grad:
        return [torch.zeros_like(each) for each in inputs if each.is_floating_point()]
    total = (outputs * torch.tensor(weight)).sum()
    floats = [each for each in inputs if each.is_floating_point()]
    found = torch.autograd.grad(total, floats, retain_graph=True, allow_unused=True)
    return [
        torch.zeros_like(x) if each is None else each for x, each in zip(floats, found, strict=True)
    ]


def assert_same(ours, reference, inputs, **close):
    """Equal values, and equal gradients by ``inputs``."""
    close = close or {"rtol": 1e-11, "atol": 1e-12}
    torch.testing.assert_close(ours, reference, **close)
    inputs = [each for each in inputs if each.requires_grad]
    for found, expected in zip(gradients(ours, inputs), gradients(reference, inputs), strict=True):
        torch.testing.assert_close(found, expected, **close)


def _run_rlax(theirs, arrays, axis):
    """Values over all cases, and gradients of their weighted sum by the floating point arrays."""
    import jax

    weight = np.random.default_rng(7)
    argnums = tuple(i for i, array in enumerate(arrays) if array.dtype == np.float64)

    def total(*arrays):
        found = jax.vmap(theirs, in_axes=axis, out_axes=axis)(*arrays)
        return (found * weight.standard_normal(found.shape)).sum(), found

    with jax.enable_x64(True):
        run = jax.jit(jax.value_and_grad(total, argnums, has_aux=True))
        (_total, values), by_input = run(*arrays)
        assert values.dtype == np.float64
        return np.asarray(values), [np.asarray(each) for each in by_input]


def assert_agrees_with_rlax(apart, ours, theirs, arrays, axis=0, **close):
    """``ours`` of all cases at once is ``theirs`` of each case, with all gradients, in float64.

    The cases lie along ``axis`` of every array. ``theirs`` is a function of a module (it goes to
    another process), and imports what it needs itself.
    """
    if importlib.util.find_spec("rlax") is None:
        pytest.skip('the oracle is not here: pip install "rlpyt[oracles]"')
    expected_values, expected_gradients = apart(_run_rlax, theirs, arrays, axis)
    tensors = [torch.tensor(a, requires_grad=a.dtype == np.float64) for a in arrays]
    values = ours(*tensors)
    close = close or CLOSE
    np.testing.assert_allclose(values.detach().numpy(), expected_values, **close)
    for found, expected in zip(gradients(values, tensors), expected_gradients, strict=True):
        np.testing.assert_allclose(found.numpy(), expected, **close)


def assert_compiles(function, *inputs):
    """One graph without a break, the same values and gradients, the dtype kept."""
    compiled = torch.compile(function, fullgraph=True, backend="aot_eager")
    found, expected = compiled(*inputs), function(*inputs)
    dtype = next(each.dtype for each in inputs if each.is_floating_point())
    assert found.dtype == expected.dtype == dtype
    assert_same(found, expected, inputs, rtol=1e-6, atol=1e-6)
