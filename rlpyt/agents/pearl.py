"""The agent of PEARL: a policy for any task, told by a latent z what it believes about this one.

Rakelly et al. 2019, "Efficient Off-Policy Meta-Reinforcement Learning via Probabilistic Context
Variables" (arXiv:1903.08254).
"""

from dataclasses import dataclass, field
from typing import Any, final

import numpy as np
import torch
from gymnasium import Space, spaces
from torch import Tensor

from rlpyt.agents.base import Agent, Exploration
from rlpyt.agents.qpg import QpgAgent
from rlpyt.data import AgentInputs, AgentStep, EnvSpaces, NoState, Samples
from rlpyt.envs.context_trials import Draw
from rlpyt.models.context import Context, ContextEncoder
from rlpyt.ops.posterior import Evidence, sample_gaussians
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.collections import NamedArrayTuple
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import seeded_init

__all__ = ["Conditioned", "PearlAgent", "PearlInfo", "PearlState", "trial_spaces"]


class Conditioned(NamedArrayTuple):
    """What policy and critics see."""

    observation: Any  # tree [..., *shape], of the environment
    latent: Tensor  # z, [..., latent_size]


class PearlState(NamedArrayTuple):
    """What an agent knows in B trials; zeros where one begins."""

    evidence: Evidence  # Σ over the context so far, [B, latent_size]
    latent: Tensor  # z, [B, latent_size]


class PearlInfo(NamedArrayTuple):
    """What is recorded of each step."""

    latent: Tensor  # z that the action was taken with, [..., latent_size]


