"""Atari: our game, ale-py's vector and Gymnasium's preprocessing agree pixel by pixel."""

from dataclasses import replace
from typing import Any

import gymnasium
import numpy as np
import pytest
from env_fakes import allocate, assert_same_course, copy_tree, roll
from gymnasium.wrappers import AtariPreprocessing, FrameStackObservation

from rlpyt.data import Samples
from rlpyt.envs.atari import AtariConfig, AtariTrajInfo
from rlpyt.envs.atari_game import ale_seed, make_atari
from rlpyt.envs.atari_vector import AtariVectorEnv
from rlpyt.envs.build import EnvConfig, build_env, build_vector_env, peek_spaces
from rlpyt.envs.loop import LoopVectorEnv
from rlpyt.envs.vector import StatefulEnv
from rlpyt.samplers.state import join_states, part_of_state
from rlpyt.utils.collections import namedarraytuple
from rlpyt.utils.config import config_dict
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.overrides import apply_overrides
from rlpyt.utils.rebuild import component_from
from rlpyt.utils.seed import Stream, seed_int

WHY = 'needs ale-py and opencv: pip install "rlpyt[atari]"'
ale_py = pytest.importorskip("ale_py", reason=WHY)
pytest.importorskip("cv2", reason=WHY)

V5, V4 = AtariConfig.v5(), AtariConfig.no_frameskip_v4()
LIVES = replace(V4, repeat_action_probability=0.25)  # everything at once
INFO = ("lives", "game_reward", "game_over")


# --- pixels ------------------------------------------------------------------------------------


class Start(gymnasium.Wrapper):
    """Starts a game as told: this emulator seed, FIRE, no-ops up to a frame."""

    def begin(self, seed: int, fire: bool, frame: int) -> None:
        self.told = seed, fire, frame

    def reset(self, *, seed=None, options=None):
        number, fire, frame = self.told
        self.unwrapped.ale.setInt("random_seed", number)
        self.unwrapped.load_game()
        self.unwrapped.ale.reset_game()
        if fire:
            self.env.step(self.unwrapped.get_action_meanings().index("FIRE"))
        while self.unwrapped.ale.getEpisodeFrameNumber() < frame:
            self.env.step(0)
        return self.unwrapped._get_obs(), {}


def gymnasium_stack(game: str, config: AtariConfig) -> tuple[Any, Start]:
    """Gymnasium's own wrappers, set as ``config`` says."""
    start = Start(
        gymnasium.make(
            f"ALE/{game}-v5",
            frameskip=1,
            repeat_action_probability=config.repeat_action_probability,
            max_num_frames_per_episode=None,
            disable_env_checker=True,
        ).unwrapped
    )
    env = AtariPreprocessing(
        start,
        noop_max=0,
        frame_skip=config.frame_skip,
        screen_size=config.screen_size,
        grayscale_obs=config.grayscale,
    )
    return FrameStackObservation(env, config.stack, padding_type="zero"), start


def raw_vector(rom: str, config: AtariConfig) -> Any:
    return ale_py.vector_env.AtariVectorEnv(
        rom,
        1,
        repeat_action_probability=config.repeat_action_probability,
        noop_max=config.noop_max + 1,
        use_fire_reset=config.use_fire_reset,
        frameskip=config.frame_skip,
        stack_num=config.stack,
        img_height=config.screen_size,
        img_width=config.screen_size,
        grayscale=config.grayscale,
        reward_clipping=False,
    )


PIXELS = [
    ("Breakout", V5, 500),  # games of some 200 steps, lives
    ("Pong", V5, 1100),  # no lives; a game ends after some 1000 steps
    ("Seaquest", replace(V5, repeat_action_probability=0.0, use_fire_reset=True), 900),
    ("SpaceInvaders", replace(V5, frame_skip=3, screen_size=60, stack=3), 200),
    ("AirRaid", replace(V5, grayscale=False, stack=2), 100),  # screens of another size
    ("Freeway", replace(V5, frame_skip=1, noop_max=0), 100),
]


