"""What a runner is: the parts of a run, and how long it goes."""

import math
from abc import ABC, abstractmethod
from dataclasses import dataclass, field

from rlpyt.agents.base import Agent
from rlpyt.algos.base import RlAlgorithm
from rlpyt.logging.logger import Logger
from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.init_from import InitFrom
from rlpyt.samplers.base import BaseSampler
from rlpyt.utils.errors import RlpytError

__all__ = ["BaseRunner"]


@dataclass(kw_only=True)
class BaseRunner(ABC):
    """Samples a batch, learns from it, and again, for ``n_steps`` environment steps.

    Without an ``evaluator`` the log reports the training episodes, the last ``log_traj_window`` of
    them; with one, an offline evaluation before training and at each interval.
    """

    algo: RlAlgorithm
    agent: Agent
    sampler: BaseSampler
    n_steps: int  # environment steps; rounded up to whole iterations
    pause_steps: int | None = None  # end at the first log row from here on; resumed, it goes on
    seed: int = 0
    evaluator: Evaluator | None = None
    log_interval_steps: int | None = None  # None: a fiftieth of n_steps
    log_traj_window: int = 100  # episodes
    checkpoint_interval_steps: int | None = None  # None: with the log, as long as it costs < 2 %
    keep_checkpoints: int = 2  # the newest; the best stays too
    device: str = "auto"  # several processes: each takes its own, or one by name: "xpu:2,xpu:3"
    init_from: InitFrom | None = None  # parameters of another run's agent to start with
    torch_threads: int | None = 1  # small networks gain nothing from more; None: leave as it is
    cum_steps: int = field(init=False, repr=False, compare=False, default=0)  # so far, in all ranks

    @property
    @abstractmethod
    def steps_per_itr(self) -> int:
        """Environment steps of one iteration, over all processes that learn together."""

    @property
    def n_itr(self) -> int:
        """Iterations of the whole run: ``n_steps`` over those of one, rounded up."""
        return math.ceil(self.n_steps / self.steps_per_itr)

    @property
    def log_interval_itr(self) -> int:
        """Iterations from one row of the log to the next."""
        log_steps = self.log_interval_steps or max(1, self.n_steps // 50)
        return max(1, log_steps // self.steps_per_itr)

    @property
    def last_itr(self) -> int:
        """Iterations until the run ends or pauses. Schedules are those of the whole run, and it
        pauses where it logs anyway: resumed, it is what it would have been without the pause.
        """
        if self.pause_steps is None:
            return self.n_itr
        itr = math.ceil(self.pause_steps / self.steps_per_itr)
        rows = math.ceil(itr / self.log_interval_itr)
        return min(self.n_itr, rows * self.log_interval_itr)

    @abstractmethod
    def train(self, logger: Logger | None = None, *, resume: bool = False) -> None:
        """Run to the end, to ``pause_steps``, or until SIGINT or SIGTERM: then finish the
        iteration, save, and exit with 130 or 143.

        Args:
            logger: where rows, text and checkpoints go; None: nowhere.
            resume: continue from the newest checkpoint in the logger's directory, as if never
            interrupted.

        Raises:
            RlpytError: for settings that do not fit, a broken environment, a directory in use.
        """

    def check(self) -> None:
        """Raise for numbers that no run can have."""
        numbers = {
            "n_steps": self.n_steps,
            "pause_steps": self.pause_steps,
            "sampler.batch_T": self.sampler.batch_T,
            "sampler.batch_B": self.sampler.batch_B,
            "log_interval_steps": self.log_interval_steps,
            "log_traj_window": self.log_traj_window,
            "checkpoint_interval_steps": self.checkpoint_interval_steps,
            "keep_checkpoints": self.keep_checkpoints,
            "torch_threads": self.torch_threads,
        }
        for name, number in numbers.items():
            if number is not None and number < 1:
                raise RlpytError("config", f"{name}={number}", hint="use 1 or more")
        if not isinstance(self.seed, int) or self.seed < 0:
            hint = "use a whole number, 0 or more; rlpyt.utils.seed.make_seed() draws one"
            raise RlpytError("config", f"seed={self.seed}", hint=hint)
