"""A run as its own script sees it: which slot, directory and settings the launcher has given it.

    if __name__ == "__main__":
        run = LaunchedRun.from_arguments()
        run.train(run.configured(build()), name="ppo_cartpole")

The script is called as ``python script <slot>slt_<code> <log_dir> <run_ID> *args``.
"""

import sys
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any, Self, TypeVar, final

from rlpyt.launch.affinity import affinity_from_code
from rlpyt.launch.slot import BaseAffinity
from rlpyt.launch.variant import VARIANT_FILE, apply_variant, load_variant
from rlpyt.logging.context import logger_context
from rlpyt.runners.base import BaseRunner
from rlpyt.runners.continued import train_or_continue
from rlpyt.utils.errors import RlpytError

__all__ = ["LaunchedRun"]

Runner = TypeVar("Runner", bound=BaseRunner)


@final
@dataclass(frozen=True, kw_only=True)
class LaunchedRun:
    """What a launcher has given to this process."""

    affinity: BaseAffinity
    log_dir: Path  # of the variant; the run's own is below
    run_ID: int  # its seed, too
    variant: dict[str, Any]
    args: tuple[str, ...] = ()

    @classmethod
    def from_arguments(cls, argv: Sequence[str] | None = None) -> Self:
        """From the command line, this process's where ``argv`` (without the program) is None.

        Raises:
            RlpytError: ``usage``, where a launcher has not called it; ``affinity`` and ``config``,
                for a code or a ``variant_config.json`` that is none.
        """
        words = list(sys.argv[1:] if argv is None else argv)
        if len(words) < 3 or not words[2].isdecimal():
            what = f"arguments {words} are not those of a launcher"
            hint = "start it by `rlpyt launch SCRIPT`, or give SLOT_AND_CODE LOG_DIR RUN_ID"
            raise RlpytError("usage", what, hint=hint)
        log_dir = Path(words[1])
        return cls(
            affinity=affinity_from_code(words[0]),
            log_dir=log_dir,
            run_ID=int(words[2]),
            variant=load_variant(log_dir) if (log_dir / VARIANT_FILE).exists() else {},
            args=tuple(words[3:]),
        )

    @property
    def run_dir(self) -> Path:
        """Where its files go."""
        return self.log_dir / f"run_{self.run_ID}"

    def configured(self, runner: Runner) -> Runner:
        """A copy of ``runner`` with the variant's settings, the run's seed, and its slot.

        Raises:
            RlpytError: ``config``, with the path, for an unknown key or a wrong value;
                ``affinity``, for a runner that cannot use the slot.
        """
        varied = replace(apply_variant(runner, self.variant), seed=self.run_ID)
        return self.affinity.assign(varied)

    def train(self, runner: BaseRunner, name: str, *, sinks: Sequence[str] = ()) -> None:
        """Train ``runner``, as it is, into the run's directory; a run that was interrupted goes on
        from its newest checkpoint, and one that is complete is left as it is. ``sinks`` are those
        of :class:`~rlpyt.logging.Logger`.

        Raises:
            RlpytError: as ``runner.train`` does.
        """
        with logger_context(self.log_dir, self.run_ID, name, sinks=sinks, resume=True) as logger:
            if logger is None:  # a process of torchrun beside the first
                runner.train(None)
            else:
                train_or_continue(runner, logger)
