"""All that a replay holds, in arrays: appended to, saved and loaded as one."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from rlpyt.data import EnvSpaces, Samples
from rlpyt.envs.spaces import example_of
from rlpyt.replays.memory import Array, ArraySpec
from rlpyt.replays.observations import ObservationStore
from rlpyt.replays.priority import Priorities, Prioritized
from rlpyt.replays.ring import Ring, RingShape
from rlpyt.replays.sequences import RnnStateStore, SequenceShape
from rlpyt.replays.storage import Storage
from rlpyt.utils.buffer import buffer_map, numpify_buffer
from rlpyt.utils.errors import RlpytError

__all__ = ["Contents"]

_SAVED_APART = "tree/"  # the arrays of which Priorities saves what is needed


@final
class Contents:
    """Steps, observations, recurrent states and priorities.

    Every bit of it is in the arrays, so that a process that maps them has all.
    """

    def __init__(
        self,
        shape: RingShape,
        spaces: EnvSpaces,
        storage: Storage,
        *,
        prev_rnn_state: Any,
        prioritized: Prioritized | None,
        sequence: SequenceShape | None,
    ) -> None:
        """``prev_rnn_state`` is an example of one environment's, or None; :meth:`bind` is next."""
        self.action = example_of(spaces.action)
        self.rnn_state = buffer_map(np.asarray, prev_rnn_state)
        self.ring = Ring(shape, self.action)
        self.store = ObservationStore(storage, example_of(spaces.observation), shape.rows, shape.B)
        has_state = self.rnn_state is not None and len(self.rnn_state) > 0
        self.states = RnnStateStore(self.ring, self.rnn_state) if has_state else None
        self.priorities = (
            None if prioritized is None else Priorities(self.ring, prioritized, sequence)
        )
        self._parts = [
            part
            for part in (self.ring, self.store, self.states, self.priorities)
            if part is not None
        ]
        self.specs: dict[str, ArraySpec] = {}
        for part in self._parts:
            self.specs |= part.layout()

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Work on these, as ``specs`` says."""
        self._arrays = arrays
        for part in self._parts:
            part.bind(arrays)

    def append(self, samples: Samples, priorities: Array | None) -> None:
        """Take in ``samples`` [T, B], and the priorities [T, B] of its steps.

        Raises:
            RlpytError: ``replay``, for what does not fit; nothing is sampled of it then.
        """
        given = numpify_buffer(
            samples._replace(agent_info=None, env_info=None, bootstrap_value=None)
        )
        placement = self.ring.place(given)
        chunk = placement.chunk
        if given.final_observation is None and chunk.keep_final.any():
            what = "an episode was truncated, and samples.final_observation is None"
            raise RlpytError("replay", what, hint="record final observations")
        if self.priorities is not None:
            self.priorities.check_given(priorities)
        self.store.append(given.observation, given.final_observation, chunk)
        if self.states is not None:
            states = numpify_buffer(samples.agent_info.prev_rnn_state)
            self.states.append(placement.rows, states)
        if self.priorities is not None:
            self.priorities.append(priorities, chunk)
        self.ring.write(given, placement)

    def settle(self) -> None:
        """Bring what can be sampled up to what was appended."""
        expired, new = self.ring.settle()
        if self.priorities is not None:
            self.priorities.follow(expired, new)

    def _saved(self) -> dict[str, tuple[ArraySpec, int]]:
        """Each array that is saved, and its leading entries in use."""
        counts = {"rows": self.ring.n_filled, **self.store.filled()}
        if self.states is not None:
            counts |= self.states.filled()
        return {
            name: (spec, counts[spec.filled] if spec.filled else spec.shape[0])
            for name, spec in self.specs.items()
            if not name.startswith(_SAVED_APART)
        }

    def state_dict(self) -> dict[str, Any]:
        """What is in use of the arrays; it shares their memory."""
        arrays = {name: self._arrays[name][:count] for name, (_, count) in self._saved().items()}
        return {
            "shape": self.ring.shape._asdict(),
            "arrays": arrays,
            "priorities": None if self.priorities is None else self.priorities.state_dict(),
        }

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        """Continue from ``state``.

        Raises:
            RlpytError: ``checkpoint``, where it was saved with other settings.
        """
        self._check_fits(state)
        if self.ring.n_written:  # what the saved arrays do not reach must be blank
            for name, spec in self.specs.items():
                if not spec.sparse:
                    self._arrays[name][:] = 0
        for name, saved in state["arrays"].items():
            self._arrays[name][: len(saved)] = saved
        if self.priorities is not None:
            self.priorities.load_state_dict(state["priorities"])

    def _check_fits(self, state: Mapping[str, Any]) -> None:
        found, expected = dict(state["shape"]), self.ring.shape._asdict()
        wrong = [
            f"{key}={found.get(key)}, now {now}"
            for key, now in expected.items()
            if found.get(key) != now
        ]
        if (state["priorities"] is None) != (self.priorities is None):
            wrong.append("prioritized")
        saved = state["arrays"]
        names = {name for name in self.specs if not name.startswith(_SAVED_APART)}
        wrong += [f"{name} in only one of both" for name in sorted(names ^ saved.keys())]
        wrong += [
            f"{name} {saved[name].dtype}{saved[name].shape[1:]}, now {spec.dtype}{spec.shape[1:]}"
            for name, spec in self.specs.items()
            if name in saved
            and (saved[name].dtype != spec.dtype or saved[name].shape[1:] != spec.shape[1:])
        ]
        if wrong:
            raise RlpytError(
                "checkpoint",
                f"the saved replay differs from this one: {'; '.join(wrong)}",
                where="ReplayBuffer",
                hint="resume with the settings of the run",
            )
