"""Policy gradients: A2C and PPO, and IMPALA and APPO, which tolerate lag."""

from rlpyt.algos.pg.a2c import A2C, A2cLoss, OneStepAlgorithm, a2c_loss
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.batch import LossInputs, RewardNormalizer, loss_inputs
from rlpyt.algos.pg.impala import IMPALA, ImpalaLoss, impala_loss
from rlpyt.algos.pg.minibatch import minibatches
from rlpyt.algos.pg.ppo import PPO, PpoLoss, SurrogateAlgorithm, ppo_loss
from rlpyt.algos.pg.vtrace import Correction, VTraceInputs, vtrace_inputs

__all__ = [
    "A2C",
    "APPO",
    "IMPALA",
    "PPO",
    "A2cLoss",
    "Correction",
    "ImpalaLoss",
    "LossInputs",
    "OneStepAlgorithm",
    "PpoLoss",
    "RewardNormalizer",
    "SurrogateAlgorithm",
    "VTraceInputs",
    "a2c_loss",
    "impala_loss",
    "loss_inputs",
    "minibatches",
    "ppo_loss",
    "vtrace_inputs",
]
