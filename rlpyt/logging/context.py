"""Where runs go, and a logger for the time of a ``with`` block."""

import os
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rlpyt.logging.logger import Logger
from rlpyt.utils.world import is_launched

__all__ = ["default_log_dir", "logger_context"]


def default_log_dir(title: str) -> Path:
    """``data/local/<yyyymmdd>/<hhmmss>/<title>`` below the current directory, now.

    Where another run took that name in the same second, the title ends in ``-2``, ``-3``, ...
    """
    now = datetime.now()
    folder = Path("data", "local", f"{now:%Y%m%d}", f"{now:%H%M%S}")
    path, number = folder / title, 1
    while path.exists():
        number += 1
        path = folder / f"{title}-{number}"
    return path


@contextmanager
def logger_context(
    log_dir: Path | str,
    run_ID: int,
    name: str,
    *,
    tensorboard: bool = True,
    sinks: Sequence[str] = (),
    console: bool = True,
    resume: bool = False,
) -> Iterator[Logger | None]:
    """A :class:`Logger` at ``<log_dir>/run_<run_ID>``, closed at the end, after an exception too.

    None in the processes of torchrun but the first: that logs for all.

    Raises:
        RlpytError: ``directory`` or ``config``, as the logger does.
    """
    if is_launched() and int(os.environ["RANK"]):
        yield None
        return
    run_dir = Path(log_dir) / f"run_{run_ID}"
    logger = Logger(
        run_dir,
        name,
        run_ID,
        tensorboard=tensorboard,
        sinks=sinks,
        console=console,
        resume=resume,
    )
    try:
        yield logger
    finally:
        logger.close()
