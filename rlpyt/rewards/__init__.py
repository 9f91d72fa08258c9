"""Intrinsic rewards: novelty of transitions, for agents that explore. Modules of their own, on the
learner's side.
"""

from rlpyt.rewards.actions import ActionCode
from rlpyt.rewards.base import IntrinsicReward, for_spaces
from rlpyt.rewards.byol_explore import BYOLExplore
from rlpyt.rewards.disagreement import Disagreement
from rlpyt.rewards.dynamics import Dynamics
from rlpyt.rewards.e3b import E3B
from rlpyt.rewards.episodic import KernelCounts, KernelOptions
from rlpyt.rewards.fabric import Fabric, FabricPart
from rlpyt.rewards.features import FeatureNetwork, FeatureOptions
from rlpyt.rewards.girm import GIRM
from rlpyt.rewards.icm import ICM
from rlpyt.rewards.inverse import InverseDynamics
from rlpyt.rewards.learner import LearnerOptions, RewardLearner
from rlpyt.rewards.memory import EpisodicMemory
from rlpyt.rewards.ngu import NGU
from rlpyt.rewards.normalize import ObservationStatistics, RewardNorm, RewardScale
from rlpyt.rewards.pseudo_counts import PseudoCounts
from rlpyt.rewards.re3 import RE3
from rlpyt.rewards.revd import REVD
from rlpyt.rewards.ride import RIDE
from rlpyt.rewards.rise import RISE
from rlpyt.rewards.rnd import RND
from rlpyt.rewards.samples import RewardSamples, reward_samples, samples_of
from rlpyt.rewards.snd import SND
from rlpyt.rewards.weight import RewardWeight

__all__ = [
    "E3B",
    "GIRM",
    "ICM",
    "NGU",
    "RE3",
    "REVD",
    "RIDE",
    "RISE",
    "RND",
    "SND",
    "ActionCode",
    "BYOLExplore",
    "Disagreement",
    "Dynamics",
    "EpisodicMemory",
    "Fabric",
    "FabricPart",
    "FeatureNetwork",
    "FeatureOptions",
    "IntrinsicReward",
    "InverseDynamics",
    "KernelCounts",
    "KernelOptions",
    "LearnerOptions",
    "ObservationStatistics",
    "PseudoCounts",
    "RewardLearner",
    "RewardNorm",
    "RewardSamples",
    "RewardScale",
    "RewardWeight",
    "for_spaces",
    "reward_samples",
    "samples_of",
]
