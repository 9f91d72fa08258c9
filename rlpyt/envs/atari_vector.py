"""Atari games in ale-py's C++ vector environment: the fast back end."""

from collections.abc import Callable, Iterable, Mapping, Sequence
from importlib import import_module
from typing import Any, NoReturn, final

import numpy as np
from gymnasium import spaces

from rlpyt.data import EnvSpaces, EnvStep
from rlpyt.envs.atari import ATARI_INFO_KEYS, AtariConfig, rom_of
from rlpyt.envs.atari_game import ale_seed
from rlpyt.envs.capsule import capsule_from_history, failure_of
from rlpyt.envs.edge import raised_by
from rlpyt.envs.episodes import warn_unless_equal
from rlpyt.envs.vector import NOBODY, VectorEnv
from rlpyt.utils.errors import RlpytError, did_you_mean
from rlpyt.utils.seed import Stream, generator, seed_int

__all__ = ["NATIVE_OPTIONS", "AtariVectorEnv"]

NATIVE_OPTIONS = ("num_threads", "thread_affinity_offset")
"""What ale-py's vector environment takes besides the preprocessing; by default it has a thread for
each environment, at most one for each CPU."""

_NO_SEED = -1
_ENDLESS = 2**31 - 1


@final
class AtariVectorEnv(VectorEnv):
    """Atari games stepped together by ale-py's threads, the same as :class:`AtariGame` one by one.

    Seeding an emulator loads its ROM again, which takes as long as hundreds of steps. So a game is
    seeded, by (seed, environment, episode number), only where its environment has taken
    ``reseed_steps`` steps since it was last; in between the generators of no-ops and sticky actions
    go on. With ``reseed_steps=0`` every game is seeded, as the loop does.

    An environment's state is the episode number of its seed and the actions since, which are taken
    again: exact whatever process holds it then.
    """

    def __init__(
        self,
        env_id: Any,
        config: AtariConfig,
        env_indices: Sequence[int],
        *,
        seed: int,
        stream: Stream = Stream.ENV,
        options: Mapping[str, Any] | None = None,
        info_keys: tuple[str, ...] = ATARI_INFO_KEYS,
        description: Mapping[str, Any] | None = None,
        reseed_steps: int = 10_000,
    ) -> None:
        """Make one game for each global index; ``options`` are some of :data:`NATIVE_OPTIONS`.

        ``description`` is ``config_dict`` of the EnvConfig, for crash capsules.
        """
        config.check()
        _check_names("kwargs", options or {}, NATIVE_OPTIONS)
        _check_names("info_keys", info_keys, (*ATARI_INFO_KEYS, "lives"))
        self.n_envs = len(env_indices)
        self.env_indices = tuple(env_indices)
        self._config, self._reseed_steps = config, reseed_steps
        self._seed, self._stream, self._description = seed, stream, description
        self._cell: Any = [NOBODY]  # see watch
        self._number = [-1] * self.n_envs  # of the episode
        self._seeded = [-1] * self.n_envs  # the episode with which the emulator was seeded
        self._actions: list[list[int]] = [[] for _ in env_indices]  # since then
        self._lives = np.zeros(self.n_envs, np.int64)
        self._blank = np.zeros(self.n_envs, np.int64)  # frames of another life, oldest first
        self._envs = self._construct(rom_of(env_id), dict(options or {}))
        self._n_actions = int(self._envs.single_action_space.n)
        self._depth = 1 if config.grayscale else 3
        self._shape = (config.stack * self._depth, config.screen_size, config.screen_size)
        image = spaces.Box(0, 255, self._shape, np.uint8)
        self.spaces = EnvSpaces(image, spaces.Discrete(self._n_actions))

    def _construct(self, rom: str, options: dict[str, Any]) -> Any:
        config = self._config
        settings: dict[str, Any] = {
            "max_num_frames_per_episode": config.max_frames or _ENDLESS,
            "repeat_action_probability": config.repeat_action_probability,
            "full_action_space": config.full_action_space,
            "img_height": config.screen_size,
            "img_width": config.screen_size,
            "grayscale": config.grayscale,
            "stack_num": config.stack,
            "frameskip": config.frame_skip,
            "noop_max": config.noop_max + 1,  # it draws below
            "use_fire_reset": config.use_fire_reset,
            "reward_clipping": False,  # the score is recorded
            "episodic_life": False,  # it would start a new game
        }
        make = import_module("ale_py.vector_env").AtariVectorEnv  # optional, hence not on top
        try:
            return make(rom, self.n_envs, autoreset_mode="NextStep", **settings, **options)
        except Exception as error:  # as in _call
            self._raise("its constructor", error)

    def reset(self, observation: Any, *, first_episode: int = 0) -> None:
        """Start a game everywhere, seeded, numbered ``first_episode``."""
        self._number = [first_episode] * self.n_envs
        observation[...] = self._start_games(np.ones(self.n_envs, bool), first=True)

    def decorrelate(self, max_steps: int, observation: Any) -> None:
        """Take 0 to ``max_steps`` random steps in each environment, by its own generator."""
        if not max_steps:
            return
        actions = []
        for index, taken in zip(self.env_indices, self._actions, strict=True):
            rng = generator(self._seed, Stream.DECORRELATE, index)
            space = spaces.Discrete(self._n_actions)
            space.seed(int(rng.integers(2**31)))
            n_steps = int(rng.integers(max_steps + 1))
            actions.append([*taken, *(int(space.sample()) for _ in range(n_steps))])
        observation[...] = self._take_again(actions)

    def step(self, action: Any, out: EnvStep) -> None:
        """Step every game and write ``out``; every row is a transition."""
        actions = np.array(action, dtype=np.int64)
        if actions.min() < 0 or actions.max() >= self._n_actions:  # its threads would wait for ever
            what = f"actions {actions.tolist()}, the games have {self._n_actions}"
            raise self._failed(RlpytError("env", what))
        frames, reward, over, cut, lost = self._step(actions, range(self.n_envs))
        out.observation[...] = frames
        clip = self._config.reward_clip
        out.reward[:] = reward if clip is None else np.clip(reward, -clip, clip)
        out.terminated[:] = over | lost
        out.truncated[:] = cut
        if out.env_info is not None:
            known = {"game_reward": reward, "game_over": over | cut, "lives": self._lives}
            for name, leaf in out.env_info.items():
                leaf[:] = known[name]
        done = over | cut | lost
        if done.any():
            out.final_observation[done] = frames[done]
            self._next_episodes(out.observation, over | cut, lost)

    def _step(self, actions: Any, rows: Any) -> tuple[Any, ...]:
        """Frames [B, ...], rewards, and where games ended, were cut, and lost a life, in ``rows``;
        what happens in other rows does not count.
        """
        taken = actions.tolist()
        for i in rows:
            self._actions[i].append(taken[i])
        obs, reward, over, cut, info = self._call("step", lambda: self._envs.step(actions))
        lives = info["lives"]
        lost = np.zeros(self.n_envs, bool)
        if self._config.terminal_on_life_loss:
            lost = (lives > 0) & (lives < self._lives) & ~(over | cut)
        self._lives = lives
        frames = self._frames(obs)
        if self._blank.any():
            self._blank = np.maximum(self._blank - 1, 0)
            self._clear(frames, np.flatnonzero(self._blank))
        return frames, reward, over, cut, lost

    def _next_episodes(self, observation: Any, ended: Any, lost: Any) -> None:
        """Where a game has ended, the next starts, where a life was lost, it goes on."""
        for i in np.flatnonzero(ended | lost).tolist():
            self._number[i] += 1
        if lost.any():
            self._blank[lost] = self._config.stack - 1
            self._clear(observation, np.flatnonzero(lost))
        if ended.any():
            observation[ended] = self._start_games(ended)[ended]

    def _clear(self, frames: Any, rows: Any) -> None:
        """No observation has frames from before its episode."""
        for i in rows.tolist():
            frames[i, : self._blank[i] * self._depth] = 0

    def _start_games(self, mask: Any, *, first: bool = False) -> Any:
        """Start games where ``mask`` is set, seeded where that is due; frames of all."""
        seeds = []
        for i in np.flatnonzero(mask).tolist():
            is_due = first or len(self._actions[i]) >= self._reseed_steps
            seeds.append(self._seed_emulator(i) if is_due else _NO_SEED)
        return self._reset(mask, seeds)

    def _seed_emulator(self, i: int) -> int:
        self._seeded[i] = self._number[i]
        self._actions[i] = []
        index, number = self.env_indices[i], self._number[i]
        return ale_seed(seed_int(self._seed, self._stream, index, number))

    def _reset(self, mask: Any, seeds: list[int]) -> Any:
        seed, options = np.array(seeds), {"reset_mask": mask}
        obs, info = self._call("reset", lambda: self._envs.reset(seed=seed, options=options))
        self._lives = np.where(mask, info["lives"], self._lives)
        self._blank[mask] = 0
        return self._frames(obs)

    def _frames(self, obs: Any) -> Any:
        """[B, stack * depth, size, size]."""
        if self._depth == 1:
            return obs
        return np.moveaxis(obs, -1, 2).reshape(self.n_envs, *self._shape)

    def _call(self, method: str, call: Callable[[], Any]) -> Any:
        self._cell[0] = 0
        try:
            returned = call()
        except Exception as error:  # whatever the emulator raises is told with its place
            self._raise(method, error)
        self._cell[0] = NOBODY
        return returned

    def _take_again(self, actions: list[list[int]]) -> Any:
        """Seed every game by its episode number and take its actions, so that all end together;
        return the last observations.
        """
        longest = max(map(len, actions))
        late = [longest - len(taken) for taken in actions]
        observation = np.zeros((self.n_envs, *self._shape), np.uint8)
        for t in range(longest + 1):
            starts = np.array([delay == t for delay in late])
            if t == 0:  # a vector starts as a whole; those without a seed start again in time
                seeds = [
                    self._seed_emulator(i) if starts[i] else _NO_SEED for i in range(len(late))
                ]
                observation[...] = self._reset(np.ones(self.n_envs, bool), seeds)
            elif starts.any():
                observation[starts] = self._start_games(starts, first=True)[starts]
            if t == longest:
                break
            started = np.array([delay <= t for delay in late])
            taken = np.zeros(self.n_envs, np.int64)
            for i in np.flatnonzero(started).tolist():
                taken[i] = actions[i][t - late[i]]
            frames, _reward, over, cut, lost = self._step(taken, np.flatnonzero(started).tolist())
            observation[...] = frames
            self._next_episodes(observation, (over | cut) & started, lost & started)
        return observation

    def reset_idle(self, observation: Any) -> np.ndarray[Any, Any]:
        """Nothing ever waits here."""
        return np.zeros(self.n_envs, dtype=bool)

    def state_dict(self) -> dict[str, Any]:
        """Episode numbers, and for each environment that of its seed and the actions since."""
        envs = [
            {"seeded": seeded, "actions": np.array(taken, np.int64)}
            for seeded, taken in zip(self._seeded, self._actions, strict=True)
        ]
        return {"episode": list(self._number), "envs": envs}

    def load_state_dict(self, state: dict[str, Any], observation: Any = None) -> bool:
        """Seed and take the actions again; warn where that does not lead to ``observation``."""
        self._number = [int(saved["seeded"]) for saved in state["envs"]]
        actions = [np.asarray(saved["actions"]).tolist() for saved in state["envs"]]
        found = self._take_again(actions)
        if observation is not None:
            for i, (index, taken) in enumerate(zip(self.env_indices, actions, strict=True)):
                warn_unless_equal(index, i, len(taken), found, observation)
        return True

    def watch(self, cell: Any) -> None:
        """From now on ``cell[0]`` is 0 while the emulators are running."""
        cell[0] = NOBODY
        self._cell = cell

    def capsule(self, failure: dict[str, str], row: int | None = None) -> dict[str, Any] | None:
        """What is known of ``failure``: the configuration and the seed, but not the actions."""
        if row is None and self._cell[0] == NOBODY:
            return None
        return capsule_from_history(
            self._description,
            env_index=self.env_indices[0],
            n_envs=self.n_envs,
            seed=self._seed,
            stream=self._stream,
            episode=self._number[0] if self._number[0] >= 0 else None,
            actions=None,
            steps=len(self._actions[0]),
            failure=failure,
        )

    def _raise(self, method: str, error: Exception) -> NoReturn:
        raise self._failed(raised_by(self.env_indices[0], f"in {method}", error)) from error

    def _failed(self, error: RlpytError) -> RlpytError:
        error.capsule = self.capsule(failure_of(error), 0)
        return error

    def close(self) -> None:
        """End the threads."""
        self._envs.close()


def _check_names(field: str, names: Iterable[str], known: Sequence[str]) -> None:
    for name in names:
        if name not in known:
            hint = f"{did_you_mean(name, known)}; or use vectorization='loop'"
            what = f"{field}: ale-py's vector environment has no {name!r}"
            raise RlpytError("config", what, hint=hint)