@pytest.mark.parametrize(("game", "config", "n_steps"), PIXELS, ids=str)
def test_frames_are_those_of_gymnasium_and_of_ale_py(game, config, n_steps):
    env_id = f"ALE/{game}-v5"
    ours = make_atari(env_id, {}, replace(config, reward_clip=None))
    raw = raw_vector(gymnasium.spec(env_id).kwargs["game"], config)
    theirs, start = gymnasium_stack(game, config)
    rng = np.random.default_rng(0)
    n_games, starts = 0, set()
    done = True
    for step in range(n_steps):
        if done:
            seed = seed_int(3, Stream.ENV, 0, n_games)
            n_games += 1
            raw_first, info = raw.reset(seed=np.array([ale_seed(seed)]))
            frame = int(info["episode_frame_number"][0])  # what ale-py has drawn
            starts.add(frame)
            start.begin(ale_seed(seed), config.use_fire_reset, frame)
            first, told = ours.reset(seed=seed)
            same(first, raw_first[0])
            same(first, theirs.reset()[0])
            assert told["lives"] == info["lives"][0]
        action = int(rng.integers(ours.action_space.n))
        frames, reward, over, cut, told = ours.step(action)
        raw_frames, raw_reward, raw_over, raw_cut, info = raw.step(np.array([action]))
        gym_frames, gym_reward, gym_over, gym_cut, _ = theirs.step(action)
        same(frames, raw_frames[0], step)
        same(frames, gym_frames, step)
        assert (reward, over, cut) == (raw_reward[0], raw_over[0], raw_cut[0])
        assert (reward, over, cut) == (gym_reward, gym_over, gym_cut)
        assert told == {"game_reward": reward, "game_over": over, "lives": info["lives"][0]}
        done = over
    if n_steps >= 500:
        assert n_games > 1
        assert len(starts) > 1


def same(one: Any, other: Any, step: int = -1) -> None:
    """Equal images, [stack, size, size(, 3)] or with the channels in front."""
    if other.ndim == 4:
        other = np.moveaxis(other, -1, 1).reshape(one.shape)
    assert np.array_equal(one, other), f"step {step}"


# --- vectors -----------------------------------------------------------------------------------


def info_example() -> Any:
    return namedarraytuple("EnvInfo", INFO)(*[np.float32(0)] * 3)


def vectors(game: str, config: AtariConfig, B: int = 2, **kwargs: Any) -> tuple[Any, Any]:
    """The loop and ale-py's vector on the same environments."""
    env_id, indices = f"ALE/{game}-v5", range(3, 3 + B)
    env = EnvConfig(id=env_id, atari=config, vectorization="loop", info_keys=("lives",))
    loop = build_vector_env(env, indices, seed=1)
    native = AtariVectorEnv(env_id, config, indices, seed=1, info_keys=INFO, **kwargs)
    assert isinstance(loop, LoopVectorEnv)
    assert loop.spaces == native.spaces
    assert env.info_keys == INFO
    return loop, native


def started(env: Any, decorrelation: int = 0) -> tuple[Any, Any]:
    observation, out = allocate(env, info_example())
    env.reset(observation)
    env.decorrelate(decorrelation, observation)
    return observation, out


def random_actions(env: Any, T: int, seed: int = 0) -> Any:
    return np.random.default_rng(seed).integers(env.spaces.action.n, size=(T, env.n_envs))


COURSES = [
    ("Breakout", LIVES, 260),
    ("Breakout", V5, 260),
    ("Pong", replace(V4, max_frames=401), 120),  # cut in the middle of a step
    ("Breakout", replace(LIVES, grayscale=False, stack=2, full_action_space=True), 250),
]


