"""From what was drawn to a batch: gathered into memory that is used again, sent to the device."""

from functools import partial
from typing import final

import torch

from rlpyt.replays.batches import ReplaySamples, ReplaySequences
from rlpyt.replays.contents import Contents
from rlpyt.replays.memory import Array
from rlpyt.replays.outputs import Outputs
from rlpyt.replays.sequences import SequenceShape, sequence_parts
from rlpyt.replays.transitions import transition_parts

__all__ = ["Gatherer"]


@final
class Gatherer:
    """Gathers batches of ``contents``, whose n-step returns are discounted by ``discount``."""

    def __init__(self, contents: Contents, discount: float, device: torch.device) -> None:
        """Batches go to ``device``."""
        self._contents, self._discount = contents, discount
        self._outputs = Outputs(device)

    def transitions(self, index: Array, weight: Array | None, n_step: int) -> ReplaySamples:
        """The transitions that start at absolute indices ``index`` [N], with returns over
        ``n_step`` steps; ``weight`` [N] are their importance weights.
        """
        ring, store, outputs = self._contents.ring, self._contents.store, self._outputs
        N, part = len(index), transition_parts(ring, store, index, n_step, self._discount)
        output = outputs.of(N, partial(store.allocate, N, part.pairs.adjacent))
        store.gather(part.pairs, output.arrays())
        observation, next_observation = store.view(output.send(), part.pairs.adjacent)
        put, action = outputs.put, self._contents.action
        return ReplaySamples(
            observation=observation,
            prev_action=outputs.put_tree(action, part.prev_action),
            prev_reward=put(part.prev_reward),
            reset=put(part.reset),
            action=outputs.put_tree(action, part.action),
            return_=put(part.return_),
            next_observation=next_observation,
            next_prev_action=outputs.put_tree(action, part.next_prev_action),
            next_prev_reward=put(part.next_prev_reward),
            next_discount=put(part.next_discount),
            indices=torch.from_numpy(index),
            is_weight=None if weight is None else put(weight),
        )

    def sequences(
        self, index: Array, weight: Array | None, shape: SequenceShape
    ) -> ReplaySequences:
        """The sequences of ``shape`` that start at absolute indices ``index`` [N]; ``weight`` [N]
        are their importance weights.
        """
        ring, store, outputs = self._contents.ring, self._contents.store, self._outputs
        N, part = len(index), sequence_parts(ring, store, index, shape, self._discount)
        output = outputs.of(N, partial(store.allocate_sequences, shape.total, N))
        store.gather_sequences(part.fragment, output.arrays())
        put, action, states = outputs.put, self._contents.action, self._contents.states
        return ReplaySequences(
            observation=store.view_sequences(output.send()),
            prev_action=outputs.put_tree(action, part.prev_action),
            prev_reward=put(part.prev_reward),
            reset=put(part.reset),
            action=outputs.put_tree(action, part.action),
            return_=put(part.return_),
            next_step=put(part.next_step),
            next_discount=put(part.next_discount),
            valid=put(part.valid),
            init_rnn_state=None
            if states is None
            else outputs.put_tree(self._contents.rnn_state, states.gather(index)),
            indices=torch.from_numpy(index),
            is_weight=None if weight is None else put(weight),
        )
