"""Converted agents act and value as they did where they came from."""

import warnings
from itertools import pairwise
from pathlib import Path
from typing import Any

import numpy as np
import pytest
import torch
from gymnasium import spaces
from torch import Tensor, nn

from rlpyt.agents.base import Agent
from rlpyt.agents.dqn import DqnAgent
from rlpyt.agents.pg import PgAgent
from rlpyt.agents.qpg import QpgAgent
from rlpyt.convert.fitting import critic_of, fill, refuse_other_bounds
from rlpyt.convert.layouts import plan_of
from rlpyt.convert.source import Plan, Source
from rlpyt.data import AgentInputs, EnvSpaces, NoState
from rlpyt.utils.errors import RlpytError

FILE = Path("file")
N = 16
VECTOR = spaces.Box(-np.inf, np.inf, (5,), np.float32)
IMAGE = spaces.Box(0, 255, (4, 84, 84), np.uint8)
WIDE_IMAGE = spaces.Box(0, 255, (4, 104, 80), np.uint8)  # rlpyt 0.1's
THREE = spaces.Discrete(3)
UNIT = spaces.Box(-1, 1, (2,), np.float32)
AGENTS: dict[str, Any] = {"ppo": PgAgent, "dqn": DqnAgent}


def filled(plan: Plan, observation: spaces.Space, action: spaces.Space) -> tuple[Agent, EnvSpaces]:
    env_spaces = EnvSpaces(observation, action)
    if plan.algorithm in AGENTS:
        agent = AGENTS[plan.algorithm](model_kwargs=plan.model_kwargs)
    else:
        policy = "gaussian" if plan.algorithm == "sac" else "deterministic"
        agent = QpgAgent(policy=policy, model_kwargs=plan.model_kwargs)
    agent.initialize(env_spaces, seed=1, device=torch.device("cpu"))
    fill(agent, plan, FILE)
    return agent, env_spaces


def planned(kind: str, tensors: dict[str, Tensor]) -> Plan:
    return plan_of(kind, Source(tensors, FILE), None)


def inputs(observation: Tensor) -> AgentInputs:
    none: Any = None
    return AgentInputs(observation, none, none, none)


def some(space: spaces.Box) -> Tensor:
    generator = torch.Generator().manual_seed(0)
    if space.dtype == np.uint8:
        return torch.randint(256, (N, *space.shape), generator=generator, dtype=torch.uint8)
    return torch.randn((N, *space.shape), generator=generator)


def outputs(agent: Agent, observation: Tensor) -> Any:
    with torch.no_grad():
        return agent.model(*inputs(observation), NoState())[0]


def greedy(agent: Agent, observation: Tensor) -> Tensor:
    with torch.no_grad():
        return agent.step(inputs(observation), NoState(), None)[0].action


def near(found: Tensor, expected: Tensor) -> None:
    torch.testing.assert_close(found, expected, rtol=1e-5, atol=1e-5)


def perceptron(*sizes: int, function: type[nn.Module], last: bool = True) -> nn.Sequential:
    """As both libraries build them: a function between linear layers."""
    layers: list[nn.Module] = []
    for n_in, n_out in pairwise(sizes):
        layers += [nn.Linear(n_in, n_out), function()]
    return nn.Sequential(*layers[: None if last else -1])


# --- Stable-Baselines3 -------------------------------------------------------------------------

SB3: dict[str, tuple[str, dict[str, Any]]] = {
    "PPO": ("CartPole-v1", {"n_steps": 16, "batch_size": 16, "n_epochs": 1}),
    "A2C": ("Pendulum-v1", {"policy_kwargs": {"net_arch": [24, 16]}}),
    "DQN": ("CartPole-v1", {"learning_starts": 8}),
    "SAC": ("Pendulum-v1", {"learning_starts": 8, "policy_kwargs": {"net_arch": [32, 24]}}),
    # Square: weights that are not transposed fit as well, only values tell.
    "TD3": ("Pendulum-v1", {"learning_starts": 8, "policy_kwargs": {"net_arch": [24, 24]}}),
    "DDPG": ("Pendulum-v1", {"learning_starts": 8, "policy_kwargs": {"net_arch": [32, 24]}}),
}


