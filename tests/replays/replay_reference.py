"""What a replay should hand out, by plain loops over lists of steps; and made-up steps."""

from dataclasses import dataclass, field
from typing import Any

import numpy as np
import torch
from gymnasium import spaces

from rlpyt.data import EnvSpaces, RnnState, Samples
from rlpyt.replays import FrameStorage
from rlpyt.utils.buffer import leaves
from rlpyt.utils.collections import NamedArrayTuple, namedarraytuple

Tree = namedarraytuple("DictTree", ("image", "vector"))


class Info(NamedArrayTuple):
    prev_rnn_state: Any


@dataclass
class Step:
    """One step of one environment."""

    observation: list[np.ndarray]
    action: int
    reward: float
    reset: bool
    terminated: bool
    truncated: bool
    final: list[np.ndarray]
    valid: bool
    state: np.ndarray
    prev_action: int = 0
    prev_reward: float = 0.0

    @property
    def done(self) -> bool:
        return self.terminated or self.truncated


@dataclass
class Env:
    """Makes steps with episodes of all kinds; frames of few values, so that stacks often agree."""

    rng: np.random.Generator
    n_frames: int
    size: tuple[int, int] = (3, 3)
    longest: int = 6
    steps: list[Step] = field(default_factory=list)
    idle: int = 0

    def __post_init__(self) -> None:
        self.stack = self._random_stack()
        self.starts = bool(self.rng.integers(2))  # or in the middle of an episode
        self.prev_action = int(self.rng.integers(1, 5))
        self.prev_reward = float(self.rng.normal())

    def _frame(self) -> np.ndarray:
        value = self.rng.integers(0, 3)
        return np.full(self.size, value, np.uint8)

    def _random_stack(self) -> np.ndarray:
        return np.stack([self._frame() for _ in range(self.n_frames)])

    def _start_stack(self) -> np.ndarray:
        kind = self.rng.integers(4)
        frame = self._frame()
        if kind == 0:
            stack = np.zeros((self.n_frames, *self.size), np.uint8)
        elif kind == 1:
            stack = np.stack([frame] * self.n_frames)
        elif kind == 2:  # whatever went before
            stack = self._random_stack()
        else:  # the frames go on over the reset
            stack = np.concatenate([self.stack[1:], frame[None]])
        stack[-1] = frame
        return stack

    def _observation(self) -> list[np.ndarray]:
        return [self.stack.copy(), self.rng.normal(size=2).astype(np.float32)]

    def step(self) -> Step:
        rng = self.rng
        if self.idle:
            self.idle -= 1
            return self._add(valid=False, terminated=False, truncated=False)
        if self.starts and self.steps:
            self.stack = self._start_stack()
        end = rng.integers(self.longest) == 0
        kind = rng.integers(5)
        step = self._add(
            valid=True,
            terminated=bool(end and kind in (0, 1, 2)),
            truncated=bool(end and kind in (2, 3)),  # 2: both
        )
        self.starts = bool(end)  # 4: another episode without an end of this one
        if end and kind != 4:
            self.idle = int(rng.integers(3))
        else:
            self.stack = np.concatenate([self.stack[1:], self._frame()[None]])
        return step

    def _add(self, *, valid: bool, terminated: bool, truncated: bool) -> Step:
        rng = self.rng
        was_idle = bool(self.steps) and not self.steps[-1].valid
        observation = self._observation()
        final_stack = np.concatenate([self.stack[1:], self._frame()[None]])
        step = Step(
            observation=observation,
            action=int(rng.integers(1, 5)),
            reward=float(np.float32(rng.normal())),
            reset=self.starts or was_idle,
            terminated=terminated,
            truncated=truncated,
            final=[final_stack, rng.normal(size=2).astype(np.float32)],
            valid=valid,
            state=rng.normal(size=(1, 2)).astype(np.float32),
            prev_action=self.steps[-1].action if self.steps else self.prev_action,
            prev_reward=self.steps[-1].reward if self.steps else self.prev_reward,
        )
        self.steps.append(step)
        return step


