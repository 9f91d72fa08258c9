"""One hash: changes with every bit, name, dtype and shape, and with nothing else."""

import torch

from rlpyt.checkpoint.hashing import state_hash

BASE = {"w": torch.arange(6.0).reshape(2, 3), "b": torch.zeros(2)}


def test_known_value_never_changes():
    expected = "2cd6a7a90ea422f7847b07f16f31c1bbb6ed9bcf726ca5854bd89a3f79aee712"
    assert state_hash(BASE) == expected


def test_order_layout_and_gradients_do_not_matter():
    transposed = BASE["w"].T.contiguous().T
    same = {"b": torch.nn.Parameter(BASE["b"]), "w": transposed}
    assert not transposed.is_contiguous()
    assert state_hash(same) == state_hash(BASE)


def test_every_difference_shows():
    w, b = BASE["w"], BASE["b"]
    flipped = w.clone()
    flipped.view(torch.int32)[1, 2] ^= 1
    others = [
        {"w": flipped, "b": b},
        {"w": w, "b": -b},
        {"w": w.reshape(3, 2), "b": b},
        {"w": w.view(torch.int32), "b": b},
        {"w": w, "c": b},
        {"w": w},
        {"w": w, "b": b, "n": torch.zeros(0)},
        {"w": w, "b": torch.zeros(2, dtype=torch.bfloat16)},
        {},
    ]
    assert len({state_hash(tensors) for tensors in [BASE, *others]}) == len(others) + 1
