"""The networks that several libraries share, and what they are here."""

from collections.abc import Sequence
from typing import Any

import torch

from rlpyt.convert.source import (
    Linear,
    Parameter,
    Plan,
    Source,
    convert_error,
    critic_layers,
    mlp_layers,
)
from rlpyt.models.encoder import ImageTrunk
from rlpyt.models.mlp import Nonlinearity

__all__ = [
    "actor_critic",
    "image_actor_critic",
    "image_q_network",
    "off_policy",
    "q_network",
    "side_by_side",
]


def _sizes(layers: Sequence[Linear]) -> list[int]:
    """Of the hidden layers."""
    return [layer.size for layer in layers[:-1]]


def actor_critic(
    source: Source,
    *,
    policy: Sequence[Linear],
    value: Sequence[Linear],
    log_std: Parameter | None,
    nonlinearity: Nonlinearity,
    mean_tanh: bool = False,
) -> Plan:
    """Two separate perceptrons, and for continuous actions a log_std that depends on nothing.

    Raises:
        RlpytError: ``convert``, where their hidden layers differ.
    """
    if _sizes(policy) != _sizes(value):
        what = f"hidden layers {_sizes(policy)} of the policy ({policy[0].weight.origin}) and "
        what += f"{_sizes(value)} of the value ({value[0].weight.origin})"
        raise convert_error(what, source.path, "both must be of one size here")
    kwargs: dict[str, Any] = {"hidden_sizes": _sizes(policy), "nonlinearity": nonlinearity}
    if mean_tanh:
        kwargs["mean_tanh"] = True
    parameters = mlp_layers("value_head.", value)
    if log_std is None:
        parameters |= mlp_layers("policy.", policy)
    else:
        parameters |= mlp_layers("policy.network.", policy)
        parameters["policy.log_std"] = log_std._replace(tensor=log_std.tensor.flatten())
    return Plan(algorithm="ppo", model_kwargs=kwargs, parameters=parameters)


def image_actor_critic(
    convolutions: Sequence[Linear],
    *,
    linear: Linear,
    policy: Linear,
    value: Linear,
    image: ImageTrunk,
) -> Plan:
    """Convolutions and a linear layer that policy and value share."""
    encoder = "encoder.networks.0."
    parameters = _convolutions(f"{encoder}convs.", convolutions)
    after = linear.from_channels_last(convolutions[-1].size)
    parameters |= {f"{encoder}linear.weight": after.weight, f"{encoder}linear.bias": after.bias}
    parameters |= mlp_layers("policy.", [policy]) | mlp_layers("value_head.", [value])
    return Plan(algorithm="ppo", model_kwargs={"image": image}, parameters=parameters)


def q_network(layers: Sequence[Linear], nonlinearity: Nonlinearity) -> Plan:
    """A perceptron to the values of all actions."""
    kwargs = {"hidden_sizes": _sizes(layers), "nonlinearity": nonlinearity}
    return Plan(algorithm="dqn", model_kwargs=kwargs, parameters=mlp_layers("head.", layers))


def image_q_network(
    convolutions: Sequence[Linear],
    *,
    image: ImageTrunk,
    advantage: Sequence[Linear],
    value: Sequence[Linear] = (),
) -> Plan:
    """Convolutions, then a perceptron, or two, where dueling: a ``value`` and an ``advantage``."""
    channels = convolutions[-1].size
    parameters = _convolutions("trunk.encoder.networks.0.layers.", convolutions)
    heads = {"head.": advantage}
    if value:
        heads = {"head.advantage.": advantage, "head.value.": value}
    for prefix, layers in heads.items():
        parameters |= mlp_layers(prefix, [layers[0].from_channels_last(channels), *layers[1:]])
    kwargs = {"hidden_sizes": _sizes(advantage), "image": image, "dueling": bool(value)}
    return Plan(algorithm="dqn", model_kwargs=kwargs, parameters=parameters)


def off_policy(
    source: Source,
    algorithm: str,
    *,
    policy: Sequence[Linear],
    critics: Sequence[Sequence[Linear]],
    nonlinearity: Nonlinearity,
    unit_actions: bool = False,
) -> Plan:
    """A policy over features, and critics over features and action."""
    return Plan(
        algorithm=algorithm,
        model_kwargs={"hidden_sizes": _sizes(policy), "nonlinearity": nonlinearity},
        parameters=mlp_layers("head.", policy),
        critic_kwargs={"hidden_sizes": _sizes(critics[0]), "nonlinearity": nonlinearity},
        critic=critic_layers(critics, source.path),
        unit_actions=unit_actions,
    )


def side_by_side(first: Linear, second: Linear) -> Linear:
    """Two layers over the same input as one."""
    pairs = zip(first, second, strict=True)
    return Linear(*(Parameter(a.origin, torch.cat([a.tensor, b.tensor])) for a, b in pairs))


def _convolutions(prefix: str, layers: Sequence[Linear]) -> dict[str, Parameter]:
    found = {}
    for place, layer in enumerate(layers):
        found[f"{prefix}{place}.weight"] = layer.weight
        found[f"{prefix}{place}.bias"] = layer.bias
    return found
