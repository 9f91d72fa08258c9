"""All that a replay holds, in arrays: appended to, saved and loaded as one."""

from collections.abc import Mapping
from typing import Any, final

import numpy as np

from rlpyt.data import EnvSpaces, Samples
from rlpyt.envs.spaces import example_of
from rlpyt.replays.memory import Array, ArraySpec, parts_of
from rlpyt.replays.observations import ObservationStore
from rlpyt.replays.priority import Priorities, Prioritized
from rlpyt.replays.ring import Ring, RingShape
from rlpyt.replays.sequences import RnnStateStore, SequenceShape
from rlpyt.replays.storage import Storage
from rlpyt.utils.buffer import buffer_map, numpify_buffer
from rlpyt.utils.errors import RlpytError

__all__ = ["Contents"]

_UNUSED = ("agent_info", "env_info", "bootstrap_value", "final_observation")
_USED_ONCE = ("prev_action", "prev_reward")  # with the very first row
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
        learned_reward: bool,
    ) -> None:
        """``prev_rnn_state`` is an example of one environment's, or None; ``learned_reward``:
        rewards to learn from are given beside the environment's. :meth:`bind` is next.
        """
        self.action = example_of(spaces.action)
        self.rnn_state = buffer_map(np.asarray, prev_rnn_state)
        self.ring = Ring(shape, self.action, learned_reward=learned_reward)
        self.store = ObservationStore(storage, example_of(spaces.observation), shape.rows, shape.B)
        has_state = self.rnn_state is not None and len(self.rnn_state) > 0
        self.states = RnnStateStore(self.ring, self.rnn_state) if has_state else None
        self.priorities = (
            None if prioritized is None else Priorities(self.ring, prioritized, sequence)
        )
        self._holders = [
            part
            for part in (self.ring, self.store, self.states, self.priorities)
            if part is not None
        ]
        self.specs: dict[str, ArraySpec] = {}
        for part in self._holders:
            self.specs |= part.layout()

    def bind(self, arrays: Mapping[str, Array]) -> None:
        """Work on these, as ``specs`` says."""
        self._arrays = arrays
        for part in self._holders:
            part.bind(arrays)

    def append(
        self, samples: Samples, priorities: Array | None, learned_reward: Array | None
    ) -> None:
        """Take in ``samples`` [T, B], and the priorities and rewards to learn from [T, B] of its
        steps.

        Raises:
            RlpytError: ``replay``, for what does not fit; nothing is sampled of it then.
        """
        unused: dict[str, None] = dict.fromkeys(_UNUSED)
        if self.ring.n_written:
            unused |= dict.fromkeys(_USED_ONCE)
        given = numpify_buffer(samples._replace(**unused))
        placement = self.ring.place(given)
        chunk, final = placement.chunk, None
        if chunk.keep_final is not None:
            final = numpify_buffer(samples.final_observation)
            if final is None:
                what = "an episode was truncated, and samples.final_observation is None"
                raise RlpytError("replay", what, hint="record final observations")
        if self.priorities is not None:
            self.priorities.check_given(priorities)
        self.ring.check_given(learned_reward)
        self.store.append(given.observation, final, chunk)
        if self.states is not None:
            states = numpify_buffer(samples.agent_info.prev_rnn_state)
            self.states.append(placement.rows, states)
        if self.priorities is not None:
            self.priorities.append(priorities, chunk)
        self.ring.write(given, placement, learned_reward)

    def settle(self) -> None:
        """Bring what can be sampled up to what was appended."""
        expired, new = self.ring.settle()
        if self.priorities is not None:
            self.priorities.follow(expired, new)

    def _saved(self) -> dict[str, dict[str, Array]]:
        """The arrays that are saved: by name, in parts whose leading entries may be in use only."""
        return {
            name: parts_of(name, spec, self._arrays[name])
            for name, spec in self.specs.items()
            if not name.startswith(_SAVED_APART)
        }

    def state_dict(self) -> dict[str, Any]:
        """What is in use of the arrays; it shares their memory."""
        counts = {"rows": self.ring.n_filled, **self.store.filled()}
        if self.states is not None:
            counts |= self.states.filled()
        arrays = {
            part: array[: counts.get(self.specs[name].filled, len(array))]
            for name, parts in self._saved().items()
            for part, array in parts.items()
        }
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
        for parts in self._saved().values():
            for name, array in parts.items():
                saved = state["arrays"][name]
                array[: len(saved)] = saved
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
        saved, now = state["arrays"], self._saved()
        names = {name for parts in now.values() for name in parts}
        wrong += [f"{name} in only one of both" for name in sorted(names ^ saved.keys())]
        for key, parts in now.items():
            if parts.keys() <= saved.keys():
                one, other = (
                    _entry([arrays[part] for part in parts], self.specs[key])
                    for arrays in (saved, parts)
                )
                wrong += [f"{key} {one}, now {other}"] if one != other else []
        if wrong:
            raise RlpytError(
                "checkpoint",
                f"the saved replay differs from this one: {'; '.join(wrong)}",
                where="ReplayBuffer",
                hint="resume with the settings of the run",
            )


def _entry(parts: list[Array], spec: ArraySpec) -> str:
    """Dtype and shape of one entry of an array."""
    first = parts[0]
    shape = (len(parts), *first.shape[1:]) if spec.by_env else first.shape[1:]
    return f"{first.dtype}{shape}"