def env_spaces(n_frames: int, size: tuple[int, int] = (3, 3)) -> EnvSpaces:
    return EnvSpaces(
        spaces.Dict(
            {
                "image": spaces.Box(0, 255, (n_frames, *size), np.uint8),
                "vector": spaces.Box(-9, 9, (2,), np.float32),
            }
        ),
        spaces.Discrete(5),
    )


def samples_of(rows: list[list[Step]]) -> Samples:
    """Rows of steps [T][B] as a sampler would hand them out."""

    def gather(get: Any, dtype: Any = None) -> torch.Tensor:
        return torch.from_numpy(np.array([[get(step) for step in row] for row in rows], dtype))

    def tree(name: str) -> Any:
        return Tree(*(gather(lambda step, i=i: getattr(step, name)[i]) for i in range(2)))

    return Samples(
        observation=tree("observation"),
        prev_action=gather(lambda step: step.prev_action),
        prev_reward=gather(lambda step: step.prev_reward, np.float32),
        reset=gather(lambda step: step.reset),
        action=gather(lambda step: step.action),
        agent_info=Info(RnnState(gather(lambda step: step.state))),
        reward=gather(lambda step: step.reward, np.float32),
        terminated=gather(lambda step: step.terminated),
        truncated=gather(lambda step: step.truncated),
        final_observation=tree("final"),
        valid=gather(lambda step: step.valid),
    )


@dataclass
class Target:
    """What follows a step: the n-step return, steps to and observation of the bootstrap."""

    return_: float
    steps: int
    discount: float
    observation: list[np.ndarray] | None  # None: terminated
    last: int  # row of the last step taken


@dataclass
class Reference:
    """The history of all environments, and what of it a replay may hand out."""

    envs: list[Env]
    capacity: int
    n: int
    discount: float
    length: int | None = None
    burn_in: int = 0
    interval: int = 1

    @property
    def total(self) -> int:
        return len(self.envs[0].steps)

    @property
    def oldest(self) -> int:
        return max(0, self.total - self.capacity)

    def linked(self, b: int, r: int) -> bool:
        """Whether row r + 1 is there and goes on where row r, not done, left off."""
        steps = self.envs[b].steps
        if r + 1 >= self.total:
            return False
        following = steps[r + 1]
        return following.valid and not following.reset

    def target(self, b: int, r: int) -> Target | None:
        """None: it cannot be known."""
        steps, total = self.envs[b].steps, 0.0
        if not steps[r].valid:
            return None
        for k in range(self.n):
            step = steps[r + k]
            total += self.discount**k * step.reward
            if step.terminated:
                return Target(total, k + 1, 0.0, None, r + k)
            if step.truncated:
                return Target(total, k + 1, self.discount ** (k + 1), step.final, r + k)
            if not self.linked(b, r + k):
                return None
        following = steps[r + self.n].observation
        return Target(total, self.n, self.discount**self.n, following, r + self.n - 1)

    def learnt(self, b: int, s: int) -> list[int] | None:
        """The valid rows to learn from of a sequence that starts at row s; None: it is none."""
        assert self.length is not None
        if s % self.interval:
            return None
        rows = []
        for r in range(s + self.burn_in, s + self.burn_in + self.length):
            if r >= self.total or self.target(b, r) is None:
                return None
            rows.append(r)
            if self.envs[b].steps[r].done:
                return rows
        return rows

    def starts(self) -> set[tuple[int, int]]:
        """(row, environment) of all that can be sampled."""
        check = self.target if self.length is None else self.learnt
        return {
            (r, b)
            for r in range(self.oldest, self.total)
            for b in range(len(self.envs))
            if check(b, r) is not None
        }


