"""Buffers are allocated once after an example; torch and numpy see the same memory."""

import multiprocessing
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from rlpyt.utils.buffer import (
    buffer_from_example,
    buffer_map,
    buffer_to,
    get_leading_dims,
    infer_leading_dims,
    leaves,
    numpify_buffer,
    torchify_buffer,
)
from rlpyt.utils.collections import NamedArrayTuple, namedarraytuple


class Node(NamedArrayTuple):
    """A node of a tree."""

    image: Any
    inner: Any
    nothing: Any = None


def example():
    return Node(
        np.ones((2, 3), dtype=np.uint8),
        namedarraytuple("Leafs", ["flag", "number", "bit"])(
            np.bool_(True), torch.tensor(7), np.int8(1)
        ),
    )


def test_buffers_are_zero_and_shaped_and_typed_after_the_example():
    buffer = buffer_from_example(example(), (5, 4))
    assert type(buffer) is Node
    assert type(buffer.inner) is type(example().inner)
    assert buffer.nothing is None
    assert (buffer.image.shape, buffer.image.dtype) == ((5, 4, 2, 3), torch.uint8)
    assert (buffer.inner.flag.shape, buffer.inner.flag.dtype) == ((5, 4), torch.bool)
    assert (buffer.inner.number.dtype, buffer.inner.bit.dtype) == (torch.int64, torch.int8)
    assert all((leaf == 0).all() for leaf in leaves(buffer))
    assert all(leaf.is_contiguous() for leaf in leaves(buffer))


@pytest.mark.parametrize(
    "dtype",
    [
        np.uint8,
        np.int8,
        np.int16,
        np.int32,
        np.int64,
        np.uint16,
        np.float16,
        np.float32,
        np.float64,
    ],
)
def test_poison_is_nan_or_minus_42_in_every_dtype(dtype):
    buffer = buffer_from_example(np.zeros(2, dtype), (3,), poison=True).numpy()
    assert buffer.dtype == dtype
    if np.issubdtype(dtype, np.floating):
        assert np.isnan(buffer).all()
    else:
        expected = -42 if np.issubdtype(dtype, np.signedinteger) else np.iinfo(dtype).max - 41
        assert (buffer == expected).all()


def test_poison_leaves_flags_false():
    assert not buffer_from_example(np.bool_(True), (3,), poison=True).any()


def _add_one(tree):
    for leaf in leaves(tree):
        leaf += 1


def test_shared_buffers_are_shared_with_other_processes():
    buffer = buffer_from_example(Node(np.float32(0), torch.zeros(2)), (3,), share_memory=True)
    assert all(leaf.is_shared() for leaf in leaves(buffer))
    process = multiprocessing.get_context("fork").Process(target=_add_one, args=(buffer,))
    process.start()
    process.join(60)
    assert process.exitcode == 0
    assert all((leaf == 1).all() for leaf in leaves(buffer))
    assert not any(leaf.is_shared() for leaf in leaves(buffer_from_example(np.zeros(2), (3,))))


def test_numpy_and_torch_views_are_the_same_memory():
    buffer = buffer_from_example(example(), (4,))
    arrays = numpify_buffer(buffer)
    assert arrays.nothing is None
    assert all(isinstance(leaf, np.ndarray) for leaf in leaves(arrays))
    arrays[2] = 1
    assert all((leaf[2] == 1).all() and not leaf[1].any() for leaf in leaves(buffer))
    back = torchify_buffer(arrays)
    back.image[0] = 9
    assert (buffer.image[0] == 9).all()
    assert type(back) is Node


def test_numpify_takes_numbers_too():
    assert numpify_buffer(Node(1.5, [1, 2])).inner.tolist() == [1, 2]


def test_map_keeps_the_tree_and_skips_none():
    x = Node(1, Node(2, None), None)
    assert buffer_map(lambda leaf: leaf * 10, x) == Node(10, Node(20, None), None)
    assert buffer_map(lambda a, b: a + b, x, x) == Node(2, Node(4, None), None)
    assert buffer_map(str, None) is None
    assert buffer_map(str, 3) == "3"


def test_leaves_are_in_field_order_without_none():
    assert leaves(Node(1, Node(2, 3, None), 4)) == [1, 2, 3, 4]
    assert leaves(None) == []
    assert leaves(5) == [5]


def test_buffer_to_copies_only_where_it_must():
    x = Node(torch.zeros(2), None)
    assert buffer_to(x, torch.device("cpu")).image is x.image
    assert buffer_to(x, torch.device("meta")).image.device.type == "meta"


def test_leading_dims_agree_or_are_reported():
    x = Node(torch.zeros(4, 3, 2), torch.zeros(4, 3))
    assert get_leading_dims(x) == (4,)
    assert get_leading_dims(x, 2) == (4, 3)
    with pytest.raises(ValueError, match=r"first 1 dimensions: \[\(4,\), \(5,\)\]"):
        get_leading_dims(x._replace(nothing=torch.zeros(5)))


@settings(max_examples=40, deadline=None, database=None)
@given(
    leading=st.lists(st.integers(1, 4), max_size=3), data=st.lists(st.integers(1, 4), max_size=3)
)
def test_infer_leading_dims_flattens_what_is_not_data(leading, data):
    x = torch.arange(float(np.prod([*leading, *data]))).reshape((*leading, *data))
    found, flat = infer_leading_dims(x, len(data))
    assert found == tuple(leading)
    assert flat.shape == (int(np.prod(leading)), *data)
    assert torch.equal(flat.reshape((*found, *data)), x)
