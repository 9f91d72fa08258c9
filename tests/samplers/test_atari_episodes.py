"""An episode of the log is a whole Atari game, and evaluation plays it to its end."""

import pytest
import torch

from rlpyt.agents import PgAgent
from rlpyt.envs import AtariTrajInfo, EnvConfig
from rlpyt.runners.evaluator import Evaluator
from rlpyt.samplers import SerialSampler

WHY = 'needs ale-py and opencv: pip install "rlpyt[atari]"'
pytest.importorskip("ale_py", reason=WHY)
pytest.importorskip("cv2", reason=WHY)


def sampler(**kwargs):
    env = EnvConfig(id="SpaceInvadersNoFrameskip-v4")
    return SerialSampler(env=env, batch_T=100, batch_B=2, TrajInfoCls=AtariTrajInfo, **kwargs)


def agent_for(made):
    agent = PgAgent(model_kwargs={"image": "flatten", "hidden_sizes": (16,)})
    agent.initialize(made.env_spaces(), seed=0, device=torch.device("cpu"))
    return agent


def test_a_lost_life_ends_no_episode_of_the_log():
    made = sampler()
    made.initialize(agent_for(made), seed=1)
    trajs, batches = [], []
    while len(trajs) < 2:
        samples, finished = made.obtain_samples(0)
        trajs += finished
        over = samples.env_info.game_over != 0
        batches.append((samples.terminated.clone(), over, samples.env_info.game_reward.clone()))
    made.shutdown()
    terminated, over, scores = (torch.cat(parts) for parts in zip(*batches, strict=True))
    assert terminated.sum() > over.sum() >= len(trajs)
    assert len(trajs) == over.sum()
    for traj in trajs:
        assert traj.GameScore > traj.Return > 0
    column = scores[:, trajs[0].env_index]
    end = int(over[:, trajs[0].env_index].int().argmax()) + 1
    assert (trajs[0].Length, trajs[0].GameScore) == (end, float(column[:end].sum()))


def test_evaluation_is_of_whole_games_without_clipping():
    made = sampler()
    agent = agent_for(made)
    evaluator = Evaluator(episodes=1, n_envs=1, greedy=False)
    evaluator.initialize(agent, made, seed=0, discount=1.0)
    (traj,) = evaluator.evaluate(0)
    evaluator.shutdown()
    made.shutdown()
    assert traj.Return == traj.GameScore > traj.NonzeroRewards