@pytest.mark.parametrize(("game", "config", "T"), COURSES, ids=str)
def test_the_native_vector_is_the_loop(game, config, T):
    loop, native = vectors(game, config, reseed_steps=0)
    first, out = started(loop, decorrelation=40)
    native_first, native_out = started(native, decorrelation=40)
    np.testing.assert_array_equal(first, native_first)
    actions = random_actions(loop, T)
    steps, native_steps = roll(loop, actions, out), roll(native, actions, native_out)
    assert_same_course(steps, native_steps)
    games = sum(step.env_info.game_over.sum() for step in steps)
    lives = sum(step.terminated.sum() for step in steps) - games
    cuts = sum(step.truncated.sum() for step in steps)
    assert games > 0
    assert (lives > 0) == (config.terminal_on_life_loss and cuts == 0)
    assert (cuts > 0) == (config.max_frames == 401)
    assert native.state_dict()["episode"] == loop.state_dict()["episode"]


@pytest.mark.parametrize("reseed_steps", [100, 10_000])
def test_the_generators_go_on_until_a_game_is_seeded_again(reseed_steps):
    config = replace(LIVES, reward_clip=None)
    native = AtariVectorEnv(
        "ALE/Breakout-v5", config, [7], seed=2, info_keys=INFO, reseed_steps=reseed_steps
    )
    observation, out = started(native)
    game = make_atari("ALE/Breakout-v5", {}, config)
    frames, _info = game.reset(seed=seed_int(2, Stream.ENV, 7, 0))
    np.testing.assert_array_equal(observation[0], frames)
    episode = since = games = 0
    for action in random_actions(native, 600):
        native.step(action, out)
        frames, reward, terminated, _cut, info = game.step(int(action[0]))
        since += 1
        assert (out.reward[0], out.terminated[0]) == (reward, terminated)
        if terminated:
            np.testing.assert_array_equal(out.final_observation[0], frames)
            episode += 1
            is_due = info["game_over"] and since >= reseed_steps
            games += info["game_over"]
            since = 0 if is_due else since
            frames, _ = game.reset(seed=seed_int(2, Stream.ENV, 7, episode) if is_due else None)
        np.testing.assert_array_equal(out.observation[0], frames)
    assert games > 2
    assert (native.state_dict()["envs"][0]["seeded"] > 0) == (reseed_steps == 100)


def test_environments_do_not_depend_on_who_steps_them():
    _, whole = vectors("Breakout", LIVES, B=3)
    actions = random_actions(whole, 150)
    steps = roll(whole, actions, started(whole, 10)[1])
    parts = []
    for rows in (slice(0, 1), slice(1, 3)):
        part = AtariVectorEnv("ALE/Breakout-v5", LIVES, range(3, 6)[rows], seed=1, info_keys=INFO)
        found = roll(part, actions[:, rows], started(part, 10)[1])
        assert_same_course(found, steps, rows)
        parts.append(part.state_dict())
    joined = join_states(parts)
    assert joined["episode"] == whole.state_dict()["episode"]
    last = part_of_state(joined, 1, 3)
    moved = AtariVectorEnv("ALE/Breakout-v5", LIVES, [4, 5], seed=1, info_keys=INFO)
    moved.load_state_dict(last, steps[-1].observation[1:])
    more = random_actions(whole, 60, seed=1)
    out = allocate(whole, info_example())[1]
    moved_out = allocate(moved, info_example())[1]
    ahead = roll(whole, more, out)
    assert_same_course(roll(moved, more[:, 1:], moved_out), ahead, slice(1, 3))


# --- lives -------------------------------------------------------------------------------------


def test_a_lost_life_ends_the_episode_and_not_the_game():
    whole = make_atari("ALE/Breakout-v5", {}, replace(LIVES, terminal_on_life_loss=False))
    lives = make_atari("ALE/Breakout-v5", {}, LIVES)
    frames, _ = whole.reset(seed=5)
    np.testing.assert_array_equal(lives.reset(seed=5)[0], frames)
    rng = np.random.default_rng(0)
    age, n_lost, over = 4, 0, False
    while not over:
        action = int(rng.integers(4))
        frames, reward, over, _, info = whole.step(action)
        found, found_reward, terminated, _, found_info = lives.step(action)
        age += 1
        kept = min(age, 4)
        np.testing.assert_array_equal(found[4 - kept :], frames[4 - kept :])
        assert not found[: 4 - kept].any()
        assert (found_reward, found_info) == (reward, info)
        if terminated and not over:
            n_lost += 1
            found, found_info = lives.reset(seed=99)  # has no effect
            np.testing.assert_array_equal(found[3], frames[3])
            assert not found[:3].any()
            assert not found_info["game_over"]
            age = 1
    assert terminated
    assert n_lost == 4
    assert lives.reset(seed=6)[1]["lives"] == 5


