"""Environments whose course is known, and agents to act in them."""

from dataclasses import dataclass
from functools import partial
from typing import Any

import gymnasium
import numpy as np
import torch
from gymnasium import spaces
from gymnasium.vector import AutoresetMode, SyncVectorEnv

from rlpyt.agents.pg import PgAgent
from rlpyt.data import EnvSpaces, TrajInfo
from rlpyt.envs.build import EnvConfig, build_vector_env
from rlpyt.samplers.acting import agent_examples
from rlpyt.samplers.base import CollectionSpec
from rlpyt.samplers.buffer import SampleBuffer, sample_arrays
from rlpyt.samplers.collector import Collector
from rlpyt.utils.buffer import buffer_map

CPU = torch.device("cpu")
LSTM = {"recurrent": "lstm", "rnn_size": 6}
SHARED = {"shared_trunk": True}


@dataclass(frozen=True)
class Episode:
    """Rewards, step by step, and how it ends."""

    rewards: tuple[float, ...]
    truncated: bool = False


class ScriptEnv(gymnasium.Env):
    """Plays these episodes in turn, whatever the seeds and the actions.

    It observes (episode, step, 1), and tells the step in ``info``.
    """

    observation_space = spaces.Box(-99, 99, (3,), np.float32)
    action_space = spaces.Discrete(3)

    def __init__(self, episodes: tuple[Episode, ...]) -> None:
        self.episodes = episodes
        self.number = -1

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.number += 1
        self.t = 0
        return self._observation(), {}

    def step(self, action):
        episode = self.episodes[self.number % len(self.episodes)]
        reward = episode.rewards[self.t]
        self.t += 1
        done = self.t == len(episode.rewards)
        cut = episode.truncated
        return self._observation(), reward, done and not cut, done and cut, {"t": float(self.t)}

    def _observation(self):
        return np.array([self.number, self.t, 1], np.float32)


SCRIPT = (
    Episode((1.0, 0.0, 2.0)),
    Episode((5.0,), truncated=True),
    Episode((0.0, -1.0, 0.5, 0.25, 0.0, 4.0, 1.0), truncated=True),
    Episode((3.0, 3.0)),
    Episode(tuple(range(11))),
)


def script_from(start: int) -> tuple[Episode, ...]:
    """The script, another episode first."""
    return SCRIPT[start:] + SCRIPT[:start]


class ScriptEnvs:
    """Makes ScriptEnvs, each with its own start in the script, in the order they are made."""

    def __init__(self) -> None:
        self.n_made = 0

    def __call__(self) -> ScriptEnv:
        self.n_made += 1
        return ScriptEnv(script_from((self.n_made - 1) % len(SCRIPT)))


def script_vector(num_envs: int, mode: AutoresetMode) -> SyncVectorEnv:
    """The same environments behind Gymnasium's vector environment."""
    makers = [partial(ScriptEnv, script_from(i % len(SCRIPT))) for i in range(num_envs)]
    return SyncVectorEnv(makers, autoreset_mode=mode)


def walk_vector(num_envs: int, mode: AutoresetMode) -> SyncVectorEnv:
    """WalkEnvs behind Gymnasium's vector environment."""
    return SyncVectorEnv([WalkEnv] * num_envs, autoreset_mode=mode)


class WalkEnv(gymnasium.Env):
    """A random walk: all depends on the seed and the actions; ends of both kinds by chance."""

    observation_space = spaces.Box(-np.inf, np.inf, (3,), np.float32)

    def __init__(self, end: float = 0.08, cut: float = 0.08, action_space: Any = None) -> None:
        self.action_space = spaces.Discrete(3) if action_space is None else action_space
        self.end, self.cut = end, cut

    def reset(self, *, seed=None, options=None):
        super().reset(seed=seed)
        self.position = self.np_random.standard_normal(3).astype(np.float32)
        return self.position.copy(), {}

    def step(self, action):
        assert self.action_space.contains(action), action
        self.position += self.np_random.standard_normal(3).astype(np.float32)
        self.position[0] += np.sum(action) if np.ndim(action) or np.isscalar(action) else 0
        self.position *= np.float32(0.9)
        ended, cut = self.np_random.random(2) < (self.end, self.cut)
        return self.position.copy(), float(self.position.mean()), bool(ended), bool(cut), {}


