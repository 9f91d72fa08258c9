"""Where runs go, and a logger for the time of a ``with`` block."""

from collections.abc import Iterator
from contextlib import contextmanager
from datetime import datetime
from pathlib import Path

from rlpyt.logging.logger import Logger

__all__ = ["default_log_dir", "logger_context"]


def default_log_dir(title: str) -> Path:
    """``data/local/<yyyymmdd>/<hhmmss>/<title>`` below the current directory, now."""
    now = datetime.now()
    return Path("data", "local", f"{now:%Y%m%d}", f"{now:%H%M%S}", title)


@contextmanager
def logger_context(
    log_dir: Path | str,
    run_ID: int,
    name: str,
    *,
    tensorboard: bool = True,
    console: bool = True,
    resume: bool = False,
) -> Iterator[Logger]:
    """A :class:`Logger` at ``<log_dir>/run_<run_ID>``, closed at the end, after an exception too.

    Raises:
        RlpytError: ``directory``, as the logger does.
    """
    run_dir = Path(log_dir) / f"run_{run_ID}"
    logger = Logger(run_dir, name, run_ID, tensorboard=tensorboard, console=console, resume=resume)
    try:
        yield logger
    finally:
        logger.close()