def test_a_life_lost_as_the_game_is_cut_is_a_cut():
    game = make_atari("ALE/Breakout-v5", {}, LIVES)
    game.reset(seed=seed_int(1, Stream.ENV, 3, 0))
    n_steps = 1
    while not game.step(0 if n_steps > 1 else 1)[2]:
        n_steps += 1
    for env in vectors("Breakout", replace(LIVES, max_frames=4 * n_steps), B=1, reseed_steps=0):
        actions = np.array([[1]] + [[0]] * (n_steps - 1))
        *before, last = roll(env, actions, started(env)[1])
        assert not any(step.truncated[0] for step in before)
        assert (last.terminated[0], last.truncated[0]) == (False, True)
        assert last.env_info.game_over[0] == 1
        assert last.env_info.lives[0] == 4


def test_rewards_are_clipped_and_the_score_is_kept():
    clipped, plain = V5, replace(V5, reward_clip=None)
    game, other = (make_atari("ALE/SpaceInvaders-v5", {}, c) for c in (clipped, plain))
    game.reset(seed=0)
    other.reset(seed=0)
    total = 0.0
    for action in np.random.default_rng(0).integers(6, size=150).tolist():
        _, reward, *_, info = game.step(action)
        _, score, *_ = other.step(action)
        assert reward == np.sign(score)
        assert info["game_reward"] == score
        total += score
    assert total >= 10


def fragment(reward: Any, game_reward: Any, over: Any, done: Any) -> Samples:
    info = namedarraytuple("EnvInfo", ("game_reward", "game_over"))
    numbers = [np.array(x, np.float32) for x in (game_reward, over)]
    no = np.zeros(len(reward), bool)
    empty = [None] * len(Samples._fields)
    return Samples(*empty)._replace(
        reward=np.array(reward, np.float32),
        terminated=np.array(done, bool),
        truncated=no,
        env_info=None if game_reward is None else info(*numbers),
    )


def test_statistics_are_of_whole_games():
    steps = fragment([1, 0, 1], [7, 0, 3], [0, 0, 1], [0, 1, 1])
    traj = AtariTrajInfo(discount=0.5)
    assert traj.ends(steps).tolist() == [False, False, True]
    traj.extend(steps)
    assert traj.columns() == {
        "Length": 3,
        "Return": 2.0,
        "NonzeroRewards": 2,
        "DiscountedReturn": 1.25,
        "GameScore": 10.0,
    }


def test_statistics_of_what_is_no_recorded_game():
    steps = fragment([1, 2], None, None, [0, 1])
    traj = AtariTrajInfo()
    assert traj.ends(steps).tolist() == [False, True]
    traj.extend(steps)
    assert traj.GameScore == traj.Return == 3.0


# --- state -------------------------------------------------------------------------------------


@pytest.mark.parametrize("n_before", [1, 300])
def test_a_game_continues_from_its_state(n_before):
    game = make_atari("ALE/Breakout-v5", {}, LIVES)
    assert isinstance(game, StatefulEnv)
    game.reset(seed=4)
    actions = np.random.default_rng(0).integers(4, size=n_before + 250).tolist()
    for action in actions[:n_before]:
        if game.step(action)[2]:
            game.reset()
    state = {name: np.copy(value) for name, value in game.get_state().items()}
    other = make_atari("ALE/Breakout-v5", {}, LIVES)
    other.reset(seed=1)
    other.set_state(state)
    n_games = 0
    for action in actions[n_before:]:
        step, found = game.step(action), other.step(action)
        np.testing.assert_array_equal(step[0], found[0])
        assert step[1:] == found[1:]
        n_games += step[4]["game_over"]
        if step[2]:
            np.testing.assert_array_equal(game.reset()[0], other.reset()[0])
    assert n_games > 0


