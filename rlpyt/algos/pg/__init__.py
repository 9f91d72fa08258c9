"""Policy gradients: A2C and PPO."""

from rlpyt.algos.pg.a2c import A2C, A2cLoss, a2c_loss
from rlpyt.algos.pg.batch import LossInputs, RewardNormalizer, loss_inputs
from rlpyt.algos.pg.minibatch import minibatches
from rlpyt.algos.pg.ppo import PPO, PpoLoss, ppo_loss

__all__ = [
    "A2C",
    "PPO",
    "A2cLoss",
    "LossInputs",
    "PpoLoss",
    "RewardNormalizer",
    "a2c_loss",
    "loss_inputs",
    "minibatches",
    "ppo_loss",
]