@final
@dataclass(kw_only=True)
class PearlAgent(Agent):
    """Acts in :class:`~rlpyt.envs.context_trials.ContextTrials` by π(a|s, z).

    Each transition of the context adds what it says to the belief q(z|c), a product of Gaussians,
    of which the state keeps the sums. Where a trajectory begins, z is drawn, from the prior or the
    belief, as the trial says, and stays to its end.

    ==========  =======================  ==========================
    when        z                        action
    ==========  =======================  ==========================
    training    drawn                    drawn
    evaluation  drawn                    the policy's mode
    greedy      the mean                 the policy's mode
    ==========  =======================  ==========================

    To judge it as the paper does, evaluate with ``Evaluator(greedy=False)``: without the noise in
    z it cannot explore. Beliefs are by the encoder as it was when a transition was seen: it learns
    between batches, so let trials end with them, or expect sums of older and newer ones.
    """

    policy: QpgAgent = field(
        default_factory=lambda: QpgAgent(model_kwargs={"hidden_sizes": (300, 300, 300)})
    )
    latent_size: int = 5
    encoder_kwargs: dict[str, Any] = field(default_factory=dict)  # of ContextEncoder.from_spaces
    encoder: ContextEncoder = field(init=False, repr=False, compare=False)
    env_spaces: EnvSpaces = field(init=False, repr=False, compare=False)

    def initialize(self, env_spaces: EnvSpaces, *, seed: int, device: torch.device) -> None:
        """Build policy and encoder for the ``observation`` within ``env_spaces``, which are those
        of trials.

        Raises:
            RlpytError: ``space``, for another environment than trials; ``config``, for a policy
                that is not Gaussian, or an encoder that cannot be built.
        """
        if self.policy.policy != "gaussian":
            what = f"agent.policy.policy={self.policy.policy!r}"
            raise RlpytError("config", what, hint="PEARL learns a 'gaussian' policy")
        self.env_spaces = env_spaces
        observation, action = trial_spaces(env_spaces.observation), env_spaces.action
        build = ContextEncoder.from_spaces
        kwargs = checked_arguments(
            build,
            self.encoder_kwargs,
            "agent.encoder_kwargs",
            positional=2,
            given={"latent_size": "agent.latent_size"},
        )
        with seeded_init(seed):
            encoder = build(observation, action, latent_size=self.latent_size, **kwargs)
        self.encoder = encoder.to(device)
        latent = spaces.Box(-np.inf, np.inf, (self.latent_size,), np.float32)
        conditioned = spaces.Dict({"observation": observation, "latent": latent})
        self.policy.initialize(EnvSpaces(conditioned, action), seed=seed, device=device)

    @property
    def device(self) -> torch.device:
        """Where the networks are."""
        return self.policy.device

    @property
    def noise_size(self) -> int:
        """Numbers for z, and those of the policy."""
        return self.latent_size + self.policy.noise_size

    def draw_noise(
        self, rng: np.random.Generator, leading: tuple[int, ...], where: Exploration
    ) -> np.ndarray[Any, Any]:
        """Standard normal numbers for z and for the action, [*leading, noise_size] float32; zeros
        for the action in an evaluation. However the steps are cut into batches, they are the same.
        """
        n_latent = self.latent_size
        noise = np.zeros((*leading, self.noise_size), dtype=np.float32)
        size = n_latent + self.policy.action_size
        normal = rng.standard_normal((*leading, size), dtype=np.float32)
        noise[..., :n_latent] = normal[..., :n_latent]
        if where.steps is not None:  # behind the policy's first number: its action is not random
            noise[..., n_latent + 1 :] = normal[..., n_latent:]
        return noise

    def initial_state(self, B: int) -> PearlState:
        """No evidence."""
        zeros = torch.zeros(B, self.latent_size, device=self.device)
        return PearlState(Evidence(zeros, zeros.clone()), zeros.clone())

    def step(
        self, inputs: AgentInputs, state: PearlState, noise: Tensor | None
    ) -> tuple[AgentStep, PearlState]:
        """Take in the transition that led here; draw z where it is time; act."""
        seen, n_latent = inputs.observation, self.latent_size
        evidence = self._with_last(state.evidence, seen)
        latent = self._drawn(evidence, state.latent, seen.draw, noise)
        conditioned = Conditioned(seen.observation, latent)
        step, _state = self.policy.step(
            inputs._replace(observation=conditioned),
            NoState(),
            None if noise is None else noise[:, n_latent:],
        )
        return AgentStep(step.action, PearlInfo(latent)), PearlState(evidence, latent)

    def _with_last(self, before: Evidence, seen: Any) -> Evidence:
        last = seen.last
        context = Context(last.observation, last.action, last.context_reward, last.next_observation)
        found = self.encoder.evidence(context)
        counts = (seen.in_context > 0).unsqueeze(-1)
        return Evidence(
            *(
                old + torch.where(counts, new, torch.zeros_like(new))
                for old, new in zip(before, found, strict=True)
            )
        )

    def _drawn(
        self, evidence: Evidence, before: Tensor, draw: Tensor, noise: Tensor | None
    ) -> Tensor:
        """z: as before, or from the prior, or from the belief."""
        if not draw.any():  # in the middle of trajectories, which is most of the time
            return before
        draw = draw.unsqueeze(-1)
        known = torch.where(draw == Draw.POSTERIOR, torch.ones_like(before), 0.0)
        belief = self.encoder.belief(Evidence(*(known * part for part in evidence)))
        latent = belief.mean
        if noise is not None:
            latent = sample_gaussians(belief, noise[:, : self.latent_size])
        return torch.where(draw == Draw.KEEP, before, latent)

    def act(
        self, inputs: AgentInputs, state: PearlState, noise: Tensor | None
    ) -> tuple[AgentStep, PearlState]:
        """As ``step``: nothing can wait."""
        return self.step(inputs, state, noise)

    def finish(self, samples: Samples) -> None:
        """Nothing was left out."""

    def value(self, inputs: AgentInputs, state: Any) -> Tensor:
        """There is none: critics belong to the algorithm."""
        raise NotImplementedError

    def state_dict(self) -> dict[str, Any]:
        """Parameters and buffers."""
        return {"policy": self.policy.state_dict(), "encoder": self.encoder.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Take parameters and buffers."""
        self.policy.load_state_dict(state["policy"])
        self.encoder.load_state_dict(state["encoder"])


def trial_spaces(observation_space: Space[Any]) -> Space[Any]:
    """What is observed within trials, whose observations are of ``observation_space``.

    Raises:
        RlpytError: ``space``, for another environment than trials.
    """
    fields = observation_space.spaces if isinstance(observation_space, spaces.Dict) else {}
    if not {"observation", "last", "in_context", "draw", "task"} <= fields.keys():
        what = f"PEARL acts in trials, found observations of {observation_space}"
        hint = "use env='rlpyt.envs.adaptation:training_trials', or wrap it with ContextTrials"
        raise RlpytError("space", what, hint=hint)
    return fields["observation"]
