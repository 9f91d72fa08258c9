import numpy as np
import pytest

from rlpyt.replays.slots import Slots
from rlpyt.utils.errors import RlpytError


def slots(capacity):
    specs = Slots.layout("some", capacity)
    return Slots("some", {name: np.zeros(spec.shape, spec.dtype) for name, spec in specs.items()})


def test_each_slot_is_given_once_and_those_given_back_first():
    some, held = slots(1000), set()
    rng = np.random.default_rng(0)
    most = 0
    for _ in range(300):
        taken = some.take(int(rng.integers(6))).tolist()
        assert not held & set(taken)
        assert len(set(taken)) == len(taken)
        held |= set(taken)
        most = max(most, len(held))
        back = [slot for slot in sorted(held) if rng.random() < 0.2]
        some.give_back(np.array(back, np.int64))
        held -= set(back)
        assert some.n_touched - some.n_free == len(held)
    assert some.n_touched == most
    assert max(held) < most


def test_more_than_there_are_is_refused():
    some = slots(4)
    some.take(3)
    with pytest.raises(RlpytError, match="2 slots more than the 4"):
        some.take(2)
    assert some.take(1).tolist() == [3]
