"""Policy gradients: A2C and PPO; IMPALA and APPO, which tolerate lag; DrAC, DAAC and PPG, which
generalise.
"""

from rlpyt.algos.pg.a2c import A2C, A2cLoss, OneStepAlgorithm, a2c_loss
from rlpyt.algos.pg.agreement import policy_agreement_loss, value_agreement_loss
from rlpyt.algos.pg.appo import APPO
from rlpyt.algos.pg.batch import LossInputs, RewardNormalizer, loss_inputs
from rlpyt.algos.pg.daac import (
    DAAC,
    DaacPolicyLoss,
    DaacValueLoss,
    daac_policy_loss,
    daac_value_loss,
)
from rlpyt.algos.pg.drac import DrAC, DracLoss
from rlpyt.algos.pg.epochs import EpochsAlgorithm
from rlpyt.algos.pg.impala import IMPALA, ImpalaLoss, impala_loss
from rlpyt.algos.pg.ppg import PPG, AuxiliaryLoss, auxiliary_loss
from rlpyt.algos.pg.ppo import PPO, PpoLoss, SurrogateAlgorithm, ppo_loss
from rlpyt.algos.pg.vtrace import Correction, VTraceInputs, vtrace_inputs

__all__ = [
    "A2C",
    "APPO",
    "DAAC",
    "IMPALA",
    "PPG",
    "PPO",
    "A2cLoss",
    "AuxiliaryLoss",
    "Correction",
    "DaacPolicyLoss",
    "DaacValueLoss",
    "DrAC",
    "DracLoss",
    "EpochsAlgorithm",
    "ImpalaLoss",
    "LossInputs",
    "OneStepAlgorithm",
    "PpoLoss",
    "RewardNormalizer",
    "SurrogateAlgorithm",
    "VTraceInputs",
    "a2c_loss",
    "auxiliary_loss",
    "daac_policy_loss",
    "daac_value_loss",
    "impala_loss",
    "loss_inputs",
    "policy_agreement_loss",
    "ppo_loss",
    "value_agreement_loss",
    "vtrace_inputs",
]
