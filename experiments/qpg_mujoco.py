"""Off-policy actor-critics on MuJoCo and the DeepMind Control Suite: SAC, TD3, DDPG, REDQ, CrossQ
and TQC, with the settings of their papers.

    python experiments/qpg_mujoco.py sac_HalfCheetah-v5 --seed 1 --steps 100000
    python experiments/qpg_mujoco.py crossq_dm_control/cheetah-run-v0 --seed 1

Needs ``pip install -c constraints.txt -e ".[mujoco]"``, for the suite ``".[dm-control]"``.

Published returns after 1M steps, on earlier versions of the environments, so that they compare only
roughly with -v5. SAC (CleanRL, -v2): HalfCheetah 9635 ± 1424, Walker2d 3591 ± 911, Hopper 2310 ±
343. TD3 (Fujimoto et al. 2018, -v1): HalfCheetah 9637 ± 859, Walker2d 4683 ± 540, Hopper 3564 ±
115.

Sources: Haarnoja et al. 2018 (SAC), Fujimoto et al. 2018 (TD3, and its DDPG), Chen et al. 2021
(REDQ), Bhatt et al. 2024 (CrossQ), Kuznetsov et al. 2020 (TQC). Differs: all take uniform actions
and learn nothing in the first 5000 steps, where TD3 has 25,000 in the authors' newer code; TQC
leaves two quantiles of each critic out, whatever the environment, but none in HalfCheetah.
"""

from functools import partial
from typing import Any

from command_line import main

from rlpyt.agents import QpgAgent, QpgExploration
from rlpyt.algos import DDPG, REDQ, SAC, TD3, TQC, CrossQ
from rlpyt.algos.qpg import QpgAlgorithm
from rlpyt.replays import ReplayBuffer
from rlpyt.runners import Evaluator, MinibatchRl
from rlpyt.samplers import SerialSampler

ENVS = (
    "HalfCheetah-v5",
    "Walker2d-v5",
    "Hopper-v5",
    "Ant-v5",
    "Humanoid-v5",
    "InvertedPendulum-v5",
    "dm_control/cheetah-run-v0",
    "dm_control/walker-walk-v0",
    "dm_control/hopper-hop-v0",
)
RANDOM_STEPS = 5_000


def replay() -> dict[str, Any]:
    """A million transitions, of which 256 are learned from for each step."""
    return {"replay": ReplayBuffer(size=1_000_000), "min_steps_learn": RANDOM_STEPS}


def sac(env: str) -> MinibatchRl:
    """SAC."""
    return runner(env, SAC(**replay()))


def td3(env: str) -> MinibatchRl:
    """TD3."""
    return runner(env, TD3(**replay()))


def ddpg(env: str) -> MinibatchRl:
    """DDPG, with the networks of TD3."""
    return runner(env, DDPG(**replay()))


def redq(env: str) -> MinibatchRl:
    """REDQ."""
    return runner(env, REDQ(**replay()))


def crossq(env: str) -> MinibatchRl:
    """CrossQ."""
    return runner(env, CrossQ(**replay()), batch_renorm=True)


def tqc(env: str) -> MinibatchRl:
    """TQC."""
    return runner(env, TQC(**replay(), n_dropped=0 if env.startswith("HalfCheetah") else 2))


def runner(env: str, algo: QpgAlgorithm, **model_kwargs: Any) -> MinibatchRl:
    """1M steps of one environment, evaluated every 10,000."""
    exploration = QpgExploration(random_steps=RANDOM_STEPS)
    return MinibatchRl(
        algo=algo,
        agent=QpgAgent(policy=algo.policy, model_kwargs=model_kwargs, exploration=exploration),
        sampler=SerialSampler(env=env, batch_T=1, batch_B=1),
        n_steps=1_000_000,
        log_interval_steps=10_000,
        evaluator=Evaluator(episodes=10, n_envs=2),
        checkpoint_interval_steps=50_000,
        keep_checkpoints=1,
    )


EXPERIMENTS = {
    f"{build.__name__}_{env}": partial(build, env)
    for build in (sac, td3, ddpg, redq, crossq, tqc)
    for env in ENVS
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
