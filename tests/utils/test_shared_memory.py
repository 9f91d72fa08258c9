"""Shared blocks: laid out for vector instructions, zeroed, without a name, refused by numbers."""

import gc
import os
import pickle
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import pytest
import torch

import rlpyt.utils.shared_memory as shared_memory
from rlpyt.data import RnnState
from rlpyt.samplers.processes import process_context
from rlpyt.utils.buffer import leaves
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.shared_memory import LeafSpec, SharedBlock, available_memory


class Tree(NamedArrayTuple):
    flags: Any
    nested: Any
    pixels: Any
    nothing: Any = None
    empty: Any = None
    number: Any = None


def example() -> Tree:
    def meta(*shape: int, dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.empty(shape, dtype=dtype, device="meta")

    return Tree(
        flags=meta(3, dtype=torch.bool),
        nested=RnnState(meta(2, 1, 5), meta(2, 1, 5)),
        pixels=meta(4, 7, 7, dtype=torch.uint8),
        nothing=None,
        empty=meta(0, 3),
        number=meta(dtype=torch.int64),
    )


@pytest.fixture
def block():
    made = SharedBlock.allocate(example(), "an example")
    yield made
    made.close()


def test_the_tree_has_the_examples_shapes_types_and_zeros(block: SharedBlock):
    tree = block.tree
    assert type(tree) is Tree
    assert type(tree.nested) is RnnState
    assert tree.nothing is None
    for leaf, like in zip(leaves(tree), leaves(example()), strict=True):
        assert leaf.shape == like.shape
        assert leaf.dtype == like.dtype
        assert leaf.device.type == "cpu"
        assert not leaf.any()


def test_every_leaf_is_aligned_and_none_overlap(block: SharedBlock):
    found = [leaf for leaf in leaves(block.tree) if leaf.numel()]
    assert [leaf.data_ptr() % 64 for leaf in found] == [0] * 5
    for number, leaf in enumerate(found, 1):
        leaf.fill_(number % 2 if leaf.dtype == torch.bool else number)
    for number, leaf in enumerate(found, 1):
        assert (leaf == (number % 2 if leaf.dtype == torch.bool else number)).all()


def test_the_layout_pickles_and_says_where(block: SharedBlock):
    layout = pickle.loads(pickle.dumps(block.layout))
    assert layout == block.layout
    assert layout.flags == LeafSpec(0, (3,), torch.bool)
    assert layout.nested.hidden == LeafSpec(64, (2, 1, 5), torch.float32)
    assert layout.nested.cell == LeafSpec(128, (2, 1, 5), torch.float32)
    assert layout.pixels == LeafSpec(192, (4, 7, 7), torch.uint8)
    assert layout.number.offset == 192 + 256


def test_two_mappings_in_one_process_are_one_memory(block: SharedBlock):
    other = SharedBlock(os.dup(block.fd), block.layout)
    other.tree.nested.cell[1, 0] = torch.arange(5.0)
    assert block.tree.nested.cell[1, 0].tolist() == [0, 1, 2, 3, 4]
    block.tree.number.fill_(-7)
    assert other.tree.number == -7
    other.close()


def in_another_process(pipe: Any) -> None:
    block = SharedBlock(reduction.recv_handle(pipe), pipe.recv())
    block.close()  # the mapping is enough
    pipe.send(block.tree.nested.hidden.tolist())
    block.tree.pixels[2] = 200
    block.tree.flags.numpy()[1] = True
    pipe.send("written")
    pipe.recv()
    pipe.send(int(block.tree.number))


def test_another_process_attaches_by_descriptor(block: SharedBlock):
    context = process_context("forkserver")
    ours, theirs = context.Pipe()
    block.tree.nested.hidden[0, 0, 3] = 2.5
    process = context.Process(target=in_another_process, args=(theirs,))
    process.start()
    theirs.close()
    reduction.send_handle(ours, block.fd, process.pid)
    ours.send(block.layout)
    assert ours.recv()[0][0] == [0, 0, 0, 2.5, 0]
    assert ours.recv() == "written"
    assert block.tree.pixels[2].unique().tolist() == [200]
    assert not block.tree.pixels[3].any()
    assert block.tree.flags.tolist() == [False, True, False]
    block.tree.number.fill_(42)
    ours.send(None)
    assert ours.recv() == 42
    process.join()
    assert process.exitcode == 0
    process.close()
    ours.close()


def descriptors() -> int:
    gc.collect()  # what an earlier test has left does not count
    return len(os.listdir("/dev/fd"))


def test_close_gives_up_the_descriptor_and_leaves_the_memory():
    before = descriptors()
    block = SharedBlock.allocate(example(), "an example")
    assert descriptors() > before
    tree = block.tree
    block.close()
    block.close()
    tree.pixels.fill_(9)
    assert tree.pixels.sum() == 9 * 4 * 49
    del block, tree
    assert descriptors() == before


def test_it_has_no_name_and_takes_nothing_of_dev_shm():
    shm = Path("/dev/shm")
    before = set(shm.iterdir()) if shm.is_dir() else set()
    block = SharedBlock.allocate(torch.empty(1000, device="meta"), "an example")
    block.tree.fill_(1)
    assert (set(shm.iterdir()) if shm.is_dir() else set()) == before
    maps = Path("/proc/self/maps")
    if maps.exists():
        assert "/dev/shm" not in "".join(
            line for line in maps.read_text().splitlines() if "rlpyt" in line
        )
    block.close()


def test_what_is_not_written_takes_no_memory():
    block = SharedBlock.allocate(
        torch.empty(250_000_000, dtype=torch.uint8, device="meta"), "an example"
    )
    if Path("/proc/self").exists():
        assert os.fstat(block.fd).st_blocks * 512 < 1_000_000
        block.tree[:10_000_000] = 1
        assert 10_000_000 <= os.fstat(block.fd).st_blocks * 512 < 20_000_000
    block.close()


def test_too_much_is_refused_by_numbers(monkeypatch):
    monkeypatch.setattr(shared_memory, "available_memory", lambda: 300_000_000)
    before = descriptors()
    tree = torch.empty(2_000_000_000, dtype=torch.uint8, device="meta")
    with pytest.raises(RlpytError) as caught:
        SharedBlock.allocate(tree, "a batch of samples")
    assert caught.value.code == "memory"
    assert caught.value.what == "a batch of samples takes 2.0 GB of memory, 0.3 GB are free"
    assert "sampler.batch_B" in caught.value.hint
    assert descriptors() == before


@pytest.mark.parametrize("free", [None, 5_000])
def test_what_fits_or_cannot_be_known_is_tried(monkeypatch, free: int | None):
    monkeypatch.setattr(shared_memory, "available_memory", lambda: free)
    block = SharedBlock.allocate(torch.empty(4096, dtype=torch.uint8, device="meta"), "an example")
    block.tree.fill_(3)
    block.close()


def test_available_memory_is_what_the_kernel_says(tmp_path: Path):
    assert available_memory(tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal: 9 kB\nMemFree: 5 kB\n")
    assert available_memory(tmp_path) is None
    (tmp_path / "meminfo").write_text("MemTotal:   99 kB\nMemAvailable:    1234 kB\nX: 1\n")
    assert available_memory(tmp_path) == 1234 * 1024


def test_an_empty_tree():
    block = SharedBlock.allocate(RnnState(torch.empty(0, 2), None), "an example")
    assert block.tree.hidden.shape == (0, 2)
    block.close()
