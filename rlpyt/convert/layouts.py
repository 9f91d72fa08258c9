"""Where the parameters of other libraries' agents are, by the names in their ``state_dict``."""

from collections.abc import Callable, Mapping
from types import MappingProxyType
from typing import Final

from rlpyt.convert.networks import (
    actor_critic,
    image_actor_critic,
    image_q_network,
    off_policy,
    q_network,
    side_by_side,
)
from rlpyt.convert.source import Linear, Parameter, Plan, Source, convert_error
from rlpyt.models.mlp import Nonlinearity

__all__ = ["LAYOUTS", "plan_of"]

_LEAST_VARIANCE: Final = 1e-6  # of an observation, where rlpyt 0.1 normalises by it


def _sb3(source: Source, nonlinearity: Nonlinearity | None) -> Plan:
    """``policy.pth`` of Stable-Baselines3 with MlpPolicy: PPO, A2C, DQN, SAC, TD3, DDPG."""
    if "q_net.q_net.0.weight" in source:
        source.drop("q_net_target.")
        return q_network(source.linears("q_net.q_net"), nonlinearity or "relu")
    if "actor.log_std.weight" in source:
        policy = source.linears("actor.latent_pi")
        policy.append(side_by_side(source.linear("actor.mu"), source.linear("actor.log_std")))
        return _sb3_critics(source, "sac", policy, nonlinearity)
    if "actor.mu.0.weight" in source:
        source.drop("actor_target.")
        return _sb3_critics(source, "td3", source.linears("actor.mu"), nonlinearity)
    policy = [*source.linears("mlp_extractor.policy_net"), source.linear("action_net")]
    value = [*source.linears("mlp_extractor.value_net"), source.linear("value_net")]
    log_std = source.take("log_std") if "log_std" in source else None
    function = nonlinearity or "tanh"
    return actor_critic(source, policy=policy, value=value, log_std=log_std, nonlinearity=function)


def _sb3_critics(
    source: Source, algorithm: str, policy: list[Linear], nonlinearity: Nonlinearity | None
) -> Plan:
    source.drop("critic_target.")
    critics: list[list[Linear]] = []
    while f"critic.qf{len(critics)}.0.weight" in source:
        critics.append(source.linears(f"critic.qf{len(critics)}"))
    if not critics:
        source.take("critic.qf0.0.weight")
    if algorithm == "td3" and len(critics) == 1:
        algorithm = "ddpg"
    function = nonlinearity or "relu"
    return off_policy(source, algorithm, policy=policy, critics=critics, nonlinearity=function)


def _cleanrl(source: Source, nonlinearity: Nonlinearity | None) -> Plan:
    """CleanRL's ppo.py, ppo_continuous_action.py, ppo_atari.py, dqn.py and dqn_atari.py."""
    layers = source.linears("network")
    convolutions = [layer for layer in layers if layer.weight.tensor.dim() == 4]
    if convolutions:
        behind = layers[len(convolutions) :]
        if "actor.weight" not in source:
            return image_q_network(convolutions, image="nature", advantage=behind)
        if len(behind) != 1:
            what = f"{len(behind)} layers behind the convolutions, not one"
            raise convert_error(what, source.path)
        policy, value = source.linear("actor"), source.linear("critic")
        return image_actor_critic(
            convolutions, linear=behind[0], policy=policy, value=value, image="nature"
        )
    if layers:
        return q_network(layers, nonlinearity or "relu")
    is_continuous = "actor_logstd" in source
    policy_layers = source.linears("actor_mean" if is_continuous else "actor")
    value_layers = source.linears("critic")
    if not policy_layers or not value_layers:
        source.take("actor.0.weight" if not policy_layers else "critic.0.weight")
    return actor_critic(
        source,
        policy=policy_layers,
        value=value_layers,
        log_std=source.take("actor_logstd") if is_continuous else None,
        nonlinearity=nonlinearity or "tanh",
    )