@pytest.mark.parametrize("name", SB3)
def test_agents_of_stable_baselines3(name: str) -> None:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        import stable_baselines3

        env, settings = SB3[name]
        model = getattr(stable_baselines3, name)("MlpPolicy", env, seed=0, device="cpu", **settings)
        model.learn(24)
    plan = planned("sb3", model.policy.state_dict())
    expected = {"PPO": "ppo", "A2C": "ppo"}.get(name, name.lower())
    assert plan.algorithm == expected
    observation_space, action_space = model.observation_space, model.action_space
    agent, env_spaces = filled(plan, observation_space, action_space)
    observation = some(observation_space)
    theirs, _state = model.predict(observation.numpy(), deterministic=True)
    ours = greedy(agent, observation)
    if isinstance(action_space, spaces.Box):
        ours = ours.clamp(torch.tensor(action_space.low), torch.tensor(action_space.high))
    near(ours.float(), torch.as_tensor(theirs).float())
    with torch.no_grad():
        if expected == "ppo":
            near(outputs(agent, observation).value, model.policy.predict_values(observation)[:, 0])
            policy = model.policy.get_distribution(observation).distribution
            params = (
                policy.logits if name == "PPO" else torch.cat([policy.mean, policy.stddev.log()], 1)
            )
            found = outputs(agent, observation).params
            near(found.log_softmax(-1) if name == "PPO" else found, params)
        elif expected == "dqn":
            near(outputs(agent, observation).values, model.q_net(observation))
        else:
            critic = critic_of(plan, env_spaces, FILE)
            assert critic is not None
            action = torch.as_tensor(theirs)
            unit = torch.as_tensor(model.policy.scale_action(theirs))
            q = torch.stack(model.critic(observation, unit))
            near(critic(*inputs(observation), NoState(), action), q)


# --- CleanRL -----------------------------------------------------------------------------------


class CleanRl(nn.Module):
    """Modules under the names that a script gives them."""

    def __init__(self, **modules: Any) -> None:
        super().__init__()
        for name, module in modules.items():
            setattr(self, name, module)


def nature() -> list[nn.Module]:
    return [
        nn.Conv2d(4, 32, 8, stride=4),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, stride=2),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, stride=1),
        nn.ReLU(),
        nn.Flatten(),
        nn.Linear(3136, 512),
        nn.ReLU(),
    ]


def test_ppo_of_cleanrl() -> None:
    critic = perceptron(5, 64, 64, 1, function=nn.Tanh, last=False)
    actor = perceptron(5, 64, 64, 3, function=nn.Tanh, last=False)
    plan = planned("cleanrl", CleanRl(critic=critic, actor=actor).state_dict())
    agent, _spaces = filled(plan, VECTOR, THREE)
    found = outputs(agent, some(VECTOR))
    near(found.params, actor(some(VECTOR)).detach())
    near(found.value, critic(some(VECTOR))[:, 0].detach())


def test_ppo_of_cleanrl_on_continuous_actions() -> None:
    critic = perceptron(5, 64, 64, 1, function=nn.Tanh, last=False)
    mean = perceptron(5, 64, 64, 2, function=nn.Tanh, last=False)
    log_std = nn.Parameter(torch.tensor([[0.3, -0.2]]))
    module = CleanRl(critic=critic, actor_mean=mean, actor_logstd=log_std)
    agent, _spaces = filled(planned("cleanrl", module.state_dict()), VECTOR, UNIT)
    found = outputs(agent, some(VECTOR))
    near(found.params[:, :2], mean(some(VECTOR)).detach())
    near(found.params[:, 2:], log_std.detach().expand(N, 2))
    near(found.value, critic(some(VECTOR))[:, 0].detach())


def test_dqn_of_cleanrl() -> None:
    network = perceptron(5, 120, 84, 3, function=nn.ReLU, last=False)
    agent, _spaces = filled(
        planned("cleanrl", CleanRl(network=network).state_dict()), VECTOR, THREE
    )
    near(outputs(agent, some(VECTOR)).values, network(some(VECTOR)).detach())


def test_atari_agents_of_cleanrl() -> None:
    image = some(IMAGE)
    network = nn.Sequential(*nature())
    actor, critic = nn.Linear(512, 3), nn.Linear(512, 1)
    module = CleanRl(network=network, actor=actor, critic=critic)
    agent, _spaces = filled(planned("cleanrl", module.state_dict()), IMAGE, THREE)
    features = network(image / 255).detach()
    near(outputs(agent, image).params, actor(features).detach())
    near(outputs(agent, image).value, critic(features)[:, 0].detach())

    q_network = nn.Sequential(*nature(), nn.Linear(512, 3))
    plan = planned("cleanrl", CleanRl(network=q_network).state_dict())
    agent, _spaces = filled(plan, IMAGE, THREE)
    near(outputs(agent, image).values, q_network(image / 255).detach())


