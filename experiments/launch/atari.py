"""DQN, Rainbow and PPO on four Atari games with the settings of their papers; five seeds each: 60
runs.

    python experiments/launch/atari.py --out data/atari --affinity 16cpu_8gpu
    python experiments/launch/atari.py --out data/atari --seeds 1 --steps 100000

Needs ``pip install -c constraints.txt -e ".[atari]"``. The same command goes on after an
interruption. Two runs that share an accelerator leave less of it idle: ``16cpu_8gpu_2cxg``.
"""

from launching import main

GAMES = ("Pong", "Breakout", "Qbert", "Seaquest")

EXPERIMENTS = {
    "dqn_atari.py": [*GAMES, *(f"rainbow_{game}" for game in GAMES)],
    "ppo_atari.py": list(GAMES),
}

if __name__ == "__main__":
    main(__doc__, EXPERIMENTS)
