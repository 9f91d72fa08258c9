"""A NamedArrayTuple is a struct of arrays indexed as one, and a plain named tuple to all others."""

import pickle
import subprocess
import sys
from collections import namedtuple
from typing import Any

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from hypothesis.extra import numpy as hnp
from torch import Tensor
from torch.utils import _pytree as pytree
from torch.utils.data import default_collate

from rlpyt.data import RnnState
from rlpyt.utils.collections import NamedArrayTuple, is_namedarraytuple, namedarraytuple


class Inner(NamedArrayTuple):
    """A node."""

    mean: Any
    extra: Any = None


class Outer(NamedArrayTuple):
    """A node with a node."""

    observation: Any
    inner: Any
    reward: Any = None

    @property
    def doubled(self) -> Any:
        """Twice the observation."""
        return self.observation * 2


def outer(n=6, m=3):
    return Outer(torch.arange(n * m).reshape(n, m), Inner(torch.arange(n) * 0.5), None)


INDICES = [
    0,
    -1,
    slice(1, 4),
    slice(None, None, 2),
    Ellipsis,
    None,
    torch.tensor([0, 2, 2]),
    torch.tensor([True, False, True, False, False, True]),
    [1, 3],
]


@pytest.mark.parametrize("index", INDICES, ids=str)
def test_reading_indexes_every_field_and_skips_none(index):
    x = outer()
    y = x[index]
    assert type(y) is Outer
    assert type(y.inner) is Inner
    torch.testing.assert_close(y.observation, x.observation[index], rtol=0, atol=0)
    torch.testing.assert_close(y.inner.mean, x.inner.mean[index], rtol=0, atol=0)
    assert y.reward is None
    assert y.inner.extra is None


@pytest.mark.parametrize("index", [i for i in INDICES if i is not None], ids=str)
def test_writing_a_struct_writes_every_field(index):
    x, source = outer(), outer()
    source = pytree.tree_map_only(Tensor, lambda leaf: leaf + 100, source)
    expected = x.observation.clone()
    expected[index] = source.observation[index]
    x[index] = source[index]
    assert torch.equal(x.observation, expected)
    assert torch.equal(x.inner.mean[index], source.inner.mean[index])


def test_writing_a_number_or_an_array_goes_to_every_field():
    x = outer()
    x[2] = 7
    assert (x.observation[2] == 7).all()
    assert x.inner.mean[2] == 7
    assert x.observation[1, 0] == 3
    x[:, ...] = torch.tensor(1)
    assert (x.observation == 1).all()
    assert (x.inner.mean == 1).all()


def test_a_field_that_is_none_on_either_side_is_left_alone():
    x = Outer(np.zeros(3), None, np.zeros(3))
    x[1] = Outer(5.0, np.ones(3), None)
    assert x.observation.tolist() == [0, 5, 0]
    assert x.inner is None
    assert x.reward.tolist() == [0, 0, 0]


def test_indexing_gives_views():
    x = Outer(np.zeros((4, 2)), Inner(np.zeros(4)))
    x[1:3][0] = 9.0
    assert x.observation[1].tolist() == [9, 9]
    assert x.inner.mean[1] == 9


@settings(max_examples=80, deadline=None, database=None)
@given(data=st.data())
def test_indexing_is_numpys_on_every_field(data):
    shape = data.draw(hnp.array_shapes(min_dims=1, max_dims=3, max_side=4))
    index = data.draw(
        st.one_of(
            hnp.basic_indices(shape, allow_newaxis=True),
            hnp.integer_array_indices(shape),
            hnp.arrays(bool, shape[:1]),
        )
    )
    first = np.arange(np.prod(shape), dtype=np.float64).reshape(shape)
    x = Outer(first.copy(), Inner(-first, None))
    y = x[index]
    np.testing.assert_array_equal(y.observation, first[index])
    np.testing.assert_array_equal(y.inner.mean, -first[index])
    assert y.reward is None
    expected = first.copy()
    expected[index] = first[index] * 3 + 1
    x[index] = Outer(first[index] * 3 + 1, Inner(first[index]))
    np.testing.assert_array_equal(x.observation, expected)


def test_it_is_a_tuple_with_names():
    x = outer()
    observation, inner, reward = x
    assert observation is x.observation
    assert inner is x.inner is x._asdict()["inner"]
    assert reward is None
    assert len(x) == 3
    assert list(x.items()) == [("observation", observation), ("inner", inner), ("reward", None)]
    assert "reward" in x
    assert "mean" not in x
    assert "mean" in x.inner
    y = x._replace(reward=torch.ones(6))
    assert y.observation is observation
    assert x.reward is None
    assert type(x)._fields == ("observation", "inner", "reward")
    assert type(Outer._make([1, 2, 3])) is Outer
    assert repr(Inner(1)) == "Inner(mean=1, extra=None)"


