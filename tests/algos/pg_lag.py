"""Learning from what parameters of some iterations ago have sampled."""

from collections import deque

import torch
from toy_envs import CPU

from rlpyt.agents.pg import PgAgent
from rlpyt.runners.evaluator import Evaluator
from rlpyt.samplers.serial import SerialSampler


def learn(algo, env, *, lag, n_itr, T, B, seed=0, **model):
    """Train ``algo`` while an agent ``lag`` iterations behind samples.

    Returns:
        The mean return of 200 greedy episodes, and in each iteration the first step's KL between
        the learner and who sampled.
    """
    agents = [PgAgent(model_kwargs=model) for _ in range(2)]
    actor, learner = agents
    sampler = SerialSampler(env=env, batch_T=T, batch_B=B)
    for agent in agents:
        agent.initialize(sampler.env_spaces(), seed=seed, device=CPU)
    sampler.initialize(actor, seed=seed, discount=algo.discount, bootstrap_value=True)
    algo.initialize(learner, n_itr=n_itr, batch_spec=sampler.batch_spec, seed=seed)
    published = deque([state_of(learner)] * lag)
    kl = []
    for itr in range(n_itr):
        published.append(state_of(learner))
        actor.load_state_dict(published.popleft())
        opt_info = algo.optimize_agent(itr, sampler.obtain_samples(itr)[0])
        kl.append(opt_info["approxKl"][0])
    evaluator = Evaluator(episodes=200, n_envs=20)
    evaluator.initialize(learner, sampler, seed=1, discount=1.0)
    trajs = evaluator.evaluate(0)
    evaluator.shutdown()
    sampler.shutdown()
    return sum(traj.Return for traj in trajs) / len(trajs), kl


def state_of(agent):
    return {"model": {name: value.clone() for name, value in agent.state_dict()["model"].items()}}


def moved(agent, scale=0.3, seed=1):
    """Let ``agent`` have other parameters than those that sampled."""
    draw = torch.Generator().manual_seed(seed)
    for parameter in agent.model.parameters():
        parameter.data += scale * torch.randn(parameter.shape, generator=draw).to(parameter)
