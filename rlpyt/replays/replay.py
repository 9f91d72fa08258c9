"""ReplayBuffer: past steps, appended batch by batch, sampled as transitions or as sequences."""

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, final

import numpy as np
import torch
from torch import Tensor

from rlpyt.data import EnvSpaces, Samples
from rlpyt.replays.batches import ReplaySamples, ReplaySequences
from rlpyt.replays.contents import Contents
from rlpyt.replays.gather import Gatherer
from rlpyt.replays.memory import Array, ReplayMemory, forecast_bytes
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.ring import RingShape
from rlpyt.replays.sequences import SequenceShape
from rlpyt.replays.storage import ArrayStorage, Storage
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.seed import generator_state, load_generator_state

__all__ = ["ReplayBuffer"]


@final
@dataclass(kw_only=True)
class ReplayBuffer:
    """Keeps the last ``size`` transitions of B environments.

    Whatever is sampled has its whole n-step window, or sequence, in the buffer: none reaches over
    the newest row, over steps that are not ``valid``, or over an episode's end.
    """

    size: int = 1_000_000  # transitions, of all environments together
    # How observations are kept: ArrayStorage(), FrameStorage(n_frames=4).
    storage: Storage = field(default_factory=ArrayStorage)
    n_step_return: int = 1  # n
    # None: transitions. Otherwise sequences of this many steps to learn from.
    sequence_length: int | None = None
    burn_in: int = 0  # steps before them, that only warm up the recurrent state
    # Sequences start at rows that are this many apart, where recurrent states are kept.
    rnn_state_interval: int = 1
    prioritized: Prioritized | None = None  # None: sampled uniformly
    # A directory for a file that holds the data, where they are larger than memory.
    memory_map: Path | None = None
    share_memory: bool = False  # let other processes attach, by shared_fd
    # Whether checkpoints hold it. Without it a run cannot be resumed exactly.
    checkpointed: bool = True
    # Whether to resume from a checkpoint without replay, with an empty one.
    resume_empty: bool = field(default=False, metadata={"config": False})

    def forecast(
        self,
        spaces: EnvSpaces,
        *,
        B: int,
        prev_rnn_state: Any = None,
        learned_reward: bool = False,
    ) -> int:
        """Bytes that the buffer takes when it is full.

        To that comes, for each truncated episode that it holds, the final observation; and in
        FrameStorage, where a stack starts an episode from neither zeros nor its own frame repeated,
        the frames that it starts from.
        """
        contents = self._contents_for(spaces, B, prev_rnn_state, learned_reward)
        return forecast_bytes(contents.specs.values())

    def initialize(
        self,
        spaces: EnvSpaces,
        *,
        B: int,
        T: int,
        discount: float,
        rng: np.random.Generator,
        device: torch.device | None = None,
        prev_rnn_state: Any = None,
        learned_reward: bool = False,
        shared_fd: int | None = None,
        n_ranks: int = 1,
    ) -> None:
        """Allocate.

        Args:
            spaces: of one environment.
            B: environments.
            T: rows of one append, at most.
            discount: γ of the n-step returns.
            rng: draws what is sampled; its state is part of the buffer's.
            device: where batches go, by default the CPU.
            prev_rnn_state: an example of one environment's, a tree [...], to be kept for sequences.
            learned_reward: returns are of rewards that :meth:`append` is given beside the
                environment's, which the networks are told of as the previous ones.
            shared_fd: attach to another process's buffer of the same settings instead. Whoever
                appends, samples or updates priorities then holds a lock of the caller's.
            n_ranks: replays that fill together; schedules count the steps of all.

        Raises:
            RlpytError: ``memory``, with the numbers, where the forecast exceeds what is free;
                ``config``, for settings that do not go together.
        """
        contents = self._contents_for(spaces, B, prev_rnn_state, learned_reward)
        shape = contents.ring.shape
        least = max(T, shape.lead + shape.span + shape.interval)
        if shape.capacity < least:
            what = f"size={self.size} is {shape.capacity} rows of {B} environments; {least} needed"
            raise RlpytError("config", what, where="ReplayBuffer", hint=f"size={least * B}")
        self._memory = ReplayMemory(
            contents.specs, share=self.share_memory, directory=self.memory_map, fd=shared_fd
        )
        contents.bind(self._memory.arrays)
        self._contents = contents
        self._gatherer = Gatherer(contents, discount, device or torch.device("cpu"))
        self._rng, self._n_ranks = rng, n_ranks

    def _contents_for(
        self, spaces: EnvSpaces, B: int, prev_rnn_state: Any, learned_reward: bool
    ) -> Contents:
        self._check()
        shape = RingShape(
            capacity=-(-self.size // B),
            B=B,
            history=max(1, self.storage.history),  # 1 for the previous action
            span=self.n_step_return + (self.sequence_length or 1) - 1,
            lead=self.burn_in,
            interval=self.rnn_state_interval,
        )
        return Contents(
            shape,
            spaces,
            self.storage,
            prev_rnn_state=prev_rnn_state,
            prioritized=self.prioritized,
            sequence=self._sequence_shape(),
            learned_reward=learned_reward,
        )

    def _sequence_shape(self) -> SequenceShape | None:
        if self.sequence_length is None:
            return None
        return SequenceShape(self.burn_in, self.sequence_length, self.n_step_return)

    def _check(self) -> None:
        _at_least("size", self.size, 1)
        _at_least("n_step_return", self.n_step_return, 1)
        _at_least("burn_in", self.burn_in, 0)
        _at_least("rnn_state_interval", self.rnn_state_interval, 1)
        if self.sequence_length is not None:
            _at_least("sequence_length", self.sequence_length, 1)
        elif self.burn_in or self.rnn_state_interval != 1:
            what = "burn_in and rnn_state_interval are for sequences"
            raise RlpytError("config", what, where="ReplayBuffer", hint="set sequence_length")
        if self.prioritized is not None:
            self.prioritized.check()

    @property
    def priority_eta(self) -> float:
        """η of sequences' priorities; where nothing is prioritised, and it is only logged, 0.9."""
        return Prioritized().eta if self.prioritized is None else self.prioritized.eta

    @property
    def n_stored(self) -> int:
        """Transitions held, also those that are not ``valid``."""
        return self._contents.ring.n_rows * self._contents.ring.shape.B

    @property
    def n_sampleable(self) -> int:
        """Transitions, or sequences, of which a sample is drawn now."""
        self._contents.settle()
        return self._contents.ring.n_starts

    @property
    def n_final(self) -> int:
        """Final observations held."""
        return self._contents.store.n_final

    @property
    def shared_fd(self) -> int:
        """The descriptor by which other processes attach, with ``share_memory``."""
        return self._memory.fd

    def __len__(self) -> int:
        return self.n_stored

    def append(
        self,
        samples: Samples,
        priorities: Tensor | None = None,
        learned_reward: Tensor | None = None,
    ) -> None:
        """Take in ``samples`` [T, B], the rows that follow those of the append before; they are
        copied.

        ``priorities`` are |δ| of its steps, [T, B], with ``Prioritized.initial_priorities``;
        ``learned_reward`` [T, B] is what returns are of, where it was initialized so.

        Raises:
            RlpytError: ``replay``, for samples that do not fit.
        """
        self._contents.append(
            samples,
            None if priorities is None else _array(priorities),
            None if learned_reward is None else _array(learned_reward),
        )

    def sample(self, batch_size: int) -> ReplaySamples:
        """``batch_size`` transitions, on the device; stacks of frames share memory.

        Raises:
            RlpytError: ``replay``, where nothing can be sampled, or this buffer has sequences.
        """
        if self.sequence_length is not None:
            raise RlpytError("replay", "this replay has sequences", hint="call sample_sequences")
        return self._gatherer.transitions(*self._draw(batch_size), self.n_step_return)

    def sample_sequences(self, batch_size: int) -> ReplaySequences:
        """``batch_size`` sequences, on the device.

        Raises:
            RlpytError: ``replay``, where nothing can be sampled, or this buffer has transitions.
        """
        sequence = self._sequence_shape()
        if sequence is None:
            raise RlpytError("replay", "this replay has transitions", hint="call sample")
        return self._gatherer.sequences(*self._draw(batch_size), sequence)

    def _draw(self, n: int) -> tuple[Array, Array | None]:
        """Absolute indices of ``n`` starts, and their importance weights."""
        contents = self._contents
        contents.settle()
        if contents.priorities is None:
            return contents.ring.draw(n, self._rng), None
        return contents.priorities.draw(n, self._rng, self._n_ranks)

    def update_priorities(self, indices: Tensor, priorities: Tensor) -> None:
        """Set the priorities |δ| [N] of what was sampled with these ``indices`` [N].

        What has been overwritten since is left out; of several priorities for one, the last counts.
        For sequences see :func:`rlpyt.ops.q_learning.sequence_priority`.

        Raises:
            RlpytError: ``replay``, for priorities that are not finite, or a uniform replay.
        """
        if self._contents.priorities is None:
            what = "a uniform replay has no priorities"
            raise RlpytError("replay", what, hint="prioritized=Prioritized()")
        self._contents.settle()
        self._contents.priorities.update(_array(indices), _array(priorities))

    def state_dict(self) -> dict[str, Any]:
        """What is held, priorities, position and generator; the generator alone if not
        ``checkpointed``. Arrays share the buffer's memory: save them before the next append.
        """
        held = self._contents.state_dict() if self.checkpointed else {}
        return {**held, "rng": generator_state(self._rng)}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``: the next batches are those that would have come.

        Raises:
            RlpytError: ``checkpoint``, if saved with other settings, or without the replay and not
                ``resume_empty``.
        """
        load_generator_state(self._rng, state["rng"])
        if state.keys() != {"rng"}:
            self._contents.load_state_dict(state)
        elif not self.resume_empty:
            raise RlpytError(
                "checkpoint",
                "the checkpoint holds no replay (algo.replay.checkpointed=false)",
                hint="`rlpyt resume RUN_DIR --empty-replay`: another run, but it goes on",
            )


def _array(tensor: Tensor) -> Array:
    array: Array = tensor.detach().cpu().numpy()
    return array


def _at_least(name: str, value: int, least: int) -> None:
    if value < least:
        raise RlpytError("config", f"{name}={value} must be at least {least}", where="ReplayBuffer")
