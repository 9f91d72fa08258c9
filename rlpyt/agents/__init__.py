"""Agents: model and distribution, and the Actor that lets one act in a group of environments."""

from rlpyt.agents.arms import ArmAgent, ArmInfo, ArmState
from rlpyt.agents.base import Actor, Agent
from rlpyt.agents.dqn import DqnAgent, DqnAgentInfo, EpsilonGreedy
from rlpyt.agents.pearl import Conditioned, PearlAgent, PearlInfo, PearlState
from rlpyt.agents.pg import AgentInfo, PgAgent, PgEvaluation
from rlpyt.agents.qpg import QpgAgent, QpgAgentInfo
from rlpyt.agents.qpg_exploration import QpgExploration

__all__ = [
    "Actor",
    "Agent",
    "AgentInfo",
    "ArmAgent",
    "ArmInfo",
    "ArmState",
    "Conditioned",
    "DqnAgent",
    "DqnAgentInfo",
    "EpsilonGreedy",
    "PearlAgent",
    "PearlInfo",
    "PearlState",
    "PgAgent",
    "PgEvaluation",
    "QpgAgent",
    "QpgAgentInfo",
    "QpgExploration",
]
