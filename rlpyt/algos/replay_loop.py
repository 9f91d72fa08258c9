"""What off-policy learning does around its gradient steps: keep what was sampled, and hand out the
batches that are due, exactly as many as the replay ratio asks for.
"""

from collections.abc import Iterator
from fractions import Fraction
from typing import Any, NamedTuple, Protocol, final

from rlpyt.agents.arms import ArmAgent
from rlpyt.agents.base import Agent
from rlpyt.agents.dqn import DqnAgent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.algos.intrinsic import IntrinsicRewards
from rlpyt.data import BatchSpec, EnvSpaces, OptInfo, Samples
from rlpyt.replays.batches import ReplaySamples, ReplaySequences
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.utils.buffer import buffer_map
from rlpyt.utils.seed import Stream, generator
from rlpyt.utils.world import World

__all__ = [
    "LOOP_RANGES",
    "LearningAgent",
    "LoopSettings",
    "ReplayLoop",
    "UpdateCount",
    "keeps_learned_reward",
    "recorded_state",
]

LOOP_RANGES = {
    "batch_size": (1, float("inf")),
    "min_steps_learn": (0, float("inf")),
    "replay_ratio": (0.0, float("inf")),
}
"""Ranges of the fields of an algorithm that a :class:`ReplayLoop` reads, ends included."""


class UpdateCount(NamedTuple):
    """How many gradient steps are due after each iteration, without drift over a run."""

    per_itr: Fraction
    first_itr: int  # the first iteration that learns

    def due(self, itr: int) -> int:
        """Gradient steps after iteration ``itr``."""
        n = itr - self.first_itr
        return 0 if n < 0 else int((n + 1) * self.per_itr) - int(n * self.per_itr)


LearningAgent = ArmAgent | DqnAgent | QpgAgent
"""What can be learned from a replay."""


class LoopSettings(Protocol):
    """The fields of an algorithm that are read here."""

    replay: ReplayBuffer
    discount: float
    batch_size: int
    min_steps_learn: int
    replay_ratio: float

    @property
    def intrinsic(self) -> IntrinsicRewards | None:
        """Added to the environment's rewards."""


@final
class ReplayLoop:
    """A replay, and when to learn from it."""

    def __init__(
        self,
        algo: LoopSettings,
        agent: LearningAgent,
        batch_spec: BatchSpec,
        *,
        seed: int,
        world: World,
        spaces: EnvSpaces | None = None,
    ) -> None:
        """Allocate the replay of ``algo`` for what ``agent`` records, with observations of
        ``spaces``, by default those of its environment. Batches of ``batch_size`` transitions or
        sequences, ``replay_ratio`` transitions learned from for each environment step, none before
        ``min_steps_learn`` of them, over all processes.
        """
        self.replay = replay = algo.replay
        replay.initialize(
            spaces or agent.env_spaces,
            B=batch_spec.B,
            T=batch_spec.T,
            discount=algo.discount,
            rng=generator(seed, Stream.ALGO, 1, *world.keys),
            device=agent.device,
            n_ranks=world.size,
            prev_rnn_state=recorded_state(agent),
            learned_reward=keeps_learned_reward(algo),
        )
        self.batch_size = algo.batch_size
        ratio = Fraction(algo.replay_ratio).limit_denominator(1_000_000)
        learned = algo.batch_size * (replay.sequence_length or 1)
        self._delay = max(0, -(-algo.min_steps_learn // (batch_spec.size * world.size)) - 1)
        self._count = UpdateCount(ratio * batch_spec.size / learned, self._delay)
        self._next_itr = 0
        self._intrinsic = algo.intrinsic
        if algo.intrinsic is not None:
            algo.intrinsic.initialize(
                agent.env_spaces,
                batch_spec,
                seed=seed,
                device=agent.device,
                world=world,
                from_replay=_of_one_step(replay),
            )

    @property
    def updates_per_itr(self) -> int:
        """Gradient steps, on average, at least one."""
        return max(1, round(self._count.per_itr))

    @property
    def samples_per_itr(self) -> int:
        """Transitions learned from."""
        return self.updates_per_itr * self.batch_size * (self.replay.sequence_length or 1)

    def batches(self, itr: int, samples: Samples) -> Iterator[Any]:
        """Append the batch [T, B] of iteration ``itr``; then a batch of the replay for each
        gradient step that is due, drawn when it is asked for.
        """
        intrinsic, learned = self._intrinsic, None
        if intrinsic is not None:
            intrinsic.begin(itr)
            if not intrinsic.at_sampling:
                learned = intrinsic.added(samples, samples.reward)
        self.replay.append(samples, learned_reward=learned)
        self._next_itr = itr + 1
        for _ in range(self._count.due(itr)):
            batch: Any = self._sample()
            if intrinsic is not None and intrinsic.at_sampling:
                batch = intrinsic.added_to(batch)
            yield batch

    def report(self) -> OptInfo:
        """Of intrinsic rewards, in the iteration that ended; nothing without."""
        return {} if self._intrinsic is None else self._intrinsic.report()

    def _sample(self) -> ReplaySamples | ReplaySequences:
        if self.replay.sequence_length is None:
            return self.replay.sample(self.batch_size)
        return self.replay.sample_sequences(self.batch_size)

    def state_dict(self) -> dict[str, Any]:
        """The replay, and where the count stands."""
        return {
            "replay": self.replay.state_dict(),
            "next_itr": self._next_itr,
            "first_itr": self._count.first_itr,
            "intrinsic": None if self._intrinsic is None else self._intrinsic.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``; without its replay, fill a new one before learning on."""
        self.replay.load_state_dict(state["replay"])
        self._next_itr = state["next_itr"]
        if self._intrinsic is not None:
            self._intrinsic.load_state_dict(state["intrinsic"])
        first_itr = state["first_itr"]
        if self.replay.n_stored == 0:
            first_itr = self._next_itr + self._delay
        self._count = self._count._replace(first_itr=first_itr)


def keeps_learned_reward(algo: LoopSettings) -> bool:
    """Whether the replay of ``algo`` is given rewards to learn from, beside the environment's."""
    intrinsic = algo.intrinsic
    return intrinsic is not None and not intrinsic.decided_at_sampling(_of_one_step(algo.replay))


def _of_one_step(replay: ReplayBuffer) -> bool:
    return replay.sequence_length is None and replay.n_step_return == 1


def recorded_state(agent: Agent) -> Any:
    """One environment's recurrent state, on the host, as the replay keeps it; None where the agent
    has none.
    """
    state = agent.initial_state(1)
    return buffer_map(lambda leaf: leaf[0].cpu(), state) if len(state) else None