# --- rlpyt 0.1 ---------------------------------------------------------------------------------


def named(**modules: nn.Module | Tensor) -> dict[str, Tensor]:
    """The parameters of modules, each under its prefix."""
    found: dict[str, Tensor] = {}
    for prefix, module in modules.items():
        if isinstance(module, Tensor):
            found[prefix] = module
        else:
            found |= {f"{prefix}{name}": tensor for name, tensor in module.state_dict().items()}
    return found


@pytest.mark.parametrize("mean_tanh", [True, False])
def test_mujoco_ff_model(mean_tanh: bool) -> None:
    mean = perceptron(5, 64, 64, 2, function=nn.Tanh, last=False)
    value = perceptron(5, 64, 64, 1, function=nn.Tanh, last=False)
    center, variance = torch.randn(5), torch.tensor([0.5, 2.0, 1.0, 0.3, 1e-9])
    center[4] = 0.0
    prefix = "mu.0.model." if mean_tanh else "mu.model."
    tensors = named(**{prefix: mean, "v.model.": value, "log_std": torch.tensor([0.1, -0.4])})
    tensors |= {"obs_rms.mean": center, "obs_rms.var": variance, "obs_rms.count": torch.ones(1)}
    agent, _spaces = filled(planned("rlpyt", tensors), VECTOR, UNIT)
    observation = some(VECTOR)
    observation[:, 4] *= 1e-3  # not all beyond the bound
    spread = (variance.clamp(min=1e-6) + 1e-8).sqrt()  # here something is added to all
    normal = ((observation - center) / spread).clamp(-10, 10)
    found = outputs(agent, observation)
    expected = mean(normal).detach()
    near(found.params[:, :2], expected.tanh() if mean_tanh else expected)
    near(found.params[0, 2:], torch.tensor([0.1, -0.4]))
    near(found.value, value(normal)[:, 0].detach())


def test_atari_ff_model() -> None:
    convolutions = nn.Sequential(
        nn.Conv2d(4, 16, 8, 4), nn.ReLU(), nn.Conv2d(16, 32, 4, 2, padding=1), nn.ReLU()
    )
    image = some(WIDE_IMAGE)
    flat = convolutions(image / 255).flatten(1)
    head, policy, value = nn.Linear(flat.shape[1], 512), nn.Linear(512, 3), nn.Linear(512, 1)
    parts = {"conv.conv.conv.": convolutions, "conv.head.model.0.": head}
    tensors = named(**parts, **{"pi.": policy, "value.": value})
    agent, _spaces = filled(planned("rlpyt", tensors), WIDE_IMAGE, THREE)
    features = torch.relu(head(flat))
    near(outputs(agent, image).params, policy(features).detach())
    near(outputs(agent, image).value, value(features)[:, 0].detach())


@pytest.mark.parametrize("dueling", [False, True])
def test_atari_dqn_model(dueling: bool) -> None:
    convolutions = nn.Sequential(
        nn.Conv2d(4, 32, 8, 4),
        nn.ReLU(),
        nn.Conv2d(32, 64, 4, 2, padding=1),
        nn.ReLU(),
        nn.Conv2d(64, 64, 3, 1, padding=1),
        nn.ReLU(),
    )
    image = some(WIDE_IMAGE)
    flat = convolutions(image / 255).flatten(1)
    size = flat.shape[1]
    tensors = named(**{"model/conv.conv.": convolutions, "target/conv.conv.": convolutions})
    if dueling:
        hidden = perceptron(size, 512, function=nn.ReLU)
        out = nn.Linear(512, 3, bias=False)
        value = perceptron(size, 512, 1, function=nn.ReLU, last=False)
        head = {"advantage_hidden.model.": hidden, "advantage_out.": out, "value.model.": value}
        tensors |= named(**{f"model/head.{name}": module for name, module in head.items()})
        tensors["model/head.advantage_bias"] = torch.tensor([0.7])
        advantage = out(hidden(flat))
        expected = value(flat) + advantage - advantage.mean(-1, keepdim=True)
    else:
        network = perceptron(size, 512, 3, function=nn.ReLU, last=False)
        tensors |= named(**{"model/head.model.": network})
        expected = network(flat)
    agent, _spaces = filled(planned("rlpyt", tensors), WIDE_IMAGE, THREE)
    near(outputs(agent, image).values, expected.detach())


