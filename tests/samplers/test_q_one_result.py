"""Q-learning: for one seed and group_size, every sampler gives the same bits; also with vector
epsilon, and with noisy nets, whose noise workers take with the parameters.
"""

from dataclasses import dataclass, field
from itertools import product
from typing import Any

import pytest
import torch
from parallel_fakes import ENVS, FEW_CPUS, LAYOUTS, PARALLEL, Result, assert_same_result, run_case
from sampler_fakes import CPU, CountTrajInfo, MaskEnv, copy_samples

from rlpyt.agents.dqn import DqnAgent, EpsilonGreedy
from rlpyt.algos.dqn import DQN, PQN, QRDQN, R2D1, CategoricalDQN, QAlgorithm
from rlpyt.envs.build import EnvConfig
from rlpyt.replays.priority import Prioritized
from rlpyt.replays.replay import ReplayBuffer
from rlpyt.runners.evaluator import Evaluator
from rlpyt.samplers import BaseSampler

pytestmark = pytest.mark.filterwarnings(FEW_CPUS)

T, B, GROUP = 10, 8, 2
RAINBOW = {"head": "categorical", "n_atoms": 11, "noisy": True, "dueling": True}
SEQUENCES = {"sequence_length": 4, "burn_in": 3, "rnn_state_interval": 3}
NEVER = EpsilonGreedy(initial=0.0, final=0.0)
OWN = EpsilonGreedy(final=0.4, final_min=0.01, steps=400, evaluation=0.2)
KINDS: dict[str, tuple[type[QAlgorithm | PQN], dict[str, Any], dict[str, Any], EpsilonGreedy]] = {
    "dqn": (DQN, {"double": True}, {}, OWN),
    "qr": (QRDQN, {}, {"head": "quantile", "n_quantiles": 5}, OWN),
    "rainbow": (CategoricalDQN, {"double": True}, RAINBOW, NEVER),
    "r2d1": (R2D1, {}, {"recurrent": "lstm", "rnn_size": 6, "noisy": True}, OWN),
    "pqn": (PQN, {}, {"recurrent": "gru", "rnn_size": 6, "layer_norm": True}, OWN),
}


@dataclass(frozen=True, kw_only=True)
class QCase:
    """One run of sampling and learning, for :func:`parallel_fakes.run_case`."""

    kind: str
    env: str = "cartpole"
    seed: int = 0
    n_itr: int = 12  # the replay of 512 wraps around in the 7th
    settings: dict[str, Any] = field(default_factory=dict)

    def agent(self) -> DqnAgent:
        """Not yet initialised."""
        _cls, _settings, model, epsilon = KINDS[self.kind]
        model = {"hidden_sizes": [16], **model}
        return DqnAgent(model_kwargs=model, epsilon=epsilon, value_range=(0.0, 10.0))

    def algorithm(self) -> QAlgorithm | PQN:
        """With a learning rate that moves the parameters."""
        cls, settings, _model, _epsilon = KINDS[self.kind]
        if cls is PQN:
            return PQN(epochs=2, minibatches=2, learning_rate=1e-2)
        sequences = SEQUENCES if cls is R2D1 else {}
        replay = ReplayBuffer(size=512, n_step_return=3, prioritized=Prioritized(), **sequences)
        common = {"batch_size": 16, "min_steps_learn": 160, "replay_ratio": 1.0}
        rates = {"learning_rate": 1e-2, "target_update_interval": 3}
        return cls(replay=replay, **common, **rates, **settings)

    def sampler(self, layout: str, **settings: Any) -> BaseSampler:
        """Eight environments in groups of two."""
        cls, own = LAYOUTS[layout]
        config = EnvConfig(id=MaskEnv) if self.env == "mask" else ENVS[self.env]
        common: dict[str, Any] = {
            "env": config,
            "batch_T": T,
            "batch_B": B,
            "group_size": GROUP,
            "max_decorrelation_steps": 9,
            "TrajInfoCls": CountTrajInfo,
            "poison": True,
        }
        return cls(**{**common, **own, **self.settings, **settings})