def test_declared_defaults_docstrings_and_properties_stay():
    assert Inner(3) == Inner(mean=3, extra=None)
    assert Outer.__doc__ == "A node with a node."
    assert (Outer.__module__, Outer.__qualname__) == (__name__, "Outer")
    assert torch.equal(outer().doubled, outer().observation * 2)
    with pytest.raises(TypeError):
        Outer()


@pytest.mark.parametrize(
    ("index", "field"), [((0, 5), r"Outer\.observation"), (9, r"Outer\.observation")]
)
def test_an_index_out_of_bounds_names_field_and_shape(index, field):
    with pytest.raises(IndexError, match=field + r" \(shape \(6, 3\)\).*out of bounds"):
        outer()[index]
    with pytest.raises(IndexError, match=field + r" \(shape \(6, 3\)\).*out of bounds"):
        outer()[index] = 0


def test_the_field_named_is_the_one_at_fault():
    x = Outer(torch.zeros(6), Inner(torch.zeros(6), torch.zeros(2)))
    with pytest.raises(IndexError, match=r"Outer\.inner.*Inner\.extra \(shape \(2,\)\).*index 4"):
        x[4]
    with pytest.raises(IndexError, match=r"Outer\.inner.*Inner\.extra \(shape \(2,\)\)"):
        x[4] = 0.0
    with pytest.raises(TypeError, match=r"Inner\.extra \(int\)"):
        Inner(torch.zeros(2), 3)[0]


@pytest.mark.parametrize("array", [np.zeros, torch.zeros])
def test_a_value_that_does_not_fit_names_field_and_both_shapes(array):
    x = Inner(array((4, 2)), array((4, 3)))
    with pytest.raises(
        (ValueError, RuntimeError), match=r"Inner\.extra \(shape \(4, 3\)\).*\(5,\)"
    ):
        x[0] = Inner(array(2), array(5))


Stranger = namedtuple("Stranger", ["observation", "mean", "reward"])


@pytest.mark.parametrize(
    "value",
    [
        Inner(torch.ones(3), torch.ones(3)),
        (torch.ones(3), torch.ones(3), torch.ones(3)),
        (1, 2),
        Stranger(1, 2, 3),
        namedarraytuple("Outer", ("inner", "observation", "reward"))(1, 2, 3),
    ],
    ids=repr,
)
def test_other_fields_are_a_type_error_and_never_a_broadcast(value):
    x = Outer(torch.zeros(3), torch.zeros(3), torch.zeros(3))
    with pytest.raises(TypeError, match=r"the fields differ: expected \('observation', 'inner'"):
        x[:] = value
    assert all((field == 0).all() for field in x)


def test_other_fields_inside_are_a_type_error_too():
    x = Outer(torch.zeros(3), Inner(torch.zeros(3)))
    with pytest.raises(TypeError, match=r"Outer\.inner.*the fields differ"):
        x[0] = Outer(1.0, RnnState(1.0, 2.0))
    assert (x.inner.mean == 0).all()


def test_the_same_fields_under_another_class_name_may_be_assigned():
    x = Inner(torch.zeros(3), None)
    x[1] = namedarraytuple("Other", ("mean", "extra"))(4.0, None)
    assert x.mean.tolist() == [0, 4, 0]


def test_is_namedarraytuple_and_isinstance():
    run_time = namedarraytuple("Info", ["a"])(1)
    for value in (outer(), run_time, RnnState(torch.zeros(1))):
        assert isinstance(value, NamedArrayTuple)
        assert is_namedarraytuple(value)
        assert isinstance(value, tuple)
    for value in ((1,), Stranger(1, 2, 3), [1], torch.zeros(2), None, Outer):
        assert not isinstance(value, NamedArrayTuple)
        assert not is_namedarraytuple(value)


def test_run_time_classes_are_made_once_per_name_and_fields():
    cls = namedarraytuple("Info", ["a", "b"])
    assert namedarraytuple("Info", ("a", "b")) is cls
    assert namedarraytuple("Info", (name for name in "ab")) is cls
    assert namedarraytuple("Info", ("b", "a")) is not cls
    assert namedarraytuple("Other", ("a", "b")) is not cls
    x = cls(np.arange(3), None)
    assert x[1] == cls(1, None)
    x[:] = cls(5, None)
    assert x.a.tolist() == [5, 5, 5]