def test_a_game_continues_from_the_loss_of_a_life():
    game, other = (make_atari("ALE/Breakout-v5", {}, LIVES) for _ in range(2))
    game.reset(seed=4)
    while not game.step(1)[2]:
        pass
    other.reset(seed=9)
    other.set_state(game.get_state())
    np.testing.assert_array_equal(game.reset()[0], other.reset()[0])
    np.testing.assert_array_equal(game.step(1)[0], other.step(1)[0])


@pytest.mark.parametrize(
    ("kind", "reseed_steps"), [(0, 0), (1, 100), (1, 10_000)], ids=["loop", "reseeded", "native"]
)
def test_vectors_continue_from_their_state(kind, reseed_steps):
    made = [vectors("Breakout", LIVES, reseed_steps=reseed_steps)[kind] for _ in range(2)]
    env, other = made
    actions = random_actions(env, 300)
    out = started(env)[1]
    before = roll(env, actions[:220], out)
    state = env.state_dict()
    ahead = roll(env, actions[220:], out)
    assert other.load_state_dict(state, before[-1].observation)  # a warning would be an error
    assert_same_course(roll(other, actions[220:], allocate(other, info_example())[1]), ahead)


def test_another_course_than_the_saved_one_is_warned_of():
    _, env = vectors("Breakout", V5)
    roll(env, random_actions(env, 3), started(env)[1])
    wrong = np.zeros((2, 4, 84, 84), np.uint8)
    with pytest.warns(UserWarning, match="is not deterministic") as told:
        env.load_state_dict(env.state_dict(), wrong)
    assert [str(warning.message)[:5] for warning in told] == ["env 3", "env 4"]


# --- configuration -----------------------------------------------------------------------------


def test_an_id_chooses_its_convention():
    v5, v4 = EnvConfig(id="ALE/Pong-v5"), EnvConfig(id="PongNoFrameskip-v4")
    assert (v5.atari, v5.vectorization) == (V5, "native")
    assert (v4.atari, v4.vectorization) == (V4, "native")
    assert EnvConfig(id="ale_py:ALE/Pong-v5").atari == V5
    assert (V5.repeat_action_probability, V5.terminal_on_life_loss) == (0.25, False)
    assert (V4.repeat_action_probability, V4.terminal_on_life_loss) == (0.0, True)
    assert v5.info_keys == ("game_reward", "game_over")
    cartpole = EnvConfig(id="CartPole-v1")
    assert (cartpole.atari, cartpole.vectorization, cartpole.info_keys) == (None, "loop", ())
    space = peek_spaces(v5).observation
    assert (space.shape, space.dtype) == ((4, 84, 84), np.uint8)
    assert isinstance(build_vector_env(v4, [0], seed=0), AtariVectorEnv)


def test_the_plain_environment_when_asked():
    plain = EnvConfig(id="ALE/Pong-v5", atari=None)
    assert (plain.vectorization, plain.info_keys) == ("loop", ())
    assert build_env(plain).observation_space.shape == (210, 160, 3)
    changed = ["atari=null", "vectorization=loop"]
    assert apply_overrides(EnvConfig(id="ALE/Pong-v5"), changed) == plain


def test_settings_are_overridden_written_down_and_read_back():
    config = apply_overrides(
        EnvConfig(id="ALE/Pong-v5"), ["atari.stack=2", "atari.reward_clip=null"]
    )
    assert config.atari == replace(V5, stack=2, reward_clip=None)
    assert component_from(config_dict(config), "here") == config


def test_evaluation_scores_the_whole_game():
    config = EnvConfig(id="PongNoFrameskip-v4").for_evaluation()
    assert config.atari == replace(V4, terminal_on_life_loss=False)
    assert config.score_key == "game_reward"
    free = EnvConfig(id="ALE/Pong-v5", atari=replace(V5, reward_clip=None))
    assert free.for_evaluation().score_key is None
    clipped = EnvConfig(id="CartPole-v1", clip_reward=1.0)
    assert clipped.for_evaluation() == replace(clipped, info_keys=("unclipped_reward",))
    assert (clipped.score_key, clipped.for_evaluation().score_key) == (None, "unclipped_reward")
    assert EnvConfig(id="CartPole-v1").for_evaluation() == EnvConfig(id="CartPole-v1")


