"""DrQ-v2 and RAD-SAC learn to move a dot to a target from 24 x 24 pixels."""

import pytest
from pixel_fakes import pixel_runner

from rlpyt.runners.evaluator import Evaluator
from rlpyt.runners.minibatch_rl import MinibatchRl


def mean_return(runner: MinibatchRl) -> float:
    evaluator = Evaluator(episodes=40, n_envs=10)
    evaluator.initialize(runner.agent, runner.sampler, seed=9, discount=1.0)
    trajs = evaluator.evaluate(0)
    evaluator.shutdown()
    return sum(traj.Return for traj in trajs) / len(trajs)


@pytest.mark.learning
@pytest.mark.timeout(1_200)
@pytest.mark.parametrize("name", ["drqv2", "rad_sac"])
def test_the_dot_is_moved_to_the_target(name: str) -> None:
    """The return is at most 20, of a perfect policy about 17, of one that stays about 6."""
    before = pixel_runner(name, 100)
    before.train()
    untrained = mean_return(before)
    made = pixel_runner(name, 8_000, batch_size=64, replay_ratio=32.0)
    made.train()
    learned = mean_return(made)
    print(f"{name}: {untrained:.1f} before, {learned:.1f} after")
    assert untrained < 9.0
    assert learned > 14.0
