"""SAC, TD3 and PPO on MuJoCo with the settings of their papers; five seeds each: 45 runs.

    python experiments/launch/mujoco.py --out data/mujoco
    python experiments/launch/mujoco.py --out data/mujoco --steps 100000 --affinity 16cpu_1cpr

Needs ``pip install -c constraints.txt -e ".[mujoco]"``. The same command goes on after an
interruption. A million steps of SAC are about two hours of one core.
"""

from launching import main

ENVS = ("HalfCheetah-v5", "Walker2d-v5", "Hopper-v5")

EXPERIMENTS = {
    "qpg_mujoco.py": [f"{algorithm}_{env}" for algorithm in ("sac", "td3") for env in ENVS],
    "ppo_mujoco.py": list(ENVS),
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