class MaskEnv(WalkEnv):
    """Allows a random half of its actions, anew at each step, and insists on it."""

    n = 4

    def __init__(self) -> None:
        super().__init__(action_space=spaces.Discrete(self.n))
        self.observation_space = spaces.Dict(
            x=WalkEnv.observation_space, action_mask=spaces.MultiBinary(self.n)
        )

    def reset(self, *, seed=None, options=None):
        x, info = super().reset(seed=seed)
        return self._masked(x), info

    def step(self, action):
        assert self.mask[action] == 1, f"action {action} is not allowed by {self.mask}"
        x, reward, terminated, truncated, info = super().step(action)
        return self._masked(x), reward, terminated, truncated, info

    def _masked(self, x):
        self.mask = self.np_random.permutation(np.array([0, 0, 1, 1], np.int8))
        return {"x": x, "action_mask": self.mask.copy()}


@dataclass(kw_only=True)
class CountTrajInfo(TrajInfo):
    """Counts the fragments."""

    NFragments: int = 0

    def extend(self, fragment: Any) -> None:
        """Take in a fragment."""
        super().extend(fragment)
        self.NFragments += 1


def make_agent(env: Any, model_kwargs: dict[str, Any] | None = None, seed: int = 0) -> PgAgent:
    """A policy-gradient agent, initialised for one environment of ``env()``."""
    made = env()
    agent = PgAgent(model_kwargs=model_kwargs or {})
    agent.initialize(EnvSpaces(made.observation_space, made.action_space), seed=seed, device=CPU)
    return agent


def collector_of(
    vector: Any,
    agent: PgAgent,
    T: int,
    *,
    seed: int = 3,
    mid_batch_reset: bool = True,
    bootstrap_value: bool = False,
    traj_info: TrajInfo | None = None,
    poison: bool = False,
    info_keys: tuple[str, ...] = (),
    group_size: int | None = None,
) -> Collector:
    """A collector of the environments of ``vector``, ``agent`` acting here."""
    B = vector.n_envs
    spec = CollectionSpec(
        env=EnvConfig(id="unused"),
        env_indices=tuple(range(B)),
        T=T,
        seed=seed,
        group_size=group_size,
        traj_info=traj_info or TrajInfo(),
    )
    examples = agent_examples(agent, vector.spaces)
    arrays = sample_arrays(
        vector.spaces,
        examples.agent_info,
        T,
        B,
        bootstrap_value=bootstrap_value,
        with_valid=vector.invalid_steps or not mid_batch_reset,
        info_keys=info_keys,
        allocate=partial(buffer_map, lambda leaf: torch.zeros(leaf.shape, dtype=leaf.dtype)),
        poison=poison,
    )
    buffer = SampleBuffer(arrays)
    acting = spec.local_acting(agent, buffer, examples)
    return Collector(vector, acting, buffer, spec.tracker(), mid_batch_reset=mid_batch_reset)


def make_collector(
    env: Any,
    T: int,
    B: int,
    *,
    model_kwargs: dict[str, Any] | None = None,
    mid_batch_reset: bool = True,
    seed: int = 3,
    info_keys: tuple[str, ...] = (),
    reset: bool = True,
    **kwargs: Any,
) -> Collector:
    """A collector of B environments ``env()``, ready to collect."""
    config = EnvConfig(id=env, info_keys=info_keys)
    vector = build_vector_env(config, range(B), seed=seed, auto_reset=mid_batch_reset)
    agent = make_agent(WalkEnv if env is WalkEnv else env, model_kwargs)
    collector = collector_of(
        vector, agent, T, seed=seed, mid_batch_reset=mid_batch_reset, info_keys=info_keys, **kwargs
    )
    if reset:
        collector.reset()
    return collector


def copy_samples(samples: Any) -> Any:
    """Samples that the next batch does not overwrite."""
    return buffer_map(lambda leaf: leaf.clone(), samples)


def collect(collector: Collector, n_batches: int) -> tuple[Any, list[Any]]:
    """Batches one after the other as one long batch, and all finished episodes."""
    batches, trajs = [], []
    for _ in range(n_batches):
        samples, finished = collector.collect()
        batches.append(copy_samples(samples))
        trajs += finished
    return buffer_map(lambda *parts: torch.cat(parts), *batches), trajs


def assert_equal(one: Any, other: Any) -> None:
    """Equal trees of tensors, exactly; NaN equals NaN."""
    assert type(one) is type(other)
    if isinstance(one, tuple):
        for x, y in zip(one, other, strict=True):
            assert_equal(x, y)
    elif one is not None:
        torch.testing.assert_close(one, other, rtol=0, atol=0, equal_nan=True)


def as_lists(state: Any) -> Any:
    """A state dict as plain data that compares."""
    if isinstance(state, dict):
        return {key: as_lists(value) for key, value in state.items()}
    if isinstance(state, tuple | list):
        return [as_lists(value) for value in state]
    return state.tolist() if isinstance(state, torch.Tensor | np.ndarray) else state