def equal(found: Any, expected: list[np.ndarray]) -> bool:
    """Bit for bit."""
    pairs = zip(leaves(found), expected, strict=True)
    return all(np.array_equal(one.numpy(), other) for one, other in pairs)


def start_of(index: int, B: int, storage: Any) -> tuple[int, int]:
    """Row and environment of an index that a batch names."""
    history = max(1, storage.n_frames - 1) if isinstance(storage, FrameStorage) else 1
    return index // B - history, index % B


def check_transitions(batch: Any, ref: Reference, storage: Any) -> None:
    B = len(ref.envs)
    for i, index in enumerate(batch.indices.tolist()):
        r, b = start_of(index, B, storage)
        assert ref.oldest <= r < ref.total
        step, target = ref.envs[b].steps[r], ref.target(b, r)
        assert target is not None, f"row {r} of {b} is no start"
        assert equal(batch.observation[i], step.observation)
        reset = step.reset or (r > 0 and not ref.envs[b].steps[r - 1].valid)
        assert batch.reset[i] == reset
        assert batch.prev_action[i] == (0 if reset else step.prev_action)
        assert batch.prev_reward[i] == np.float32(0 if reset else step.prev_reward)
        assert batch.action[i] == step.action
        assert abs(batch.return_[i] - target.return_) < 1e-5
        assert abs(batch.next_discount[i] - target.discount) < 1e-6
        if target.observation is not None:
            assert equal(batch.next_observation[i], target.observation)
            last = ref.envs[b].steps[target.last]
            assert batch.next_prev_action[i] == last.action
            assert batch.next_prev_reward[i] == np.float32(last.reward)


def check_sequences(batch: Any, ref: Reference, storage: Any) -> None:
    B = len(ref.envs)
    for i, index in enumerate(batch.indices.tolist()):
        s, b = start_of(index, B, storage)
        assert ref.oldest <= s < ref.total
        check_sequence(batch, ref, i, s, b)


def check_sequence(batch: Any, ref: Reference, i: int, s: int, b: int) -> None:
    steps, rows = ref.envs[b].steps, ref.learnt(b, s)
    assert rows is not None, f"row {s} of {b} is no start"
    L = ref.burn_in + ref.length + ref.n
    resets = [p for p in range(ref.burn_in + 1) if steps[s + p].reset]
    first = resets[-1] if resets else 0
    ends = [p for p in range(ref.burn_in, L - 1) if s + p < ref.total and steps[s + p].done]
    last = ends[0] if ends else L - 1
    assert len(batch.reset) == len(batch.observation.image) == L
    for p in range(L):
        assert batch.reset[p, i] == (bool(resets) and p <= first)
        if first <= p <= last:
            step = steps[s + p]
            assert equal(batch.observation[p, i], step.observation)
            reset = bool(resets) and p == first
            assert batch.prev_action[p, i] == (0 if reset else step.prev_action)
            assert batch.prev_reward[p, i] == np.float32(0 if reset else step.prev_reward)
    if ends:
        final = steps[s + last]
        if final.truncated and not final.terminated:
            assert equal(batch.observation[last + 1, i], final.final)
        assert batch.prev_action[last + 1, i] == final.action
        assert batch.prev_reward[last + 1, i] == np.float32(final.reward)
    valid = [s + ref.burn_in + t in rows for t in range(ref.length)]
    assert batch.valid[:, i].tolist() == valid
    for t, r in enumerate(rows):
        target = ref.target(b, r)
        assert batch.action[t, i] == steps[r].action
        assert abs(batch.return_[t, i] - target.return_) < 1e-5
        assert batch.next_step[t, i] == ref.burn_in + t + target.steps
        assert abs(batch.next_discount[t, i] - target.discount) < 1e-6
        if target.observation is not None:
            assert equal(batch.observation[int(batch.next_step[t, i]), i], target.observation)
    assert np.array_equal(batch.init_rnn_state.hidden[i].numpy(), steps[s].state)
