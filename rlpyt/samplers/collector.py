"""The one agent-environment loop: an actor and a vector environment write a batch of Samples."""

from dataclasses import replace
from typing import Any, final

import numpy as np
import torch

from rlpyt.agents.base import Actor
from rlpyt.data import Samples, TrajInfo
from rlpyt.envs.vector import VectorEnv
from rlpyt.samplers.buffer import Row, SampleBuffer
from rlpyt.utils.buffer import buffer_map, leaves

__all__ = ["Collector"]


@final
class Collector:
    """Steps a vector environment with an actor and writes ``[T, B]`` samples into a buffer
    allocated once.

    With ``mid_batch_reset`` an episode's end is followed by the next episode's start in the same
    batch. Without, the environment waits: the rest of its column is not ``valid``, and it is reset
    before the next batch, so that every sequence is one episode's.
    """

    def __init__(
        self,
        env: VectorEnv,
        actor: Actor,
        batch_T: int,
        *,
        mid_batch_reset: bool = True,
        bootstrap_value: bool = False,
        traj_info: TrajInfo | None = None,
        poison: bool = False,
        info_example: Any = None,
    ) -> None:
        """Allocate the buffer of ``batch_T`` steps; ``reset`` or ``load_state_dict`` comes next."""
        self.env = env
        self.actor = actor
        self.batch_T = batch_T
        self.B = env.n_envs
        self._mid_batch_reset = mid_batch_reset
        self._bootstrap = bootstrap_value
        self._template = traj_info or TrajInfo()
        self._buffer = SampleBuffer(
            env,
            actor,
            batch_T,
            bootstrap_value=bootstrap_value,
            with_valid=env.invalid_steps or not mid_batch_reset,
            poison=poison,
            info_example=info_example,
        )
        self._trajs = [self._new_traj(b) for b in range(self.B)]

    def _new_traj(self, b: int) -> TrajInfo:
        discount, index = self._template.discount, self.actor.env_indices[b]
        return type(self._template)(discount=discount, env_index=index)

    def reset(self, *, first_episode: int = 0, max_decorrelation_steps: int = 0) -> None:
        """Start an episode in every environment; optionally take random steps, so that episodes do
        not end together.
        """
        self._buffer.clear_carry()
        observation = buffer_map(lambda leaf: leaf[self.batch_T], self._buffer.observation_np)
        self.env.reset(observation, first_episode=first_episode)
        self.env.decorrelate(max_decorrelation_steps, observation)
        self._trajs = [self._new_traj(b) for b in range(self.B)]

    @torch.inference_mode()
    def collect(self) -> tuple[Samples, list[TrajInfo]]:
        """Take ``batch_T`` steps in each environment.

        Returns:
            The samples, [T, B]: views of the one buffer, overwritten by the next call. And the
            finished episodes.
        """
        buffer, actor, env = self._buffer, self.actor, self.env
        buffer.carry_over()
        if not self._mid_batch_reset:
            buffer.reset_np[0] |= env.reset_idle(buffer.rows[0].observation_np)
        actor.begin_batch(self.batch_T)
        for row in buffer.rows:
            step = actor(row.inputs)
            for destination, leaf in zip(row.agent_leaves, leaves(step), strict=True):
                destination.copy_(leaf)
            valid = env.step(row.action_np, row.env_step)
            np.logical_or(row.env_step.terminated, row.env_step.truncated, out=row.next_reset_np)
            if valid is not None:
                row.valid_np[:] = valid
                np.logical_or(row.next_reset_np, ~valid, out=row.next_reset_np)
            if self._bootstrap and (row.last or True in row.env_step.truncated.tolist()):
                self._write_bootstrap(row)
        actor.agent.finish(buffer.samples)
        return buffer.samples, self._finish_trajectories()

    def _write_bootstrap(self, row: Row) -> None:
        """V of the true next observation, for all B at once: a fixed batch shape gives the same
        sums in every sampler.
        """
        cut = torch.from_numpy(row.env_step.truncated)
        observation = buffer_map(
            lambda last, following: torch.where(
                cut.reshape(-1, *[1] * (last.dim() - 1)), last, following
            ),
            row.final_observation,
            row.next_inputs.observation,
        )
        value = self.actor.value(row.next_inputs._replace(observation=observation, reset=row.never))
        wanted = torch.ones_like(cut) if row.last else cut
        row.bootstrap.copy_(torch.where(wanted, value, 0.0))

    def _finish_trajectories(self) -> list[TrajInfo]:
        buffer = self._buffer
        samples = buffer.samples_np
        done = samples.terminated | samples.truncated
        finished: list[tuple[int, TrajInfo]] = []
        for b in range(self.B):
            start = self._first_valid(b, 0)
            for end in np.flatnonzero(done[:, b]).tolist():
                if end < start:
                    continue
                self._trajs[b].extend(samples[start : end + 1, b])
                finished.append((end, self._trajs[b]))
                self._trajs[b] = self._new_traj(b)
                start = self._first_valid(b, end + 1)
            if start < self.batch_T:
                self._trajs[b].extend(samples[start:, b])
        finished.sort(key=lambda item: item[0])
        return [traj for _end, traj in finished]

    def _first_valid(self, b: int, start: int) -> int:
        valid = self._buffer.samples_np.valid
        while valid is not None and start < self.batch_T and not valid[start, b]:
            start += 1
        return start

    def state_dict(self) -> dict[str, Any]:
        """Where the next batch starts: environments, actor, last observation, action, reward, and
        open episodes.
        """
        T, buffer = self.batch_T, self._buffer
        return {
            "env": self.env.state_dict(),
            "actor": self.actor.state_dict(),
            "observation": [leaf[T].copy() for leaf in leaves(buffer.observation_np)],
            "action": [leaf[T].clone() for leaf in leaves(buffer.action)],
            "reward": buffer.reward[T].clone(),
            "reset": buffer.reset_np[T].copy(),
            "trajs": [dict(vars(traj)) for traj in self._trajs],
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        T, buffer = self.batch_T, self._buffer
        self.actor.load_state_dict(state["actor"])
        for leaf, saved in zip(leaves(buffer.observation_np), state["observation"], strict=True):
            leaf[T] = saved
        for leaf, saved in zip(leaves(buffer.action), state["action"], strict=True):
            leaf[T] = saved
        buffer.reward[T] = state["reward"]
        buffer.reset_np[T] = state["reset"]
        last = buffer_map(lambda leaf: leaf[T], buffer.observation_np)
        self._trajs = [replace(self._template, **saved) for saved in state["trajs"]]
        if not self.env.load_state_dict(state["env"], last):  # new episodes instead
            buffer.reset_np[T] = True
            self._trajs = [self._new_traj(b) for b in range(self.B)]
