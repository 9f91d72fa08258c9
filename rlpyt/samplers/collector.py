"""The one agent-environment loop: it writes a batch of Samples."""

import time
from abc import ABC, abstractmethod
from typing import Any, final

import numpy as np
import torch

from rlpyt.data import Samples, TrajInfo
from rlpyt.envs.vector import VectorEnv
from rlpyt.samplers.acting import Acting
from rlpyt.samplers.buffer import SampleBuffer
from rlpyt.samplers.meter import Meter, SamplerTimes
from rlpyt.samplers.trajectories import FinishedTraj, TrajTracker
from rlpyt.utils.buffer import buffer_map, leaves

__all__ = ["BatchCollector", "Collector"]


class BatchCollector(ABC):
    """Gives batches [T, B] of one set of environments, stepped here or in other processes."""

    @abstractmethod
    def reset(
        self,
        *,
        first_episode: int = 0,
        max_decorrelation_steps: int = 0,
        keys: tuple[int, ...] = (),
    ) -> None:
        """Start an episode in every environment, numbered ``first_episode``; optionally take random
        steps, so that episodes do not end together. ``keys`` choose the streams of the actions.
        """

    @abstractmethod
    def collect(self, steps: int | None = None) -> tuple[Samples, list[TrajInfo]]:
        """Take T steps in each environment, after ``steps`` steps of the run in all of them;
        ``None`` in an evaluation.

        Returns:
            The samples, [T, B]: views of one buffer, overwritten by the next call. And the
            finished episodes.
        """

    @property
    @abstractmethod
    def samples(self) -> Samples:
        """The memory of the batch, [T, B]."""

    @abstractmethod
    def times(self) -> SamplerTimes:
        """Where the seconds went."""

    @abstractmethod
    def state_dict(self) -> dict[str, Any]:
        """Where the next batch starts: the same whatever process holds which environment."""

    @abstractmethod
    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""

    @abstractmethod
    def close(self) -> None:
        """Close the environments."""


@final
class Collector(BatchCollector):
    """Steps a vector environment, ``acting`` choosing the actions, and writes into a buffer
    allocated once.

    With ``mid_batch_reset`` an episode's end is followed by the next episode's start in the same
    batch. Without, the environment waits: the rest of its column is not ``valid``, and it is reset
    before the next batch, so that every sequence is one episode's.
    """

    def __init__(
        self,
        env: VectorEnv,
        acting: Acting,
        buffer: SampleBuffer,
        tracker: TrajTracker | None,
        *,
        mid_batch_reset: bool = True,
        meter: Meter | None = None,
    ) -> None:
        """Without a ``tracker`` no episodes are told. ``reset`` or ``load_state_dict`` is next."""
        self.env = env
        self.acting = acting
        self.buffer = buffer
        self.meter = meter or Meter()
        self._tracker = tracker
        self._mid_batch_reset = mid_batch_reset
        self._closed = False

    def reset(
        self,
        *,
        first_episode: int = 0,
        max_decorrelation_steps: int = 0,
        keys: tuple[int, ...] = (),
        row: int | None = None,
    ) -> None:
        """As :class:`BatchCollector`; the first observations stand in row ``row`` of the batch, by
        default behind its end, from where the next batch takes them.
        """
        at = self.buffer.T if row is None else row
        if row is None:
            self.buffer.clear_carry()
        self.buffer.arrays.reset[at] = True
        observation = self._observation(at)
        self.env.reset(observation, first_episode=first_episode)
        self.env.decorrelate(max_decorrelation_steps, observation)
        if self._tracker is not None:
            self._tracker.reset()
        self.acting.reset(keys)

    def collect(self, steps: int | None = None) -> tuple[Samples, list[TrajInfo]]:
        """As :class:`BatchCollector`."""
        return self.buffer.samples, [traj for _end, traj in self.run(steps=steps)]

    @torch.inference_mode()
    def run(self, start: int = 0, *, steps: int | None = None) -> list[FinishedTraj]:
        """Fill the batch from row ``start`` on; the episodes that ended there, in order."""
        buffer, acting, env, taken = self.buffer, self.acting, self.env, self.meter.steps
        counts = self.meter.counts
        if start == 0:
            buffer.carry_over()
            if not self._mid_batch_reset:
                buffer.reset_np[0] |= env.reset_idle(buffer.rows[0].observation_np)
        clock, act_seconds, env_seconds = time.perf_counter, 0.0, 0.0
        stepped = clock()
        acting.begin(steps)
        for row in buffer.rows[start:]:
            acting.act(row.t)
            acted = clock()
            act_seconds += acted - stepped
            valid = env.step(row.action_np, row.env_step)
            np.logical_or(row.env_step.terminated, row.env_step.truncated, out=row.next_reset_np)
            if valid is not None and row.valid_np is not None:
                row.valid_np[:] = valid
                np.logical_or(row.next_reset_np, ~valid, out=row.next_reset_np)
            stepped = clock()
            env_seconds += stepped - acted
            acting.stepped(row.t)
            taken += 1
            counts[0] = taken
        acting.finish()
        buffer.keep_following()
        self.meter.spent(act=act_seconds + clock() - stepped, env=env_seconds)
        return [] if self._tracker is None else self._tracker.finish(buffer.samples_np, start)

    @property
    def samples(self) -> Samples:
        """As :class:`BatchCollector`."""
        return self.buffer.samples

    def times(self) -> SamplerTimes:
        """All in this process."""
        transfer = self.acting.transfer_seconds
        return SamplerTimes(act=self.meter.act - transfer, transfer=transfer, env=self.meter.env)

    def _observation(self, row: int) -> Any:
        return buffer_map(lambda leaf: leaf[row], self.buffer.observation_np)

    def state_dict(self) -> dict[str, Any]:
        """Environments, actors, last observation, action, reward, and open episodes."""
        T, arrays = self.buffer.T, self.buffer.arrays
        return {
            "env": self.env.state_dict(),
            "actor": self.acting.state_dict(),
            "observation": _last(arrays.observation, T),
            "action": _last(arrays.action, T),
            "reward": arrays.reward[T].clone(),
            "reset": arrays.reset[T].clone(),
            "trajs": [] if self._tracker is None else self._tracker.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        T, arrays = self.buffer.T, self.buffer.arrays
        self.acting.load_state_dict(state["actor"])
        for tree, name in ((arrays.observation, "observation"), (arrays.action, "action")):
            for leaf, saved in zip(leaves(tree), state[name].values(), strict=True):
                leaf[T] = saved
        arrays.reward[T] = state["reward"]
        arrays.reset[T] = state["reset"]
        goes_on = self.env.load_state_dict(state["env"], self._observation(T))
        if not goes_on:  # new episodes instead
            arrays.reset[T] = True
        if self._tracker is not None:
            self._tracker.load_state_dict(state["trajs"])
            if not goes_on:
                self._tracker.reset()

    def close(self) -> None:
        """Close the environments."""
        if not self._closed:
            self._closed = True
            self.env.close()


def _last(tree: Any, T: int) -> dict[str, Any]:
    """The leaves of row T, copied."""
    return {str(i): leaf[T].clone() for i, leaf in enumerate(leaves(tree))}
