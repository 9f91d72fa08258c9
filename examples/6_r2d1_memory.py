"""R2D1 in a corridor that takes memory: the first observation says where to turn at the end.

An argument sets the number of environment steps. DQN without memory is trained beside it: at best
it earns 0, by turning one way whatever the cue was; R2D1 comes to 1.

The model gets ``recurrent="lstm"``, the replay ``sequence_length``, and the algorithm is R2D1. The
replay keeps the recurrent state of every fourth step; a sequence starts from one of them, and
``burn_in`` steps bring it up to date before the steps that are learned from.
"""

import sys

from rlpyt.agents import DqnAgent, EpsilonGreedy
from rlpyt.algos import DQN, R2D1
from rlpyt.envs import EnvConfig
from rlpyt.logging import default_log_dir, logger_context
from rlpyt.replays import Prioritized, ReplayBuffer
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

ENV = EnvConfig(id="rlpyt.envs:MemoryCorridor", kwargs={"length": 10})


def r2d1(n_steps: int) -> MinibatchRl:
    """With memory."""
    return MinibatchRl(
        algo=R2D1(
            discount=0.99,
            replay=ReplayBuffer(
                size=50_000,
                sequence_length=12,
                burn_in=4,
                rnn_state_interval=4,
                n_step_return=5,
                prioritized=Prioritized(alpha=0.9, beta=0.6, beta_final=0.6),
            ),
            batch_size=32,
            min_steps_learn=500,
            replay_ratio=48.0,  # a gradient step for every 8 environment steps
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            target_update_interval=50,
            optim_kwargs={"eps": 1e-5},
        ),
        agent=DqnAgent(
            model_kwargs={"recurrent": "lstm", "rnn_size": 64, "hidden_sizes": (64,)},
            epsilon=EpsilonGreedy(final=0.05, steps=n_steps // 5),
        ),
        sampler=SerialSampler(env=ENV, batch_T=10, batch_B=8),
        n_steps=n_steps,
    )


def dqn(n_steps: int) -> MinibatchRl:
    """Without."""
    return MinibatchRl(
        algo=DQN(
            replay=ReplayBuffer(size=50_000),
            batch_size=64,
            min_steps_learn=500,
            replay_ratio=16.0,
            learning_rate=1e-3,
            learning_rate_schedule="linear",
            target_update_interval=100,
        ),
        agent=DqnAgent(epsilon=EpsilonGreedy(final=0.05, steps=n_steps // 5)),
        sampler=SerialSampler(env=ENV, batch_T=10, batch_B=8),
        n_steps=n_steps,
    )


def mean_return(runner: MinibatchRl) -> float:
    """Of 200 greedy episodes, on seeds that training never used."""
    evaluator = Evaluator(episodes=200, n_envs=20)
    evaluator.initialize(runner.agent, runner.sampler, seed=1, discount=1.0)
    trajs = evaluator.evaluate(0)
    evaluator.shutdown()
    return sum(traj.Return for traj in trajs) / len(trajs)


if __name__ == "__main__":
    n_steps = int(sys.argv[1]) if sys.argv[1:] else 30_000
    found = {}
    for name, runner in {"r2d1": r2d1(n_steps), "dqn": dqn(n_steps)}.items():
        with logger_context(default_log_dir(f"{name}_memory"), 0, name) as logger:
            runner.train(logger)
        found[name] = mean_return(runner)
    print(f"mean return with memory (r2d1): {found['r2d1']:.2f}, without (dqn): {found['dqn']:.2f}")