def _rlpyt(source: Source, nonlinearity: Nonlinearity | None) -> Plan:
    """``agent_state_dict`` of a snapshot (params.pkl) of rlpyt 0.1: MujocoFfModel, AtariFfModel,
    AtariDqnModel, and the agents of DDPG, TD3 and SAC.
    """
    if "model/mlp.model.0.weight" in source:
        return _rlpyt_off_policy(source, nonlinearity or "relu")
    if "model/conv.conv.0.weight" in source:
        source.drop("target/")
        return _rlpyt_dqn(source)
    if "conv.conv.conv.0.weight" in source:
        return image_actor_critic(
            source.linears("conv.conv.conv"),
            linear=source.linear("conv.head.model.0"),
            policy=source.linear("pi"),
            value=source.linear("value"),
            image="rlpyt_pg",
        )
    mean_tanh = "mu.0.model.0.weight" in source
    plan = actor_critic(
        source,
        policy=source.linears("mu.0.model" if mean_tanh else "mu.model") or [source.linear("mu")],
        value=source.linears("v.model") or [source.linear("v")],
        log_std=source.take("log_std"),
        nonlinearity=nonlinearity or "tanh",
        mean_tanh=mean_tanh,
    )
    if "obs_rms.mean" in source:
        plan.model_kwargs["normalize_observation"] = True
        for name in ("mean", "var", "count"):
            origin, tensor = source.take(f"obs_rms.{name}")
            tensor = (
                tensor.double().clamp(min=_LEAST_VARIANCE) if name == "var" else tensor.double()
            )
            tensor = tensor.reshape(()) if name == "count" else tensor
            plan.parameters[f"normalizer.statistics.0.{name}"] = Parameter(origin, tensor)
    return plan


def _rlpyt_dqn(source: Source) -> Plan:
    convolutions = source.linears("model/conv.conv")
    if "model/head.advantage_bias" not in source:
        head = source.linears("model/head.model")
        return image_q_network(convolutions, image="rlpyt_dqn", advantage=head)
    advantage = source.linears("model/head.advantage_hidden.model")
    origin, weight = source.take("model/head.advantage_out.weight")
    # One number for all actions, which falls out with the mean.
    bias = source.take("model/head.advantage_bias")
    every = Parameter(bias.origin, bias.tensor.reshape(-1)[:1].expand(len(weight)).clone())
    advantage.append(Linear(Parameter(origin, weight), every))
    value = source.linears("model/head.value.model")
    return image_q_network(convolutions, image="rlpyt_dqn", advantage=advantage, value=value)


def _rlpyt_off_policy(source: Source, nonlinearity: Nonlinearity) -> Plan:
    source.drop("target_")
    names = [
        name
        for name in ("q_model", "q1_model", "q2_model")
        if f"{name}/mlp.model.0.weight" in source
    ]
    policy = source.linears("model/mlp.model")
    critics = [source.linears(f"{name}/mlp.model") for name in names]
    if not critics:
        source.take("q_model/mlp.model.0.weight")
    algorithm = "sac" if "q1_model" in names else "td3" if len(names) == 2 else "ddpg"
    return off_policy(
        source,
        algorithm,
        policy=policy,
        critics=critics,
        nonlinearity=nonlinearity,
        unit_actions=True,
    )


LAYOUTS: Mapping[str, Callable[[Source, Nonlinearity | None], Plan]] = MappingProxyType(
    {"cleanrl": _cleanrl, "rlpyt": _rlpyt, "sb3": _sb3}
)
"""Kind of library to what finds its parameters; a nonlinearity of None is the library's usual."""


def plan_of(kind: str, source: Source, nonlinearity: Nonlinearity | None) -> Plan:
    """What the parameters of a file of this ``kind`` are here.

    Raises:
        RlpytError: ``convert``, with the first parameter that has no place, and its shape.
    """
    plan = LAYOUTS[kind](source, nonlinearity)
    source.finish()
    return plan
