"""A state tree comes back exactly, and what cannot is refused by name."""

import enum
import json
import math
import struct
from collections import OrderedDict, defaultdict, namedtuple

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp

from rlpyt.checkpoint.tree import flatten, unflatten
from rlpyt.data import RnnState
from rlpyt.utils.collections import NamedArrayTuple, is_namedarraytuple, namedarraytuple
from rlpyt.utils.errors import RlpytError

TORCH_DTYPES = (
    *(torch.float64, torch.float32, torch.float16, torch.bfloat16, torch.bool),
    *(torch.int64, torch.int32, torch.int16, torch.int8, torch.uint8),
    *(torch.uint16, torch.uint32, torch.uint64, torch.complex64, torch.complex128),
    torch.float8_e4m3fn,
)


class Step(NamedArrayTuple):
    observation: torch.Tensor
    info: object = None


def tensor(dtype, shape, seed):
    size = math.prod(shape) * dtype.itemsize
    raw = torch.randint(0, 256, (size,), generator=torch.Generator().manual_seed(seed))
    if dtype == torch.bool:
        return (raw > 127).reshape(shape)
    return raw.to(torch.uint8).view(dtype).reshape(shape)


shapes = st.lists(st.integers(0, 3), max_size=3).map(tuple)
tensors = st.builds(tensor, st.sampled_from(TORCH_DTYPES), shapes, st.integers(0, 9))
numpy_dtypes = st.one_of(
    hnp.boolean_dtypes(),
    hnp.integer_dtypes(endianness="?"),
    hnp.unsigned_integer_dtypes(endianness="?"),
    hnp.floating_dtypes(endianness="?", sizes=(16, 32, 64)),
    hnp.complex_number_dtypes(endianness="?", sizes=(64, 128)),
    hnp.datetime64_dtypes(),
    hnp.unicode_string_dtypes(max_len=4),
)
arrays = hnp.arrays(numpy_dtypes, shapes)
scalars = hnp.arrays(numpy_dtypes, ()).map(lambda array: array[()])
floats = st.one_of(
    st.floats(),
    st.integers(0, 2**64 - 1).map(lambda bits: struct.unpack(">d", bits.to_bytes(8))[0]),
)
plain = st.one_of(
    st.none(),
    st.booleans(),
    st.integers(),
    st.integers(-(2**200), 2**200),
    floats,
    st.text(max_size=6),
)
keys = st.one_of(
    st.text(max_size=4), st.sampled_from(["a/b", "0", "", "__metadata__"]), st.integers()
)
states = st.recursive(
    st.one_of(plain, tensors, arrays, scalars),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.lists(inner, max_size=3).map(tuple),
        st.dictionaries(keys, inner, max_size=4),
        st.dictionaries(st.text(max_size=3), inner, max_size=2).map(OrderedDict),
        st.builds(Step, inner, inner),
        st.builds(namedarraytuple("Info", ["left", "right"]), inner, inner),
    ),
    max_leaves=12,
)


def bits(array):
    return array.tobytes()


def assert_same(found, expected):
    """Equal types, structure and bits, written without the code under test."""
    assert type(found) is type(expected)
    if isinstance(expected, dict):
        assert [(type(key), key) for key in found] == [(type(key), key) for key in expected]
        for key in expected:
            assert_same(found[key], expected[key])
    elif isinstance(expected, list | tuple):
        assert len(found) == len(expected)
        for left, right in zip(found, expected, strict=True):
            assert_same(left, right)
    elif isinstance(expected, torch.Tensor):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        left, right = (x.contiguous().reshape(-1).view(torch.uint8) for x in (found, expected))
        assert torch.equal(left, right)
    elif isinstance(expected, np.ndarray | np.generic):
        assert (found.dtype, found.shape) == (expected.dtype, expected.shape)
        assert found.dtype.str == expected.dtype.str
        assert bits(found) == bits(expected)
    elif isinstance(expected, float):
        assert struct.pack(">d", found) == struct.pack(">d", expected)
    else:
        assert found == expected


def through_json(state):
    tensors, skeleton = flatten(state)
    return unflatten(tensors, json.loads(json.dumps(skeleton, allow_nan=False)))


@settings(max_examples=250, deadline=None)
@given(states)
def test_any_state_comes_back_exactly(state):
    assert_same(through_json(state), state)


def test_integers_of_any_size():
    state = {2**127: [2**63, -(2**64), 3**20_000]}
    assert_same(through_json(state), state)


def test_names_are_key_paths():
    model = torch.nn.ModuleDict({"pi": torch.nn.Sequential(torch.nn.Linear(2, 1))})
    tensors, _ = flatten({"agent": {"model": model.state_dict()}, "envs": [{"s": np.zeros(3)}]})
    assert sorted(tensors) == ["agent/model/pi.0.bias", "agent/model/pi.0.weight", "envs/0/s"]


