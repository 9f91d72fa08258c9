"""The grid with keys and a door: what the settings of NGU, Agent57 and R2D1 have in common."""

from dataclasses import replace

from rlpyt.agents import ArmAgent, DqnAgent, EpsilonGreedy
from rlpyt.algos import NGU, R2D1, Agent57
from rlpyt.cli.presets import default_runner
from rlpyt.envs import EnvConfig
from rlpyt.runners import MinibatchRl

# Cells along a side of a room. Random actions take the exit in a third of episodes, and the door
# with the right key in 1 of 23,000.
SIZE = 7
EPISODE = 8 * SIZE  # steps, at most


def key_door_grid(algorithm: str) -> MinibatchRl:
    """Two million steps of 16 environments, one for Agent57. Each sequence is an episode from its
    cue on, which the LSTM is to remember from the start; a family learns half of them for other
    arms.
    """
    made = default_runner(algorithm, EnvConfig(id="rlpyt.envs:KeyDoorGrid", kwargs={"size": SIZE}))
    assert isinstance(made.algo, NGU | Agent57 | R2D1)
    assert isinstance(made.agent, ArmAgent | DqnAgent)
    replay = replace(
        made.algo.replay, sequence_length=EPISODE, burn_in=0, rnn_state_interval=EPISODE
    )
    algo = replace(
        made.algo,
        replay=replay,
        replay_ratio=64.0,
        learning_rate=5e-4,
        learning_rate_schedule="linear",
    )
    if not isinstance(algo, R2D1):
        algo = replace(algo, cross_mixture=0.5)
    agent = replace(
        made.agent,
        model_kwargs={**made.agent.model_kwargs, "forget_bias": 2.0},
        epsilon=EpsilonGreedy(final=0.4, final_min=0.4**8, steps=1),
    )
    sampler = replace(made.sampler, batch_T=EPISODE, batch_B=16, mid_batch_reset=False)
    n_steps = 1_000_000 if algorithm == "agent57" else 2_000_000
    return replace(made, algo=algo, agent=agent, sampler=sampler, n_steps=n_steps)
