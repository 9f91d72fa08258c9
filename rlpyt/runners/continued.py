"""Training from where a directory stands: from the start, from a checkpoint, or not at all."""

from rlpyt.checkpoint.checkpointer import Checkpointer
from rlpyt.logging.logger import Logger
from rlpyt.logging.run_state import read_run_state
from rlpyt.runners.base import BaseRunner
from rlpyt.utils.errors import RlpytError

__all__ = ["train_or_continue"]


def train_or_continue(runner: BaseRunner, logger: Logger) -> bool:
    """Train ``runner`` into the logger's directory, which may hold an interrupted run of the same
    settings: that goes on from its newest checkpoint, or from the start where it has none yet.

    A complete run goes on only where ``runner`` asks for more steps than it had, a paused one where
    it pauses later or not at all.

    Args:
        runner: as the run was; ``n_steps`` and ``pause_steps`` may be larger.
        logger: made with ``resume=True``.

    Returns:
        Whether anything was left to do.

    Raises:
        RlpytError: as ``runner.train`` does; ``checkpoint``, for a converted run.
    """
    run_dir = logger.run_dir
    saved = Checkpointer(run_dir / "checkpoints").saved()
    state = read_run_state(run_dir)
    if state == "converted":
        what = f"{run_dir} holds parameters alone, of a run of another library"
        hint = f"start a new run with them: rlpyt train ... --init-from {run_dir}"
        raise RlpytError("checkpoint", what, hint=hint)
    if state in {"done", "paused"} and max(saved, default=0) >= runner.last_itr:
        how = "complete" if state == "done" else "paused there already"
        logger.text(f"{run_dir} is {how}: nothing is left to do", runner.last_itr)
        return False
    if not saved:
        if logger.state_dict()["rows"]:
            logger.text("no checkpoint was saved yet: starting from the beginning", 0)
        logger.load_state_dict({"columns": [], "rows": 0, "step": -1})
    runner.train(logger, resume=bool(saved))
    return True