@pytest.mark.parametrize("name", ["items", "count", "index", "class", "a b", "2a", "_a", ""])
def test_names_that_cannot_be_fields(name):
    with pytest.raises(ValueError, match=repr(name)):
        namedarraytuple("Info", ["fine", name])


def test_a_field_twice_and_reserved_or_badly_ordered_declarations():
    with pytest.raises(ValueError, match="duplicate"):
        namedarraytuple("Info", ["a", "a"])
    with pytest.raises(ValueError, match=r"Bad: field name 'items' is taken"):

        class Bad(NamedArrayTuple):
            items: Any

    with pytest.raises(TypeError, match=r"Worse: a field without a default"):

        class Worse(NamedArrayTuple):
            first: Any = None
            second: Any


def test_pickling_in_this_process():
    x = outer()._replace(reward=namedarraytuple("Info", ["a", "b"])(torch.ones(2), None))
    for protocol in range(2, pickle.HIGHEST_PROTOCOL + 1):
        y = pickle.loads(pickle.dumps(x, protocol))
        assert type(y) is Outer
        assert type(y.inner) is Inner
        assert type(y.reward) is type(x.reward)
        assert torch.equal(y.observation, x.observation)
        assert torch.equal(y.reward.a, torch.ones(2))


_CHILD = """
import pickle, sys
x = pickle.load(sys.stdin.buffer)
from rlpyt.data import RnnState
from rlpyt.utils.collections import namedarraytuple
assert type(x) is RnnState, type(x)
assert type(x.cell) is namedarraytuple("Made", ("left", "right")), type(x.cell)
assert x[1].hidden == 1 and x[1].cell.left == 4
pickle.dump(x[:2], sys.stdout.buffer)
"""


def test_pickles_cross_into_a_fresh_process_and_back():
    cls = namedarraytuple("Made", ["left", "right"])
    x = RnnState(np.arange(3), cls(np.arange(3) + 3, None))
    done = subprocess.run(
        [sys.executable, "-c", _CHILD], input=pickle.dumps(x), capture_output=True, timeout=100
    )
    assert done.returncode == 0, done.stderr.decode()
    y = pickle.loads(done.stdout)
    assert type(y) is RnnState
    assert type(y.cell) is cls
    assert y.hidden.tolist() == [0, 1]
    assert y.cell.left.tolist() == [3, 4]


def test_pytree_knows_the_classes():
    x = Outer(torch.ones(2), Inner(torch.ones(2)), namedarraytuple("Info", ["a"])(torch.ones(2)))
    leaves, spec = pytree.tree_flatten(x)
    assert len([leaf for leaf in leaves if isinstance(leaf, Tensor)]) == 3
    y = pytree.tree_unflatten(leaves, spec)
    assert (type(y), type(y.inner), type(y.reward)) == (Outer, Inner, type(x.reward))
    z = pytree.tree_map_only(Tensor, lambda leaf: leaf + 1, x)
    assert (z.reward.a == 2).all()
    assert z.inner.extra is None


def test_reading_compiles_into_one_graph():
    info_class = namedarraytuple("Info", ["a"])

    def function(x, mask):
        step = x[1]
        rest = x[mask]
        inner = Inner(rest.inner.mean * 2, None)
        observation, *_others = rest._replace(reward=step.reward.a)
        assert "inner" in x
        return Outer(observation + step.observation, inner, x[:, None].reward)

    x = outer()._replace(reward=info_class(torch.arange(6.0)))
    mask = torch.tensor([0, 2])
    compiled = torch.compile(function, fullgraph=True, backend="eager")
    found, expected = compiled(x, mask), function(x, mask)
    torch._dynamo.reset()
    assert (type(found), type(found.inner), type(found.reward)) == (Outer, Inner, info_class)
    for one, other in zip(pytree.tree_leaves(found), pytree.tree_leaves(expected), strict=True):
        assert one is other is None or torch.equal(one, other)


def test_vmap_maps_over_structs():
    x = Inner(torch.arange(4.0), torch.ones(4, 3))
    y = torch.func.vmap(lambda row: Inner(row.mean * 2, row.extra.sum() + row.mean))(x)
    assert type(y) is Inner
    assert y.mean.tolist() == [0, 2, 4, 6]
    assert y.extra.tolist() == [3, 4, 5, 6]


def test_default_collate_stacks_structs():
    cls = namedarraytuple("Info", ["a", "b"])
    y = default_collate([cls(torch.tensor(i), np.float32(i)) for i in range(3)])
    assert type(y) is cls
    assert y.a.tolist() == y.b.tolist() == [0, 1, 2]
    assert y[1] == cls(1, 1)
