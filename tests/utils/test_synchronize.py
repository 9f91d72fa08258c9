"""Shared parameters: what is fetched was published, whole, whoever publishes meanwhile."""

import threading
import time
from collections.abc import Iterator
from contextlib import contextmanager
from multiprocessing import reduction
from typing import Any

import pytest
import torch
from torch import nn

from rlpyt.samplers.processes import process_context
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.shared_memory import SharedBlock
from rlpyt.utils.synchronize import SharedParams

FILLS = 251  # prime: a version's number does not repeat within a fetch


def network(seed: int = 0) -> nn.Module:
    torch.manual_seed(seed)
    return nn.Sequential(nn.Linear(5, 7), nn.BatchNorm1d(7), nn.LSTM(7, 3))


@pytest.fixture
def shared():
    made = SharedParams.allocate(network().state_dict())
    yield made
    made.block.close()


def test_what_is_fetched_is_what_was_published(shared: SharedParams):
    one, other = network(0), network(1)
    one(torch.randn(9, 5))  # statistics and a counter of another type
    shared.publish(one.state_dict())
    assert shared.fetch(other.state_dict()) == 1
    for name, value in one.state_dict().items():
        assert torch.equal(other.state_dict()[name], value), name
    assert other[1].num_batches_tracked == 1


def test_versions_count_publications(shared: SharedParams):
    assert shared.version == 0
    source, target = network().state_dict(), network().state_dict()
    for version in (1, 2, 3):
        shared.publish(source)
        assert shared.version == version
        assert shared.fetch(target) == version
    assert shared.fetch(target) == 3


def test_nested_states_and_what_is_no_tensor():
    state = {"a": {"b": torch.ones(2), "n": 5}, "c": torch.arange(3), "text": "x"}
    shared = SharedParams.allocate(state)
    shared.publish(state)
    target = {"a": {"b": torch.zeros(2), "n": 7}, "c": torch.zeros(3, dtype=torch.int64)}
    shared.fetch(target)
    assert target["a"]["b"].tolist() == [1, 1]
    assert target["c"].tolist() == [0, 1, 2]
    assert target["a"]["n"] == 7
    shared.block.close()


def test_gradients_are_neither_needed_nor_made():
    parameters = dict(nn.Linear(3, 2).named_parameters())
    shared = SharedParams.allocate(parameters)
    shared.publish(parameters)
    shared.fetch(parameters)
    assert all(p.requires_grad and p.grad_fn is None for p in parameters.values())
    shared.block.close()


def test_another_models_state_is_refused(shared: SharedParams):
    with pytest.raises(ValueError, match="zip"):
        shared.publish(nn.Linear(5, 7).state_dict())


def test_a_publication_that_was_never_finished_is_told_of(shared: SharedParams):
    state = network().state_dict()
    shared.publish(state)
    shared.block.tree.version.add_(1)  # as a publisher leaves it that was killed
    start = time.monotonic()
    with pytest.raises(RlpytError, match=r"no whole set of parameters came within 0\.2 s"):
        shared.fetch(state, timeout=0.2)
    assert 0.2 <= time.monotonic() - start < 5


def test_a_fetch_waits_for_the_end_of_a_publication(shared: SharedParams):
    source, target = network(0).state_dict(), network(1).state_dict()
    shared.block.tree.version.add_(1)

    def finish() -> None:
        shared.block.tree.version.add_(1)
        shared.publish(source)

    timer = threading.Timer(0.1, finish)
    timer.start()
    assert shared.fetch(target, timeout=20) in (1, 2)
    timer.join()
    assert shared.fetch(target) == 2
    assert all(torch.equal(target[name], value) for name, value in source.items())


class Overtaken(torch.Tensor):
    """Lets somebody publish while it is being fetched into."""

    meanwhile: Any = None

    def copy_(self, other: torch.Tensor) -> torch.Tensor:  # type: ignore[override]
        meanwhile, self.meanwhile = self.meanwhile, None
        if meanwhile is not None:
            meanwhile()
        return super().copy_(other)


def test_a_fetch_that_is_overtaken_begins_again():
    versions = [{"a": torch.full((2,), float(n)), "b": torch.full((2,), float(n))} for n in (1, 2)]
    shared = SharedParams.allocate(versions[0])
    shared.publish(versions[0])
    target = {"a": torch.zeros(2), "b": torch.zeros(2).as_subclass(Overtaken)}
    target["b"].meanwhile = lambda: shared.publish(versions[1])
    assert shared.fetch(target) == 2
    assert target["a"].tolist() == target["b"].tolist() == [2, 2]
    shared.block.close()


# --- torn reads ---------------------------------------------------------------------------------

SIZES = (3, 20_000, 1, 5_000, 64)


def state_of(version: int) -> dict[str, torch.Tensor]:
    """All numbers of a version are one, by which it is known."""
    return {str(i): torch.full((size,), float(version % FILLS)) for i, size in enumerate(SIZES)}


def keep_publishing(pipe: Any) -> None:
    torch.set_num_threads(1)
    shared = SharedParams(SharedBlock(reduction.recv_handle(pipe), pipe.recv()))
    states = [state_of(version) for version in range(FILLS)]
    version = shared.version
    while not pipe.poll():
        for _ in range(50):
            version += 1
            shared.publish(states[version % FILLS])
        time.sleep(2e-3)  # on two free CPUs nobody could fetch anything otherwise
    shared.block.close()
    pipe.send(version)


@contextmanager
def publisher(shared: SharedParams) -> Iterator[None]:
    """Another process that publishes one version after the other."""
    context = process_context("forkserver")
    ours, theirs = context.Pipe()
    process = context.Process(target=keep_publishing, args=(theirs,))
    process.start()
    theirs.close()
    try:
        reduction.send_handle(ours, shared.block.fd, process.pid)
        ours.send(shared.block.layout)
        while shared.version < 2:
            time.sleep(0.01)
        yield
        ours.send("enough")
        assert ours.recv() == shared.version
        process.join()
        assert process.exitcode == 0
    finally:
        process.kill()
        process.join()
        process.close()
        ours.close()


def fetch_while_another_publishes(n_fetches: int, seconds: float = 500.0) -> set[int]:
    """The versions found, all of them whole; at most for so many ``seconds``."""
    deadline = time.monotonic() + seconds
    shared = SharedParams.allocate(state_of(0))
    shared.publish(state_of(1))
    target, found = state_of(0), set()
    flat = [leaf.numpy() for leaf in target.values()]
    with publisher(shared):
        for _ in range(n_fetches):
            version = shared.fetch(target)
            found.add(version)
            expected = float(version % FILLS)
            assert all((leaf == expected).all() for leaf in flat), version
            if time.monotonic() > deadline:
                break
    shared.block.close()
    return found


@pytest.mark.faults("F36")
def test_no_fetch_is_torn():
    found = fetch_while_another_publishes(10_000, seconds=15.0)
    assert len(found) > 5  # they did meet, as often as few CPUs let them


@pytest.mark.faults("F36")
@pytest.mark.slow
@pytest.mark.timeout(600)
def test_no_fetch_of_very_many_is_torn():
    assert len(fetch_while_another_publishes(100_000)) > 50
