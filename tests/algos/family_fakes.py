"""A family of policies in a world in which every observation is met once, in float64; and three
updates of it on fixed samples, for the golden numbers.
"""

from typing import Any

import numpy as np
import torch
from golden_q import COMMON, SPACES, B, T, fixed_samples
from q_fakes import DISCOUNT, Once
from toy_envs import CPU, copied, golden_numbers

from rlpyt.agents.arms import ArmAgent, ArmInfo, ArmState
from rlpyt.agents.dqn import EpsilonGreedy
from rlpyt.algos.dqn import NGU, Agent57, FamilyAlgorithm
from rlpyt.algos.dqn.armed_replay import recorded
from rlpyt.data import BatchSpec, Samples
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.samplers.serial import SerialSampler
from rlpyt.utils.buffer import buffer_map

SMALL_REWARD: dict[str, Any] = {
    "episodic_kwargs": {
        "feature_size": 4,
        "hidden_sizes": (8,),
        "model_sizes": (8,),
        "kernel_kwargs": {"capacity": 16, "n_neighbors": 3},
        "batch_size": 16,
    },
    "lifelong_kwargs": {"feature_size": 4, "hidden_sizes": (8,), "batch_size": 16},
}
SEQUENCES: dict[str, Any] = {
    "sequence_length": 5,
    "burn_in": 2,
    "rnn_state_interval": 2,
    "prioritized": Prioritized(alpha=0.9, beta=0.6),
}
SMALL_MODEL: dict[str, Any] = {"hidden_sizes": (8,), "rnn_size": 6}
CLASSES: dict[str, type[FamilyAlgorithm]] = {"ngu": NGU, "agent57": Agent57}


def algorithm(name: str, **settings: Any) -> FamilyAlgorithm:
    """Small, with a replay that is learned from at once."""
    common = {
        "discount": DISCOUNT,
        "discount_min": 0.5,
        "replay": ReplayBuffer(size=2_000, **SEQUENCES),
        "batch_size": 16,
        "min_steps_learn": 80,
        "replay_ratio": 4.0,
        "learning_rate": 0.01,
        "target_update_interval": 3,
        "reward_kwargs": SMALL_REWARD,
    }
    return CLASSES[name](**{**common, **settings})


def agent_for(name: str, **settings: Any) -> ArmAgent:
    """Not yet initialised; half of its actions are random."""
    common = {
        "n_arms": 3,
        "intrinsic_weight": 0.7,
        "split": CLASSES[name].split,
        "model_kwargs": SMALL_MODEL,
        "epsilon": EpsilonGreedy(initial=0.5, final=0.5),
    }
    return ArmAgent(**{**common, **settings})


class FamilyLearner:
    """Algorithm, agent and sampler, initialised, the networks in float64."""

    def __init__(self, name: str, *, masked: bool = False, T: int = 10, **settings: Any) -> None:
        env = EnvConfig(id=Once, kwargs={"masked": masked})
        self.sampler = SerialSampler(env=env, batch_T=T, batch_B=4)
        self.agent, self.algo = agent_for(name), algorithm(name, **settings)
        self.agent.initialize(self.sampler.env_spaces(), seed=0, device=CPU)
        self.agent.model.double()
        self.agent.weights = self.agent.weights.double()
        self.sampler.initialize(self.agent, seed=0)
        self.algo.initialize(self.agent, n_itr=100, batch_spec=self.sampler.batch_spec, seed=0)
        rng = np.random.default_rng(1)  # else double Q-learning would choose the same
        for parameter in self.algo.target.parameters():
            parameter.add_(torch.tensor(rng.standard_normal(parameter.shape)), alpha=0.3)

    def fill(self, n_itr: int) -> Samples:
        """Collect, and append with intrinsic rewards by the number of the step; the log."""
        rng, batches = np.random.default_rng(2), []
        for itr in range(n_itr):
            self.agent.play_next(0, rng.integers(0, self.agent.n_arms, 4).tolist())
            samples = copied(self.sampler.obtain_samples(itr)[0])
            intrinsic = torch.tensor(rng.standard_normal(samples.reward.shape)).float()
            kept = recorded(samples, intrinsic)
            self.algo.replay.append(kept)
            batches.append(kept)
        self.sampler.shutdown()
        whole: Samples = buffer_map(lambda *parts: torch.cat(parts), *batches)
        return whole


def after_three_family_updates(name: str, settings: dict[str, Any]) -> dict[str, Any]:
    """The numbers of NGU or Agent57."""
    rng = np.random.default_rng(7)
    agent = agent_for(name)
    agent.initialize(SPACES, seed=0, device=CPU)
    agent.model.double()
    agent.weights = agent.weights.double()
    for parameter in agent.model.parameters():
        parameter.data = torch.tensor(0.4 * rng.standard_normal(parameter.shape))
    common = {key: value for key, value in COMMON.items() if key != "discount"}
    replay = ReplayBuffer(**{"size": 200, **SEQUENCES, "sequence_length": 4})
    ratio = 3 * 16 * 4 / (T * B)
    algo = algorithm(name, **{**common, "replay": replay, "replay_ratio": ratio, **settings})
    algo.initialize(agent, n_itr=1, batch_spec=BatchSpec(T, B), seed=3)
    for parameter in algo.target.parameters():
        parameter.add_(torch.tensor(0.2 * rng.standard_normal(parameter.shape)))
    parts = [*algo.reward.in_episode.inverse.parameters(), *algo.reward.lifelong.parameters()]
    for part in parts:
        part.data = torch.tensor(0.4 * rng.standard_normal(part.shape))
    algo.reward.double()  # not to depend on the machine's float32 products
    samples = family_samples(agent)
    opt_info = algo.optimize_agent(0, samples)
    assert len(opt_info["loss"]) == 3
    return golden_numbers(agent, {k: opt_info[k] for k in ("loss", "tdAbsErr", "q", "gradNorm")})


def family_samples(agent: ArmAgent) -> Samples:
    """The samples of the Q-learning family, played by arms."""

    class Plain:
        recurrent = False

    samples = fixed_samples(Plain())  # type: ignore[arg-type]  # only this is asked of it
    rng = np.random.default_rng(5)

    def state(leaf: torch.Tensor) -> torch.Tensor:
        values = torch.tensor(0.3 * rng.standard_normal((T, B, *leaf.shape[1:])))
        values[samples.reset] = 0.0
        return values if leaf.dtype.is_floating_point else values.to(leaf.dtype)

    start: ArmState = buffer_map(state, agent.initial_state(B))
    arm = torch.tensor(rng.integers(0, agent.n_arms, (1, B))).expand(T, B)
    probability = torch.tensor(rng.uniform(0.2, 1.0, (T, B))).float()
    return samples._replace(agent_info=ArmInfo(arm, probability, start))


FAMILY_CASES: dict[str, tuple[str, dict[str, Any]]] = {
    "ngu": ("ngu", {}),
    "agent57": ("agent57", {"retrace_lambda": 0.8}),
}