def test_colliding_paths_stay_apart():
    state = {
        "a/b": torch.tensor(1),
        "a": {"b": torch.tensor(2), 0: torch.tensor(3), "0": torch.tensor(4)},
    }
    assert_same(through_json(state), state)


@pytest.mark.parametrize(
    "view", [lambda x: x.T, lambda x: x[::-1], lambda x: x[:, 1], np.asfortranarray]
)
def test_views_and_read_only_arrays(view):
    array = view(np.arange(12.0).reshape(3, 4))
    array.flags.writeable = False
    found = through_json(array)
    assert np.array_equal(found, array)
    assert found.flags.writeable


def test_tensor_views_gradients_and_parameters():
    weight = torch.nn.Parameter(torch.arange(6.0).reshape(2, 3))
    found = through_json(
        {"weight": weight, "column": weight[:, 1], "conj": torch.tensor([1 + 2j]).conj()}
    )
    assert type(found["weight"]) is torch.Tensor
    assert torch.equal(found["weight"], weight)
    assert not found["weight"].requires_grad
    assert torch.equal(found["column"], weight.detach()[:, 1])
    assert torch.equal(found["conj"], torch.tensor([1 - 2j]))


def test_optimizer_and_generator_states_load():
    model = torch.nn.Linear(3, 2)
    optimizer = torch.optim.Adam(model.parameters())
    model(torch.ones(1, 3)).sum().backward()
    optimizer.step()
    rng = np.random.Generator(np.random.MT19937(3))
    state = {
        "optimizer": optimizer.state_dict(),
        "numpy": rng.bit_generator.state,
        "pcg": np.random.default_rng(1).bit_generator.state,
    }
    found = through_json(state)
    assert_same(found, state)
    torch.optim.Adam(model.parameters()).load_state_dict(found["optimizer"])
    rng.bit_generator.state = found["numpy"]


def test_declared_struct_gets_its_class_back_and_unknown_modules_are_not_imported():
    state = RnnState(hidden=torch.ones(2), cell=None)
    tensors, skeleton = flatten(state)
    assert type(unflatten(tensors, skeleton)) is RnnState
    skeleton["namedarraytuple"] = ["antigravity", "RnnState"]
    found = unflatten(tensors, skeleton)
    assert (type(found).__name__, found._fields) == ("RnnState", ("hidden", "cell"))
    skeleton["namedarraytuple"] = ["os", "stat_result"]  # imported, but no struct of arrays
    assert unflatten(tensors, skeleton)._fields == ("hidden", "cell")
    plain = unflatten({}, {"namedarraytuple": [__name__, "Plain"], "fields": {"x": 1}})
    assert is_namedarraytuple(plain)
    assert type(plain) is not Plain


class Colour(enum.IntEnum):
    RED = 1


Plain = namedtuple("Plain", "x")
cycle: list = []
cycle.append(cycle)


@pytest.mark.parametrize(
    ("value", "named"),
    [
        (len, "builtin_function_or_method"),
        (lambda: 0, "function"),
        ({1, 2}, "set"),
        (b"x", "bytes"),
        (1j, "complex"),
        (Colour.RED, "Colour"),
        (Plain(1), "Plain"),
        (defaultdict(int), "defaultdict"),
        ({(1, 2): 3}, "tuple"),
        ({True: 3}, "bool"),
        (np.array([None]), "object"),
        (np.zeros(2, dtype=[("x", "f4")]), "x"),
        (torch.zeros(2).to_sparse(), "sparse"),
        (torch.zeros(2, device="meta"), "meta"),
        ("\ud800", "surrogate"),
        (cycle, "nested deeper"),
    ],
)
def test_unsupported_values_are_refused_with_path_and_type(value, named):
    with pytest.raises(RlpytError, match=named) as caught:
        flatten({"algo": [1, {"schedule": value}]})
    assert caught.value.code == "checkpoint"
    assert "algo/1/schedule" in caught.value.where


@pytest.mark.parametrize(
    "skeleton",
    [
        {"tensor": "absent"},
        {"array": "x", "dtype": "O", "shape": [1]},
        {"array": "x", "dtype": "<f8", "shape": [1000]},
        {"tensor": "x", "dtype": "load", "shape": [1]},
        {"scalar": "|O", "bytes": "00" * 8},
        {"namedarraytuple": ["m", "not a name"], "fields": {}},
        {"call": "os.system"},
        {"items": [[1]]},
        ["nothing refers to x"],
    ],
)
def test_skeletons_that_do_not_fit_are_refused(skeleton):
    with pytest.raises(RlpytError) as caught:
        unflatten({"x": torch.zeros(4, dtype=torch.uint8)}, skeleton, where="state.json")
    assert (caught.value.code, caught.value.where) == ("checkpoint", "state.json")
