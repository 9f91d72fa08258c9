"""Sums through shared memory: right, equal in all processes, awake in time, ended by a death."""

import gc
import os
import signal
import threading
import time
from collections.abc import Callable
from multiprocessing import reduction
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from rlpyt.samplers.processes import process_context
from rlpyt.utils.exchange import ExchangeEnds, SharedExchange, exchange_ends
from rlpyt.utils.world import World

CHUNK = 1 << 20  # bytes
ROUNDS = 3_000


def in_ranks(
    size: int, body: Callable[[int, SharedExchange], Any], timeout: float = 30.0
) -> list[Any]:
    """What ``body(rank, exchange)`` gives in each of ``size`` threads."""
    found: list[Any] = [None] * size

    def run(rank: int, exchange: SharedExchange) -> None:
        try:
            found[rank] = body(rank, exchange)
        finally:
            exchange.close()

    threads = []
    for rank, ends in enumerate(exchange_ends(size)):
        exchange = SharedExchange(rank, ends, timeout=timeout)
        threads.append(threading.Thread(target=run, args=(rank, exchange)))
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    return found


def numbers(rank: int, shape: tuple[int, ...], dtype: torch.dtype) -> Tensor:
    generator = torch.Generator().manual_seed(rank)
    if dtype.is_floating_point:
        return torch.randn(shape, generator=generator, dtype=dtype)
    return torch.randint(0, 50, shape, generator=generator, dtype=dtype)


@pytest.mark.parametrize("size", [2, 3, 5])
@pytest.mark.parametrize("dtype", [torch.float32, torch.float64, torch.uint8, torch.int64], ids=str)
def test_sums_are_those_in_the_order_of_ranks(size: int, dtype: torch.dtype):
    most = CHUNK // dtype.itemsize
    shapes = [(), (1,), (0,), (4, 3), (5_003,), (most,), (2 * most + 3,)]

    def body(rank: int, exchange: SharedExchange) -> list[Tensor]:
        tensors = [numbers(rank, shape, dtype) for shape in shapes]
        for tensor in tensors:
            exchange.sum_(tensor)
        return tensors

    results = in_ranks(size, body)
    for index, shape in enumerate(shapes):
        expected = numbers(0, shape, dtype)
        for rank in range(1, size):
            expected += numbers(rank, shape, dtype)
        for found in results:
            assert found[index].dtype == dtype
            assert torch.equal(found[index], expected), shape


@pytest.mark.parametrize("size", [2, 3])
def test_numbers_that_do_not_lie_in_order(size: int):
    def body(rank: int, exchange: SharedExchange) -> Tensor:
        whole = numbers(rank, (6, 8), torch.float32)
        exchange.sum_(whole[1::2].T)
        return whole

    results = in_ranks(size, body)
    expected = sum(numbers(rank, (6, 8), torch.float32)[1::2] for rank in range(size))
    for rank, found in enumerate(results):
        torch.testing.assert_close(found[1::2], expected)
        assert torch.equal(found[::2], numbers(rank, (6, 8), torch.float32)[::2])


@pytest.mark.parametrize("size", [2, 3])
def test_means_are_the_same_everywhere(size: int):
    def body(rank: int, exchange: SharedExchange) -> list[Tensor]:
        tensors = [numbers(rank, shape, torch.float64) for shape in [(), (70_000,)]]
        for tensor in tensors:
            exchange.mean_(tensor)
        return tensors

    first, *others = in_ranks(size, body)
    for index, shape in enumerate([(), (70_000,)]):
        parts = torch.stack([numbers(rank, shape, torch.float64) for rank in range(size)])
        torch.testing.assert_close(first[index], parts.mean(0))
        assert all(torch.equal(found[index], first[index]) for found in others)


