"""The grid with keys and a door, for the algorithms that explore: settings they have in common."""

from dataclasses import replace

from rlpyt.agents import ArmAgent
from rlpyt.algos import NGU, Agent57
from rlpyt.cli.presets import default_runner
from rlpyt.envs import EnvConfig
from rlpyt.runners import MinibatchRl

EPISODE = 40  # steps, at most


def key_door_grid(algorithm: str) -> MinibatchRl:
    """300k steps. Each sequence is an episode from its cue on; half of them are learned from for
    other arms; novelty counts less, that the one reward is not lost in it.
    """
    made = default_runner(algorithm, EnvConfig(id="rlpyt.envs:KeyDoorGrid"))
    assert isinstance(made.algo, NGU | Agent57)
    assert isinstance(made.agent, ArmAgent)
    algo = replace(
        made.algo,
        replay=replace(made.algo.replay, sequence_length=EPISODE, rnn_state_interval=EPISODE),
        replay_ratio=64.0,
        learning_rate=5e-4,
        learning_rate_schedule="linear",
        cross_mixture=0.5,
    )
    return replace(
        made,
        algo=algo,
        agent=replace(made.agent, intrinsic_weight=0.1),
        sampler=replace(made.sampler, batch_T=EPISODE, mid_batch_reset=False),
        n_steps=300_000,
    )