@pytest.mark.parametrize("algorithm", ["sac", "td3", "ddpg"])
def test_off_policy_agents_of_rlpyt(algorithm: str) -> None:
    size = 4 if algorithm == "sac" else 2
    policy = perceptron(5, 32, 24, size, function=nn.ReLU, last=False)
    names = {"sac": ["q1", "q2"], "td3": ["q", "q2"], "ddpg": ["q"]}[algorithm]
    critics = {name: perceptron(7, 32, 24, 1, function=nn.ReLU, last=False) for name in names}
    tensors = named(**{"model/mlp.model.": policy, "target_model/mlp.model.": policy})
    for name, critic in critics.items():
        tensors |= named(**{f"{name}_model/mlp.model.": critic})
        tensors |= named(**{f"target_{name}_model/mlp.model.": critic})
    plan = planned("rlpyt", tensors)
    assert plan.algorithm == algorithm
    agent, env_spaces = filled(plan, VECTOR, UNIT)
    observation = some(VECTOR)
    action = policy(observation)[:, :2].tanh().detach()
    near(greedy(agent, observation), action)
    critic = critic_of(plan, env_spaces, FILE)
    assert critic is not None
    q = critic(*inputs(observation), NoState(), action)[..., 0]
    joined = torch.cat([observation, action], -1)
    near(q, torch.stack([each(joined)[:, 0] for each in critics.values()]))
    refuse_other_bounds(plan, env_spaces, FILE)
    wide = EnvSpaces(VECTOR, spaces.Box(-2, 2, (2,), np.float32))
    with pytest.raises(RlpytError, match="within ±1, the environment's within"):
        refuse_other_bounds(plan, wide, FILE)


# --- what has no place -------------------------------------------------------------------------


def cleanrl_ppo() -> dict[str, Tensor]:
    actor = perceptron(5, 64, 64, 3, function=nn.Tanh, last=False)
    critic = perceptron(5, 64, 64, 1, function=nn.Tanh, last=False)
    return CleanRl(actor=actor, critic=critic).state_dict()


def test_the_first_parameter_that_has_no_place_is_named() -> None:
    tensors = cleanrl_ppo() | {"lstm.weight_ih_l0": torch.ones(8, 5)}
    with pytest.raises(RlpytError, match=r"parameter lstm.weight_ih_l0 \(8, 5\) has no place"):
        planned("cleanrl", tensors)


def test_the_first_parameter_that_does_not_fit_is_named() -> None:
    plan = planned("cleanrl", cleanrl_ppo())
    with pytest.raises(RlpytError, match=r"actor.4.weight \(3, 64\) does not fit .*\(7, 64\)"):
        filled(plan, VECTOR, spaces.Discrete(7))
    with pytest.raises(RlpytError, match=r"critic.0.weight \(64, 5\) does not fit .*\(64, 6\)"):
        filled(plan, spaces.Box(-1, 1, (6,), np.float32), THREE)
    with pytest.raises(RlpytError, match=r"actor.0.weight \(64, 5\) has no counterpart"):
        filled(plan, VECTOR, UNIT)


def test_nothing_keeps_the_value_it_starts_with() -> None:
    plan = planned("cleanrl", cleanrl_ppo())
    del plan.parameters["value_head.hidden.1.bias"]
    with pytest.raises(
        RlpytError, match=r"nothing in the file is value_head.hidden.1.bias \(64,\)"
    ):
        filled(plan, VECTOR, THREE)


def test_a_file_of_another_kind_is_told() -> None:
    with pytest.raises(RlpytError, match=r"no parameter action_net.weight; the first .*actor.0"):
        planned("sb3", cleanrl_ppo())


def test_networks_of_different_sizes_are_told() -> None:
    tensors = cleanrl_ppo()
    critic = perceptron(5, 32, 1, function=nn.Tanh, last=False)
    tensors = {name: value for name, value in tensors.items() if name.startswith("actor")}
    tensors |= named(**{"critic.": critic})
    with pytest.raises(RlpytError, match=r"hidden layers \[64, 64\] of the policy .* and \[32\]"):
        planned("cleanrl", tensors)
