"""How an intrinsic reward learns: minibatches of a batch of transitions, Adam, and its state."""

import copy
import math
from collections.abc import Callable, Iterator
from typing import Any, NamedTuple, final

import torch
from torch import Tensor, nn
from torch.nn.utils import clip_grads_with_norm_, get_total_norm

from rlpyt.rewards.checks import check_numbers
from rlpyt.rewards.samples import RewardSamples
from rlpyt.utils.buffer import buffer_map, buffer_to
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.finite import blame
from rlpyt.utils.seed import Stream, generator, generator_state, load_generator_state
from rlpyt.utils.world import World

__all__ = ["LearnerOptions", "RewardLearner", "mean_report"]


class LearnerOptions(NamedTuple):
    """How a reward's networks learn."""

    learning_rate: float = 1e-3
    batch_size: int = 256  # transitions of one gradient step
    epochs: int = 1  # passes over each batch of transitions
    update_proportion: float = 1.0  # of the transitions, drawn anew in each pass
    clip_grad_norm: float | None = None


@final
class RewardLearner(nn.Module):
    """Minimises a loss over the parameters of ``networks`` that want a gradient, by Adam.

    It has no parameters of its own; ``state_dict`` holds the optimizer's state and the generator of
    the minibatches.

    Args:
        networks: What learns.
        options: How.
        seed: Of the order of minibatches.

    Raises:
        RlpytError: for an option out of range.
    """

    def __init__(self, *networks: nn.Module, options: LearnerOptions, seed: int) -> None:
        super().__init__()
        _check(options)
        self.options = options
        self._named = [
            (f"{type(network).__name__}.{name}", parameter)
            for network in networks
            for name, parameter in network.named_parameters()
            if parameter.requires_grad
        ]
        self._trained = [parameter for _name, parameter in self._named]
        self._optimizer = torch.optim.Adam(self._trained, lr=options.learning_rate, fused=True)
        self._rng = generator(seed, Stream.REWARD, 1)

    def learn(
        self,
        samples: RewardSamples,
        loss: Callable[[RewardSamples], NamedTuple],
        world: World,
    ) -> dict[str, float]:
        """``epochs`` passes over transitions [T, B] in minibatches; the mean of what was reported.

        ``loss`` takes a minibatch [N, ...] and returns numbers of each transition, [N]: the first
        field's mean over the valid ones is minimised, those of all are reported.
        """
        reports = []
        for batch in self.minibatches(samples):
            parts = loss(batch)
            means = [_mean(part, batch.valid) for part in parts]
            reports.append(self.step(type(parts)._make(means), world, batch.valid))
        return mean_report(reports)

    def minibatches(self, samples: RewardSamples) -> Iterator[RewardSamples]:
        """Random minibatches [N, ...] of transitions [T, B], on the networks' device."""
        flat = buffer_map(lambda leaf: leaf.flatten(0, 1), samples)
        total, size = samples.terminated.numel(), self.options.batch_size
        count = max(1, round(self.options.update_proportion * total))
        for _epoch in range(self.options.epochs):
            order = torch.from_numpy(self._rng.permutation(total)[:count])
            for index in torch.split(order, size):
                there = index.to(samples.terminated.device)
                rows = buffer_map(lambda leaf, there=there: leaf[there], flat)
                yield buffer_to(rows, self._trained[0].device)

    def step(
        self, losses: NamedTuple, world: World, valid: Tensor | None = None
    ) -> dict[str, Tensor]:
        """One gradient step on the first of ``losses``, scalars; all of them and the gradient's
        norm, by name. ``valid``: which entries the losses are means over.

        Raises:
            RlpytError: ``diverged``, on a CPU, where the gradient is not finite; nothing is changed
                then. On an accelerator :func:`mean_report` finds it.
        """
        self._optimizer.zero_grad(set_to_none=True)
        share = world.share(valid)
        total: Tensor = losses[0] if share is None else losses[0] * share
        total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        gradients = [p.grad for p in self._trained if p.grad is not None]
        if world.size > 1:
            whole = world.mean_(torch.cat([g.flatten() for g in gradients]))
            parts = torch.split(whole, [g.numel() for g in gradients])
            for gradient, part in zip(gradients, parts, strict=True):
                gradient.copy_(part.view_as(gradient))
        fields = type(losses)._fields
        report = {name: value.detach() for name, value in zip(fields, losses, strict=True)}
        norm = get_total_norm(gradients)
        if norm.device.type == "cpu" and not math.isfinite(norm.item()):  # elsewhere it would wait
            parameters = dict(self._named)
            slopes = {name: p.grad for name, p in self._named if p.grad is not None}
            raise _diverged(norm.item(), blame(parameters, slopes, (), report))
        if self.options.clip_grad_norm is not None:
            clip_grads_with_norm_(self._trained, self.options.clip_grad_norm, norm)
        self._optimizer.step()
        return {**report, "gradNorm": norm}

    def get_extra_state(self) -> dict[str, Any]:
        """The optimizer's state, its settings left out, and the generator's."""
        state = self._optimizer.state_dict()["state"]
        return {"optimizer": state, "generator": generator_state(self._rng)}

    def set_extra_state(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        groups = self._optimizer.state_dict()["param_groups"]
        own = copy.deepcopy(state["optimizer"])  # torch would share the tensors
        self._optimizer.load_state_dict({"state": own, "param_groups": groups})
        load_generator_state(self._rng, state["generator"])


def mean_report(reports: list[dict[str, Tensor]]) -> dict[str, float]:
    """The mean over gradient steps of what each reported; nothing of no steps.

    Raises:
        RlpytError: ``diverged``, where a gradient was not finite.
    """
    if not reports:
        return {}
    table = torch.stack([torch.stack([*report.values()]).float() for report in reports])
    means = dict(zip(reports[0], table.mean(0).tolist(), strict=True))
    if not math.isfinite(means["gradNorm"]):
        raise _diverged(means["gradNorm"], "the parameters are lost")
    return means


def _diverged(norm: float, found: str) -> RlpytError:
    return RlpytError(
        "diverged",
        f"the gradient's norm is {norm}: {found}",
        where="intrinsic reward",
        hint="lower its learning_rate, or set its clip_grad_norm; the newest checkpoint is from "
        "before",
    )


def _mean(values: Tensor, valid: Tensor | None) -> Tensor:
    if valid is None:
        return values.mean()
    return values.masked_fill(~valid, 0.0).sum() / valid.sum().clamp(min=1)


def _check(options: LearnerOptions) -> None:
    least = {"learning_rate": 0.0, "batch_size": 1, "epochs": 1}
    for name, low in least.items():
        value = getattr(options, name)
        check_numbers(low, **{name: value})
    if not 0.0 < options.update_proportion <= 1.0:
        what = f"update_proportion={options.update_proportion}"
        raise RlpytError("config", what, hint="use more than 0, and 1 at most")
    if options.clip_grad_norm is not None and not options.clip_grad_norm > 0:
        what = f"clip_grad_norm={options.clip_grad_norm}"
        raise RlpytError("config", what, hint="use more than 0, or None")
