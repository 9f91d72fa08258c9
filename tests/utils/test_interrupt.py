"""The first signal asks, the second insists; afterwards signals are what they were."""

import signal
import threading

import pytest

from rlpyt.utils.interrupt import StopRequest, at_second_signal, stop_on_signals

SIGNALS = [signal.SIGINT, signal.SIGTERM]


@pytest.fixture(autouse=True)
def _handlers_are_put_back():
    before = [signal.getsignal(number) for number in SIGNALS]
    yield
    after = [signal.getsignal(number) for number in SIGNALS]
    for number, handler in zip(SIGNALS, before, strict=True):
        signal.signal(number, handler)
    assert after == before


@pytest.mark.parametrize(
    ("number", "exit_code", "outcome"),
    [(signal.SIGINT, 130, "interrupted"), (signal.SIGTERM, 143, "preempted")],
)
def test_the_first_signal_sets_the_request_and_says_so(number, exit_code, outcome, capfd):
    with stop_on_signals() as request:
        assert not request
        assert capfd.readouterr().err == ""
        signal.raise_signal(number)
        assert request
    assert (request.signum, request.name) == (number, number.name)
    assert (request.exit_code, request.outcome) == (exit_code, outcome)
    assert f"{number.name}: ending this iteration" in capfd.readouterr().err


@pytest.mark.parametrize("second", SIGNALS)
@pytest.mark.parametrize("first", SIGNALS)
def test_the_second_ends_at_once_and_the_first_is_remembered(first, second):
    with stop_on_signals() as request:
        signal.raise_signal(first)
        with pytest.raises(SystemExit) as caught:
            signal.raise_signal(second)
    assert request.name == first.name
    assert caught.value.code == request.exit_code == 128 + first


def test_an_error_inside_comes_through():
    with pytest.raises(ValueError, match="inside"), stop_on_signals():
        raise ValueError("inside")


def test_other_threads_get_a_request_that_is_never_set():
    found = []

    def work():
        with stop_on_signals() as request:
            found.append((request, signal.getsignal(signal.SIGINT)))

    thread = threading.Thread(target=work)
    thread.start()
    thread.join()
    assert found == [(StopRequest(), signal.getsignal(signal.SIGINT))]
    assert not found[0][0]


@pytest.mark.parametrize("second", SIGNALS)
def test_at_the_second_signal_another_thread_acts(second):
    acted = threading.Event()
    with at_second_signal(acted.set), stop_on_signals() as request:
        signal.raise_signal(signal.SIGINT)
        assert not acted.wait(0.05)
        with pytest.raises(SystemExit):
            signal.raise_signal(second)
        assert acted.wait(5)
        assert request.signum == signal.SIGINT
    assert signal.set_wakeup_fd(-1) == -1


def test_other_signals_do_not_count():
    acted = threading.Event()
    before = signal.signal(signal.SIGUSR1, lambda *_: None)
    try:
        with at_second_signal(acted.set), stop_on_signals():
            for number in (signal.SIGUSR1, signal.SIGUSR1, signal.SIGINT, signal.SIGUSR1):
                signal.raise_signal(number)
            assert not acted.wait(0.05)
    finally:
        signal.signal(signal.SIGUSR1, before)


def test_outside_the_main_thread_there_are_no_signals_to_act_at():
    entered = []

    def body() -> None:
        with at_second_signal(lambda: None):
            entered.append(True)

    thread = threading.Thread(target=body)
    thread.start()
    thread.join()
    assert entered
