"""Short runs in a temporary directory, to see where the time goes."""

from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from tempfile import TemporaryDirectory

from rlpyt.evaluation.profile import RunProfile, read_profile
from rlpyt.logging.logger import Logger
from rlpyt.runners.base import BaseRunner

__all__ = ["measure"]

_PROBE = 3  # iterations that tell the speed: the first is slower
_ROWS = 4  # of the log, at least; the first does not count


def measure(
    build: Callable[[], BaseRunner], seconds: float, *, speed: float | None = None
) -> RunProfile:
    """Train for about ``seconds`` and return where the time went.

    It can take longer: a few iterations are needed, however long they last. Offline evaluation is
    left out, and nothing is kept.

    Args:
        build: makes a runner; called anew for each run.
        seconds: of training, at ``speed``.
        speed: environment steps per second to expect; ``None``: found out in a few iterations.

    Raises:
        RlpytError: as the run does.
    """
    with TemporaryDirectory(prefix="rlpyt-doctor-", ignore_cleanup_errors=True) as folder:
        if speed is None:
            speed = _run(build(), _PROBE, 1, Path(folder) / "probe").steps_per_second
        runner = build()
        size = runner.sampler.batch_spec.size
        n_itr = max(_ROWS, round(speed * seconds / size))
        interval = max(1, min(round(speed / size), n_itr // _ROWS))
        return _run(runner, n_itr, interval, Path(folder) / "run")


def _run(runner: BaseRunner, n_itr: int, interval: int, run_dir: Path) -> RunProfile:
    """Train for ``n_itr`` iterations with a row of the log every ``interval``."""
    size = runner.sampler.batch_spec.size
    runner = replace(
        runner,
        n_steps=n_itr * size,
        log_interval_steps=interval * size,
        checkpoint_interval_steps=n_itr * size,
        evaluator=None,
    )
    logger = Logger(run_dir, "doctor", 0, tensorboard=False, console=False)
    try:
        runner.train(logger)
    finally:
        logger.close()
    return read_profile(run_dir)
