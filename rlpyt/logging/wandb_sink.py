"""Weights & Biases."""

import os
import secrets
from collections.abc import Mapping
from types import ModuleType
from typing import Any, final

from rlpyt.logging.remote import RunLabel

__all__ = ["WandbService"]

_SECONDS = 30.0  # what W&B may wait for its server: at the end of a process, too


@final
class WandbService:
    """One run in W&B, in the project ``WANDB_PROJECT`` (``rlpyt``), grouped by the run's name.

    W&B reads its own variables: ``WANDB_MODE=offline`` keeps everything in the run directory, for
    ``wandb sync``; ``WANDB_ENTITY``, ``WANDB_BASE_URL``, ``WANDB_API_KEY``.
    """

    name = "W&B"

    def __init__(self, wandb: ModuleType, label: RunLabel) -> None:
        """``wandb`` is the package; nothing is sent yet."""
        self._wandb = wandb
        self._label = label
        self._run: Any = None

    def begin(self, settings: Mapping[str, Any], run_id: str | None) -> str:
        """Begin, or continue ``run_id``."""
        run_id = run_id or secrets.token_hex(8)
        self._run = self._wandb.init(
            project=os.environ.get("WANDB_PROJECT", "rlpyt"),
            name=str(self._label),
            group=self._label.name,
            id=run_id,
            resume="allow",
            dir=str(self._label.run_dir),
            reinit="create_new",  # several runs of a process do not share one
            settings=self._wandb.Settings(
                console="off",  # the output is in debug.log
                silent=self._label.quiet,
                login_timeout=5.0,  # nobody answers questions in the middle of a run
                init_timeout=_SECONDS,
                finish_timeout=_SECONDS,
            ),
        )
        self._run.config.update(dict(settings), allow_val_change=True)  # n_steps, say
        return run_id

    def write(self, values: Mapping[str, float], step: int) -> None:
        """One row of the run's history."""
        self._run.log(dict(values), step=step)

    def close(self, *, success: bool) -> None:
        """Finish: as crashed, unless the run is done."""
        self._run.finish(exit_code=0 if success else 1)
