"""PPO and A2C on CartPole and Acrobot, SAC, TD3 and DDPG on Pendulum; five seeds each: 35 runs.

    python experiments/launch/classic.py --out data/classic
    python experiments/launch/classic.py --seeds 3 --affinity 8cpu_2cpr --steps 20000

The same command goes on after an interruption. On two cores it takes about four hours, most of it
for Acrobot's million steps.
"""

from launching import main

EXPERIMENTS = {
    "ppo_classic.py": ["cartpole", "acrobot"],
    "a2c_classic.py": ["cartpole", "acrobot"],
    "qpg_classic.py": ["sac_Pendulum", "td3_Pendulum", "ddpg_Pendulum"],
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
