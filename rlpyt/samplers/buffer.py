"""The memory of one sampler batch, allocated once, with every view of it that the step loop needs
made ahead.
"""

from dataclasses import dataclass
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.agents.base import Actor
from rlpyt.data import AgentInputs, EnvStep, Samples
from rlpyt.envs.spaces import example_of
from rlpyt.envs.vector import VectorEnv
from rlpyt.utils.buffer import buffer_from_example, buffer_map, buffer_to, leaves, numpify_buffer

__all__ = ["Row", "SampleBuffer"]


@final
@dataclass(frozen=True)
class Row:
    """Views of one time step: slicing them ahead keeps indexing out of the hot loop."""

    last: bool  # the batch's last step
    inputs: AgentInputs  # torch, what the actor sees
    next_inputs: AgentInputs  # torch, the step after
    agent_leaves: list[Tensor]  # where action and agent_info go, leaf by leaf
    observation_np: Any  # the observation acted on
    action_np: Any  # the same action, as the environment reads it
    env_step: EnvStep  # numpy, where the environment writes
    final_observation: Any  # torch
    next_reset_np: np.ndarray[Any, Any]  # bool [B]
    never: Tensor  # bool [B], all false
    bootstrap: Tensor  # float32 [B]
    valid_np: np.ndarray[Any, Any]  # bool [B]


@final
class SampleBuffer:
    """``samples`` [T, B] and the views behind it.

    Observation, action, reward and reset have T + 1 rows: the last observation of a batch is the
    first of the next, and ``prev_action`` is ``action`` seen one row earlier.
    """

    def __init__(
        self,
        env: VectorEnv,
        actor: Actor,
        T: int,
        *,
        bootstrap_value: bool,
        with_valid: bool,
        poison: bool,
        info_example: Any,
    ) -> None:
        """Shape every leaf after the spaces of ``env`` and one step of ``actor``'s agent."""
        B = env.n_envs
        self.T = T
        observation = example_of(env.spaces.observation)
        self.observation = buffer_from_example(observation, (T + 1, B), poison=poison)
        self.action = buffer_from_example(example_of(env.spaces.action), (T + 1, B), poison=poison)
        self.reward = torch.zeros(T + 1, B)
        self.reset = torch.zeros(T + 1, B, dtype=torch.bool)
        never = torch.zeros(B, dtype=torch.bool)
        whole, acting = self._agent_examples(actor, never)
        agent_info = buffer_from_example(whole, (T,), poison=poison)
        self._written_acting = _only(acting, agent_info)
        bootstrap, valid = torch.zeros(T, B), torch.ones(T, B, dtype=torch.bool)
        self.samples = self._views(
            agent_info=agent_info,
            final_observation=buffer_from_example(observation, (T, B), poison=poison),
            env_info=buffer_from_example(info_example, (T, B)),
            bootstrap_value=bootstrap if bootstrap_value else None,
            valid=valid if with_valid else None,
        )
        self.observation_np = numpify_buffer(self.observation)
        self.reset_np = self.reset.numpy()
        self.samples_np: Samples = numpify_buffer(self.samples)
        self.rows = [self._row(t, never, bootstrap, valid) for t in range(T)]

    def _views(
        self,
        *,
        agent_info: Any,
        final_observation: Any,
        env_info: Any,
        bootstrap_value: Tensor | None,
        valid: Tensor | None,
    ) -> Samples:
        """The samples [T, B], sharing memory with the buffers of T + 1 rows."""
        T = self.T
        return Samples(
            observation=_rows(self.observation, 0, T),
            prev_action=_rows(self.action, 0, T),
            prev_reward=self.reward[:T],
            reset=self.reset[:T],
            action=_rows(self.action, 1, T + 1),
            agent_info=agent_info,
            reward=self.reward[1:],
            terminated=torch.zeros_like(self.reset[1:]),
            truncated=torch.zeros_like(self.reset[1:]),
            final_observation=final_observation,
            env_info=env_info,
            bootstrap_value=bootstrap_value,
            valid=valid,
        )

    def _agent_examples(self, actor: Actor, never: Tensor) -> tuple[Any, Any]:
        """The agent's info for one step from zeros, [B, ...], whole and as acting leaves it.

        Draws no random number.
        """
        device = actor.agent.device
        inputs: AgentInputs = buffer_to(self._inputs(0)._replace(reset=never), device)
        zeros = buffer_map(torch.zeros_like, inputs)
        noise = torch.zeros(actor.B, actor.agent.noise_size, device=device)
        if "action_mask" in getattr(inputs.observation, "_fields", ()):
            ones = torch.ones_like(zeros.observation.action_mask)
            zeros = zeros._replace(observation=zeros.observation._replace(action_mask=ones))
        agent, state = actor.agent, actor.agent.initial_state(actor.B)
        with torch.inference_mode():
            whole, _state = agent.step(zeros, state, noise)
            acting, _state = agent.act(zeros, state, noise)
        return buffer_map(lambda leaf: leaf.cpu(), whole.agent_info), acting.agent_info

    def _inputs(self, t: int) -> AgentInputs:
        return AgentInputs(
            _row(self.observation, t), _row(self.action, t), self.reward[t], self.reset[t]
        )

    def _row(self, t: int, never: Tensor, bootstrap: Tensor, valid: Tensor) -> Row:
        samples = self.samples
        return Row(
            last=t == self.T - 1,
            inputs=self._inputs(t),
            next_inputs=self._inputs(t + 1),
            agent_leaves=leaves(_row(samples.action, t)) + leaves(_row(self._written_acting, t)),
            observation_np=_row(self.observation_np, t),
            action_np=numpify_buffer(_row(samples.action, t)),
            env_step=numpify_buffer(
                EnvStep(
                    _row(self.observation, t + 1),
                    samples.reward[t],
                    samples.terminated[t],
                    samples.truncated[t],
                    _row(samples.final_observation, t),
                    _row(samples.env_info, t),
                )
            ),
            final_observation=_row(samples.final_observation, t),
            next_reset_np=self.reset_np[t + 1],
            never=never,
            bootstrap=bootstrap[t],
            valid_np=valid[t].numpy(),
        )

    def clear_carry(self) -> None:
        """Before the first batch: nothing came before, every environment starts an episode."""
        for leaf in (*leaves(self.action), self.reward):
            leaf[self.T].zero_()
        self.reset[self.T] = True

    def carry_over(self) -> None:
        """The last row becomes the first; what is written only now and then is cleared."""
        for leaf in (*leaves(self.observation), *leaves(self.action), self.reward, self.reset):
            leaf[0].copy_(leaf[self.T])
        if self.samples.bootstrap_value is not None:
            self.samples.bootstrap_value.zero_()
        if self.samples.valid is not None:
            self.samples.valid.fill_(True)


def _only(pattern: Any, tree: Any) -> Any:
    """``tree`` without what is ``None`` in ``pattern``."""
    if pattern is None or not isinstance(pattern, tuple):
        return None if pattern is None else tree
    parts = [_only(child, node) for child, node in zip(pattern, tree, strict=True)]
    return type(tree)(*parts)


def _rows(tree: Any, start: int, stop: int) -> Any:
    return buffer_map(lambda leaf: leaf[start:stop], tree)


def _row(tree: Any, t: int) -> Any:
    return buffer_map(lambda leaf: leaf[t], tree)