DIAGONAL = [
    (QCase(kind="dqn"), ["cpu2", "gpu2", "alternating2"]),
    (QCase(kind="rainbow"), ["cpu2", "gpu2", "alternating4"]),
    (QCase(kind="r2d1"), ["cpu2", "gpu1", "alternating2"]),
    (QCase(kind="qr", env="mask", seed=1), ["cpu4"]),
    (QCase(kind="r2d1", env="mask", seed=2, settings={"mid_batch_reset": False}), ["cpu2"]),
    (QCase(kind="pqn"), ["cpu2", "gpu2", "alternating2"]),
    (QCase(kind="pqn", env="mask", seed=3, settings={"mid_batch_reset": False}), ["cpu2"]),
]
MATRIX = [
    QCase(kind=kind, env=env, seed=seed, n_itr=30, settings={"mid_batch_reset": bool(seed % 2)})
    for kind, env, seed in product(KINDS, ("cartpole", "mask", "image"), range(2))
]


def check(case: QCase, layouts: list[str]) -> None:
    evaluator = Evaluator(episodes=5, n_envs=3, greedy=False)
    reference = run_case(case, "serial", evaluator=evaluator)
    assert_it_learned(case, reference)
    for layout in layouts:
        found = run_case(case, layout, evaluator=Evaluator(episodes=5, n_envs=3, greedy=False))
        assert_same_result(reference, found)


def assert_it_learned(case: QCase, found: Result) -> None:
    agent = case.agent()
    agent.initialize(case.sampler("serial").env_spaces(), seed=case.seed, device=CPU)
    start = agent.state_dict()["model"]
    assert not any(torch.equal(start[name], value) for name, value in found.parameters.items())
    assert sum(map(len, found.trajs)) > case.n_itr


@pytest.mark.parametrize(("case", "layouts"), DIAGONAL, ids=lambda p: getattr(p, "kind", ""))
def test_every_sampler_gives_the_serial_samplers_result(case: QCase, layouts: list[str]) -> None:
    check(case, layouts)


@pytest.mark.slow
@pytest.mark.parametrize("case", MATRIX, ids=lambda case: f"{case.kind}-{case.env}-{case.seed}")
def test_every_sampler_gives_the_serial_samplers_result_in_all_settings(case: QCase) -> None:
    check(case, PARALLEL)


@pytest.mark.parametrize("layout", ["serial", "cpu2", "gpu2", "alternating2"])
def test_a_noisy_agent_acts_by_the_noise_of_the_newest_update(layout: str) -> None:
    """Wherever it acts: not by no noise, and not by that of the update before."""
    case = QCase(kind="rainbow")
    sampler, agent, algo = case.sampler(layout), case.agent(), case.algorithm()
    agent.initialize(sampler.env_spaces(), seed=0, device=CPU)
    other = {"none": 0, "before": 0}  # actions that would have been others
    try:
        sampler.initialize(agent, seed=0)
        algo.initialize(agent, n_itr=12, batch_spec=sampler.batch_spec, seed=0)
        before = noise_of(agent)
        for itr in range(12):
            samples = copy_samples(sampler.obtain_samples(itr)[0])
            noise = noise_of(agent)
            assert torch.equal(actions(agent, samples), samples.action)
            for name, values in (("none", [0.0 * each for each in noise]), ("before", before)):
                set_noise(agent, values)
                other[name] += int((actions(agent, samples) != samples.action).sum())
            set_noise(agent, noise)
            before = noise
            algo.optimize_agent(itr, samples)
    finally:
        sampler.shutdown()
    assert min(other.values()) > 20, other


def noises(agent: DqnAgent) -> list[torch.Tensor]:
    return [value for name, value in agent.model.named_buffers() if ".noise_" in name]


def noise_of(agent: DqnAgent) -> list[torch.Tensor]:
    return [value.clone() for value in noises(agent)]


def set_noise(agent: DqnAgent, values: list[torch.Tensor]) -> None:
    for noise, value in zip(noises(agent), values, strict=True):
        noise.copy_(value)


@torch.inference_mode()
def actions(agent: DqnAgent, samples: Any) -> torch.Tensor:
    """What the agent chooses without epsilon, group by group, as it acted."""
    found = torch.empty_like(samples.action)
    for t, start in product(range(T), range(0, B, GROUP)):
        group = slice(start, start + GROUP)
        greedy = torch.zeros(GROUP, agent.noise_size)
        inputs = samples.agent_inputs[t, group]
        step, _state = agent.step(inputs, agent.initial_state(GROUP), greedy)
        found[t, group] = step.action
    return found