def test_what_the_native_vector_cannot_do_is_left_to_the_loop():
    hard = EnvConfig(id="ALE/Pong-v5", kwargs={"difficulty": 1})
    assert hard.vectorization == "loop"
    assert build_env(hard).unwrapped._game_difficulty == 1
    with pytest.raises(RlpytError, match="no 'difficulty'") as caught:
        build_vector_env(replace(hard, vectorization="native"), [0], seed=0)
    assert "vectorization='loop'" in caught.value.hint
    assert EnvConfig(id="ALE/Pong-v5", kwargs={"num_threads": 1}).vectorization == "native"
    with pytest.raises(RlpytError, match="mid_batch_reset=False is not available"):
        build_vector_env(EnvConfig(id="ALE/Pong-v5"), [0], seed=0, auto_reset=False)
    with pytest.raises(RlpytError, match=r"info_keys: .* no 'live'") as caught:
        build_vector_env(EnvConfig(id="ALE/Pong-v5", info_keys=("live",)), [0], seed=0)
    assert "did you mean 'lives'" in caught.value.hint


@pytest.mark.parametrize(
    ("change", "message"),
    [
        ({"frame_skip": 0}, "atari.frame_skip=0"),
        ({"max_frames": 0}, "atari.max_frames=0"),
        ({"noop_max": -1}, "atari.noop_max=-1"),
        ({"repeat_action_probability": 1.5}, "atari.repeat_action_probability=1.5"),
        ({"reward_clip": 0.0}, r"atari.reward_clip=0\.0"),
    ],
    ids=str,
)
@pytest.mark.parametrize("vectorization", ["loop", "native"])
def test_settings_without_sense_are_refused(change, message, vectorization):
    config = EnvConfig(id="ALE/Pong-v5", atari=replace(V5, **change), vectorization=vectorization)
    with pytest.raises(RlpytError, match=message):
        build_vector_env(config, [0], seed=0)


def test_settings_said_twice_are_refused():
    with pytest.raises(RlpytError, match="frameskip is a part") as caught:
        build_env(EnvConfig(id="ALE/Pong-v5", kwargs={"frameskip": 4}))
    assert "atari.frame_skip" in caught.value.hint
    for name, instead in (("frame_stack", "stack"), ("time_limit", "max_frames")):
        with pytest.raises(RlpytError, match=name) as caught:
            build_env(EnvConfig(id="ALE/Pong-v5", **{name: 4}))
        assert f"atari.{instead}" in caught.value.hint
    with pytest.raises(RlpytError, match="'CartPole-v1' is no Atari game"):
        build_env(EnvConfig(id="CartPole-v1", atari=V5))
    with pytest.raises(RlpytError, match="is no Atari game"):
        build_vector_env(EnvConfig(id=Start, atari=V5, vectorization="native"), [0], seed=0)


def test_actions_out_of_range_are_told_and_not_waited_for():
    _, env = vectors("Pong", V5)
    out = started(env)[1]
    with pytest.raises(RlpytError, match=r"actions \[0, 6\], the games have 6") as caught:
        env.step(np.array([0, 6]), out)
    assert caught.value.capsule["kind"] == "native"
    assert caught.value.capsule["env"] is None


def test_a_game_needs_a_first_seed_and_draws():
    game = build_env(EnvConfig(id="ALE/Pong-v5"), render_mode="rgb_array")
    with pytest.raises(RlpytError, match="without a seed"):
        game.reset()
    first, _ = game.reset(seed=0)
    kept = copy_tree(first)
    game.step(0)
    np.testing.assert_array_equal(first, kept)  # memory of its own
    assert game.render().shape == (210, 160, 3)
