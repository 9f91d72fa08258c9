"""An intrinsic reward inside another library: RND in Stable-Baselines3's PPO.

    pip install -c constraints.txt -e ".[oracles]"
    python examples/17_exploration_in_sb3.py 100000

The rewards of ``rlpyt.rewards`` know no agent, no algorithm and no runner: they take arrays of
transitions. Here a callback gives them those of each rollout, adds what they say to the rewards of
the rollout buffer, and has its advantages computed anew.
"""

import argparse
from typing import Any

import numpy as np
import torch

from rlpyt.rewards import RND, IntrinsicReward, RewardWeight, reward_samples

try:
    from stable_baselines3 import PPO
    from stable_baselines3.common.callbacks import BaseCallback
    from stable_baselines3.common.env_util import make_vec_env
except ImportError as error:
    hint = 'this example needs Stable-Baselines3: pip install -c constraints.txt -e ".[oracles]"'
    raise SystemExit(hint) from error


class IntrinsicRewardCallback(BaseCallback):
    """Adds an intrinsic reward to every rollout."""

    def __init__(self, reward: IntrinsicReward, weight: RewardWeight) -> None:
        super().__init__()
        self.reward = reward
        self.weight = weight
        self.following: list[Any] = []
        self.ends: list[Any] = []

    def _on_rollout_start(self) -> None:
        self.following, self.ends = [], []

    def _on_step(self) -> bool:
        """Keep what the buffer leaves out: the true next observation, and how episodes ended."""
        following = np.array(self.locals["new_obs"])
        for b, info in enumerate(self.locals["infos"]):
            if self.locals["dones"][b]:
                following[b] = info["terminal_observation"]
        self.following.append(following)
        self.ends.append(np.array(self.locals["dones"]))
        return True

    def _on_rollout_end(self) -> None:
        buffer = self.model.rollout_buffer
        samples = reward_samples(
            observation=buffer.observations,  # [T, B, ...]
            action=buffer.actions.astype(np.int64)[..., 0],  # Discrete
            next_observation=np.stack(self.following),
            terminated=np.stack(self.ends),
        )
        intrinsic = self.reward.compute(samples)  # [T, B]
        losses = self.reward.update(samples)
        buffer.rewards += self.weight(self.num_timesteps) * intrinsic.numpy()
        buffer.compute_returns_and_advantage(self.locals["values"], self.locals["dones"])
        self.logger.record("intrinsic/reward", float(intrinsic.mean()))
        for name, value in losses.items():
            self.logger.record(f"intrinsic/{name}", value)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter
    )
    parser.add_argument("steps", nargs="?", type=int, default=50_000)
    parser.add_argument("--env", default="MountainCar-v0", help="with a Discrete action space")
    args = parser.parse_args()

    torch.set_num_threads(1)
    env = make_vec_env(args.env, n_envs=8, seed=0)
    reward = RND.from_spaces(env.observation_space, env.action_space, n_envs=8, seed=0)
    callback = IntrinsicRewardCallback(reward, RewardWeight(beta=0.1))
    agent = PPO("MlpPolicy", env, n_steps=128, seed=0, device="cpu", verbose=1)
    agent.learn(args.steps, callback=callback)
    episodes = [info["r"] for info in agent.ep_info_buffer]
    print(f"mean return of the last {len(episodes)} episodes: {np.mean(episodes or [np.nan]):.1f}")


if __name__ == "__main__":
    main()
