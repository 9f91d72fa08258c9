"""The Q-learning agent: what explores while it acts, and what does not in evaluation."""

import numpy as np
import pytest
import torch
from gymnasium import spaces

from rlpyt.agents.arms import ArmAgent
from rlpyt.agents.dqn import DqnAgent
from rlpyt.data import AgentInputs, EnvSpaces, NoState
from rlpyt.utils.errors import RlpytError

B, N_ACTIONS = 200, 4
SPACES = EnvSpaces(spaces.Box(-1.0, 1.0, (3,), np.float32), spaces.Discrete(N_ACTIONS))


def noisy_agent() -> DqnAgent:
    agent = DqnAgent(model_kwargs={"noisy": True, "hidden_sizes": (8, 8)})
    agent.initialize(SPACES, seed=0, device=torch.device("cpu"))
    agent.model.resample(np.random.default_rng(1))
    return agent


def random_inputs() -> AgentInputs:
    observation = torch.randn(B, 3, generator=torch.Generator().manual_seed(0))
    nothing = torch.zeros(B, dtype=torch.int64)
    return AgentInputs(observation, nothing, torch.zeros(B), torch.zeros(B, dtype=torch.bool))


def test_noisy_layers_explore_and_greedy_actions_are_those_of_their_means() -> None:
    agent, inputs = noisy_agent(), random_inputs()
    with torch.inference_mode():
        loud = agent.model(*inputs, NoState())[0].values.argmax(-1)
        with agent.model.without_noise():
            quiet = agent.model(*inputs, NoState())[0].values.argmax(-1)
        assert (loud != quiet).any()
        never_random = torch.zeros(B, agent.noise_size)
        assert torch.equal(agent.step(inputs, NoState(), never_random)[0].action, loud)
        assert torch.equal(agent.step(inputs, NoState(), None)[0].action, quiet)
        assert torch.equal(agent.step(inputs, NoState(), never_random)[0].action, loud)


@pytest.mark.parametrize("AgentCls", [DqnAgent, ArmAgent])
def test_a_mask_that_does_not_fit_is_refused(AgentCls: type[DqnAgent | ArmAgent]) -> None:
    seen = spaces.Dict(x=SPACES.observation, action_mask=spaces.MultiBinary(3))
    with pytest.raises(RlpytError, match=r"action_mask.*shape \(3,\).*takes 4 entries") as caught:
        AgentCls().initialize(EnvSpaces(seen, SPACES.action), seed=0, device=torch.device("cpu"))
    assert caught.value.code == "space"