@pytest.mark.parametrize("size", [2, 3])
def test_everybody_gets_what_the_first_has(size: int):
    def body(rank: int, exchange: SharedExchange) -> list[Tensor]:
        found = [numbers(rank, shape, torch.float32) for shape in [(), (7, 3), (CHUNK // 4 + 1,)]]
        for tensor in found:
            exchange.broadcast_(tensor)
        return found

    first, *others = in_ranks(size, body)
    assert torch.equal(first[1], numbers(0, (7, 3), torch.float32))
    for found in others:
        assert all(torch.equal(a, b) for a, b in zip(found, first, strict=True))


def test_a_world_uses_it_for_tensors_on_the_cpu():
    def body(rank: int, exchange: SharedExchange) -> tuple[Any, ...]:
        world = World(rank, 2, exchange=exchange)
        number = torch.tensor(float(rank + 1))
        return (
            world.mean_(number.clone()).item(),
            world.sum(number).item(),
            number.item(),
            world.any([rank == 1, False, True]),
            world.broadcast_(number.clone()).item(),
            world.overlaps(torch.device("cpu")),
            world.overlaps(torch.device("meta")),
        )

    first, second = in_ranks(2, body)
    assert first == (1.5, 3.0, 1.0, [True, False, True], 1.0, False, True)
    assert second == (1.5, 3.0, 2.0, [True, False, True], 1.0, False, True)
    assert not World().overlaps(torch.device("cpu"))
    assert World(0, 2).overlaps(torch.device("cpu"))


# --- waiting ------------------------------------------------------------------------------------


def test_who_waits_long_sleeps_and_wakes_up_at_once():
    def body(rank: int, exchange: SharedExchange) -> tuple[float, float]:
        number = torch.tensor(1.0)
        exchange.sum_(number)
        if rank == 1:
            time.sleep(0.7)
        came, busy = time.monotonic(), time.thread_time()
        exchange.sum_(number)
        assert number.item() == 4.0
        return time.monotonic() - came, time.thread_time() - busy

    (waited, busy), (last, _busy) = in_ranks(2, body)
    assert waited > 0.5
    assert busy < 0.1
    assert last < 0.3


def test_who_does_not_come_is_named():
    late = threading.Event()

    def body(rank: int, exchange: SharedExchange) -> str:
        if rank == 1:
            late.wait(20.0)
            return ""
        try:
            with pytest.raises(TimeoutError) as caught:
                exchange.sum_(torch.zeros(3))
        finally:
            late.set()
        return str(caught.value)

    assert in_ranks(2, body, timeout=0.3)[0] == "rank 1 has not come within 0.3 s"


def test_what_became_of_another_is_raised_while_it_is_waited_for():
    def check() -> None:
        raise ValueError("it has died")

    ends = exchange_ends(2)
    exchange = SharedExchange(0, ends[0], timeout=60.0, check=check)
    start = time.monotonic()
    with pytest.raises(ValueError, match="it has died"):
        exchange.sum_(torch.zeros(3))
    assert time.monotonic() - start < 5.0
    exchange.close()
    ends[1].close()


def test_who_leaves_is_noticed_behind_what_it_has_said():
    def body(rank: int, exchange: SharedExchange) -> str:
        number = torch.ones(1)
        exchange.sum_(number)
        if rank == 1:
            return ""
        time.sleep(0.2)
        with pytest.raises(RuntimeError) as caught:
            exchange.sum_(number)
        assert number.item() == 2.0
        return str(caught.value)

    assert in_ranks(2, body)[0] == "rank 1 has gone"


# --- processes ----------------------------------------------------------------------------------


def many_rounds(rank: int, exchange: SharedExchange) -> int:
    """Sums of all lengths; how many were right."""
    generator = torch.Generator().manual_seed(0)  # the same lengths in all
    right = 0
    for number in range(ROUNDS):
        length = int(torch.randint(1, 20_000 if number % 10 == 0 else 200, (), generator=generator))
        tensor = torch.full((length,), float(number * (rank + 1)))
        exchange.sum_(tensor)
        total = number * exchange.size * (exchange.size + 1) / 2
        right += bool((tensor == total).all())
    return right


def process_body(rank: int, pipe: Any) -> None:
    torch.set_num_threads(1)
    layout, n_fds = pipe.recv()
    ends = ExchangeEnds(layout, tuple(reduction.recv_handle(pipe) for _ in range(n_fds)))
    exchange = SharedExchange(rank, ends, timeout=30.0)
    pipe.send(many_rounds(rank, exchange))
    while True:  # to be killed
        exchange.sum_(torch.zeros(70_000))


def descriptors() -> int:
    gc.collect()  # what an earlier test has left does not count
    return len(os.listdir("/dev/fd"))


def names() -> set[Path]:
    shm = Path("/dev/shm")
    return set(shm.iterdir()) if shm.is_dir() else set()


def sum_until(exchange: SharedExchange, deadline: float) -> None:
    while time.monotonic() < deadline:
        exchange.sum_(torch.zeros(70_000))


@pytest.mark.parametrize("size", [2, pytest.param(3, marks=pytest.mark.slow)])
def test_thousands_of_rounds_until_one_is_killed(size: int):
    context = process_context("forkserver")
    helper = context.Process(target=int)  # the server keeps descriptors of its own
    helper.start()
    helper.join()
    helper.close()
    before, shm = descriptors(), names()
    own, *others = exchange_ends(size)
    processes = []
    for rank, ends in enumerate(others, 1):
        pipe, far = context.Pipe()
        process = context.Process(target=process_body, args=(rank, far))
        process.start()
        far.close()
        pipe.send((ends.layout, len(ends.fds)))
        for fd in ends.fds:
            reduction.send_handle(pipe, fd, process.pid)
        ends.close()
        processes.append((process, pipe))
    exchange = SharedExchange(0, own, timeout=30.0)
    assert many_rounds(0, exchange) == ROUNDS
    assert [pipe.recv() for _process, pipe in processes] == [ROUNDS] * (size - 1)
    killer = threading.Timer(0.2, lambda: os.kill(processes[0][0].pid, signal.SIGKILL))
    killer.start()
    start = time.monotonic()
    with pytest.raises(RuntimeError, match="rank 1 has gone"):
        sum_until(exchange, start + 20.0)
    assert time.monotonic() - start < 5.0
    exchange.close()
    killer.join()
    for process, pipe in processes:
        process.kill()
        process.join()
        process.close()
        pipe.close()
    del exchange  # its memory is mapped as long as it is there
    assert names() == shm
    assert descriptors() == before
