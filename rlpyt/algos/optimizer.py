"""One gradient step: gradient of a loss, clipped by its norm, into a torch optimizer, over one flat
vector.

A small network's optimizer time is spent on dispatch, not on arithmetic. Parameters and gradients
are therefore views of two flat vectors: the norm, the clipping and the optimizer each see one
tensor. For optimizers that work element by element this is the same update to the last bit but for
the order of the norm's sum. The few numbers between parameters are and stay zero.
"""

import warnings
from collections.abc import Callable
from typing import Any, Literal, Protocol, final

import torch
from torch import Tensor, nn
from torch.func import functional_call, grad_and_value
from torch.nn.parallel import DistributedDataParallel

from rlpyt.algos.failed_update import FailedUpdateError
from rlpyt.algos.flat import flatten, named_parts, padded, view_as
from rlpyt.algos.torch_optimizer import build_optimizer
from rlpyt.algos.traced_gradient import TracedGradient
from rlpyt.utils.arguments import checked_arguments
from rlpyt.utils.errors import RlpytError
from rlpyt.utils.finite import is_known_bad
from rlpyt.utils.world import World, is_exchange_error

__all__ = ["Compile", "GradientStep", "OptimizerSettings", "Precision", "gradient_step"]

Compile = bool | Literal["trace", "graphs"]
"""True: by torch.compile; "graphs": and launched as one, on an accelerator that can. "trace": by
repeating what the first steps did.
"""

Precision = Literal["float32", "bfloat16"]
"""Of matrix products and convolutions; parameters, and what is sensitive, stay float32."""

Loss = tuple[Tensor, Any]  # a scalar to minimise, and a tree of scalars to report


@final
class GradientStep:
    """``step(learning_rate, *args)`` minimises ``loss(*args)`` over the trainable parameters of
    ``model``.

    ``loss`` computes with ``model`` and returns (scalar, tree of scalars to report). With
    ``compile`` forward and backward are one compiled graph; the eager twin is the reference, and
    takes over, with a warning, where the compiler fails.

    In a ``world`` of several processes the gradient is the mean of theirs, exchanged while backward
    goes on (:class:`~torch.nn.parallel.DistributedDataParallel`; with ``compile``, and where an
    exchange is through shared memory, after it): parameters that were equal stay equal.
    """

    def __init__(
        self,
        model: nn.Module,
        loss: Callable[..., Loss],
        *,
        OptimCls: type[torch.optim.Optimizer] = torch.optim.Adam,
        optim_kwargs: dict[str, Any] | None = None,
        clip_grad_norm: float | None = None,
        compile: Compile = False,
        precision: Precision = "float32",
        world: World | None = None,
        flat: tuple[Tensor, Tensor] | None = None,
    ) -> None:
        """Move the parameters of ``model`` into one vector, and build the optimizer over it.

        ``flat`` is what :func:`~rlpyt.algos.flat.flatten` has made of them: several steps, each
        with its own loss and optimizer, may share it, and a loss may leave parameters out. Their
        gradients are exchanged after backward.
        """
        self.model = model
        if precision != "float32":
            loss = _in_precision(loss, precision, next(model.parameters()).device)
        self._loss = loss
        self._clip = clip_grad_norm
        self._n_steps = 0  # of this process
        self._world = world or World()
        self.vector, self._gradient = flat or flatten(model)
        chosen = checked_arguments(OptimCls, optim_kwargs or {}, "algo.optim_kwargs", positional=1)
        self.optimizer = build_optimizer(OptimCls, self.vector, chosen)
        by_compiler = compile is True or compile == "graphs"
        self._compiled = self._compile(graphs=compile == "graphs") if by_compiler else None
        self._traced = TracedGradient(model, loss, self.eager) if compile == "trace" else None
        self._is_proven = False  # whether it was compiled once
        self._total: Callable[..., Loss] = loss
        may_overlap = compile is False and flat is None
        self._overlaps = may_overlap and self._world.overlaps(self.vector.device)
        if self._overlaps:
            with warnings.catch_warnings():  # its successor is not in every torch that we take
                warnings.simplefilter("ignore", FutureWarning)
                self._total = DistributedDataParallel(
                    _LossModule(model, loss), broadcast_buffers=False, init_sync=False
                )
        if self._world.size > 1:
            self._world.meet()  # what the line above imports takes some longer than an exchange may
            self._world.broadcast_(self.vector.detach())

    def _compile(self, *, graphs: bool) -> Callable[..., Any]:
        named = [(name, p) for name, p in self.model.named_parameters() if p.requires_grad]
        names = [f"model.{name}" for name, _p in named]
        parameters = [parameter.detach() for _name, parameter in named]
        sizes = [padded(parameter) for parameter in parameters]
        module = _LossModule(self.model, self._loss)

        def loss_of(vector: Tensor, *args: Any) -> Loss:
            parts = torch.split(vector, sizes)
            views = [view_as(*pair) for pair in zip(parts, parameters, strict=True)]
            result: Loss = functional_call(module, dict(zip(names, views, strict=True)), args)
            return result

        gradient_of = grad_and_value(loss_of, has_aux=True)

        def own_gradient(vector: Tensor, *args: Any) -> tuple[Tensor, Tensor, Any]:
            gradient, (_total, report) = gradient_of(vector, *args)
            norm = _norm(gradient)
            scale = self._scale(norm) if self._world.size == 1 else None  # else of the mean
            return gradient if scale is None else gradient * scale, norm, report

        # On a CPU the generated wrapper in C++ saves a tenth of a small network's step.
        on_cpu = self.vector.device.type == "cpu"
        if on_cpu and graphs:
            what = "algo.compile='graphs' on a CPU"
            raise RlpytError("config", what, hint="use an accelerator, or compile=true or trace")
        if graphs:
            return torch.compile(own_gradient, mode="reduce-overhead")
        compiled: Callable[..., Any] = torch.compile(
            own_gradient, options={"cpp_wrapper": True} if on_cpu else None
        )
        return compiled

    def _scale(self, norm: Tensor) -> Tensor | None:
        """What clips a gradient of this norm."""
        return None if self._clip is None else (self._clip / (norm + 1e-6)).clamp(max=1.0)

    def step(
        self, learning_rate: float, *args: Any, share: Tensor | None = None
    ) -> tuple[Any, Tensor]:
        """One update. Returns what ``loss`` reports, and the gradient's norm before clipping (a
        scalar tensor). ``share`` [] is what this process's loss counts for, None: 1.

        Raises:
            RlpytError: ``diverged``, on a CPU, where the gradient is not finite; nothing is changed
                then, and :class:`FailedUpdateError` is its cause.
        """
        compiled = self._compiled and self._compiled_gradient(*args)
        if compiled:
            gradient, norm, report = compiled
            self.vector.grad = gradient
            if self._world.size > 1:
                norm = self._exchange(gradient, share)
        else:
            self.vector.grad = gradient = self._gradient
            if self._traced is not None:
                report = self._traced.compute(*args)
            else:
                report = self.eager(*args, share=share if self._overlaps else None)
            is_mean = self._overlaps or self._world.size == 1
            norm = self._clipped(gradient) if is_mean else self._exchange(gradient, share)
        self._n_steps += 1
        if is_known_bad(norm):
            failed = FailedUpdateError(self, learning_rate, args, share, self._n_steps)
            was, slope = (named_parts(self.model, each) for each in (self.vector, gradient))
            raise failed.error(norm.item(), was, slope, report)
        self.optimizer.param_groups[0]["lr"] = learning_rate
        self.optimizer.step()
        return report, norm

    def eager(self, *args: Any, share: Tensor | None = None) -> Any:
        """Write the gradient; returns the report."""
        self._gradient.zero_()
        try:
            total, report = self._total(*args)
            total = total if share is None else total * share
            total.backward()  # type: ignore[no-untyped-call]  # torch leaves it untyped
        except RuntimeError as error:
            if not self._overlaps or not is_exchange_error(error):
                raise
            raise self._world.failure(error) from error
        return report

    def _exchange(self, gradient: Tensor, share: Tensor | None) -> Tensor:
        """The mean of all processes' gradients, clipped; its norm before."""
        if share is not None:
            gradient *= share
        return self._clipped(self._world.mean_(gradient))

    def _clipped(self, gradient: Tensor) -> Tensor:
        """Clip in place; the norm before. What is not finite stays as it is, to be blamed: one NaN
        would make every number NaN.
        """
        norm = _norm(gradient)
        scale = None if is_known_bad(norm) else self._scale(norm)
        if scale is not None:
            gradient *= scale
        return norm

    def _compiled_gradient(self, *args: Any) -> Any:
        """Gradient, norm and report of the compiled graph; None where it cannot be built: then
        without, from now on.
        """
        assert self._compiled is not None
        if self._is_proven:
            return self._compiled(self.vector.detach(), *args)
        try:
            found = self._compiled(self.vector.detach(), *args)
        except Exception as error:  # whatever the compiler raises; the loss's own errors come again
            first = str(error).strip().partition("\n")[0]
            warnings.warn(
                f"algo.compile=True: {type(self.model).__name__} cannot be compiled here "
                f"({type(error).__name__}: {first}); it learns without",
                RuntimeWarning,
                stacklevel=4,
            )
            self._compiled = None
            return None
        self._is_proven = True
        return found

    def state_dict(self) -> dict[str, Any]:
        """The optimizer's state, its learning rate left out: that is a function of ``itr``."""
        return {"state": self.optimizer.state_dict()["state"]}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        """Continue from ``state``."""
        groups = self.optimizer.state_dict()["param_groups"]
        self.optimizer.load_state_dict({"state": state["state"], "param_groups": groups})


class OptimizerSettings(Protocol):
    """The fields of an algorithm that say how its networks learn."""

    OptimCls: type[torch.optim.Optimizer]
    optim_kwargs: dict[str, Any]
    clip_grad_norm: float | None
    compile: Compile
    precision: Precision


def gradient_step(
    settings: OptimizerSettings,
    model: nn.Module,
    loss: Callable[..., Loss],
    *,
    world: World,
    flat: tuple[Tensor, Tensor] | None = None,
) -> GradientStep:
    """A :class:`GradientStep` as the ``settings`` of an algorithm say."""
    return GradientStep(
        model,
        loss,
        OptimCls=settings.OptimCls,
        optim_kwargs=settings.optim_kwargs,
        clip_grad_norm=settings.clip_grad_norm,
        compile=settings.compile,
        precision=settings.precision,
        world=world,
        flat=flat,
    )


def _norm(gradient: Tensor) -> Tensor:
    """‖g‖₂, by a product: torch's own norm takes ten times as long on CPUs."""
    return torch.dot(gradient, gradient).sqrt()


def _in_precision(
    loss: Callable[..., Loss], precision: Precision, device: torch.device
) -> Callable[..., Loss]:
    """``loss`` with its products in ``precision``."""
    if precision != "bfloat16":
        what = f"algo.precision={precision!r}"
        raise RlpytError("config", what, hint="use 'float32' or 'bfloat16'")

    def rounded(*args: Any) -> Loss:
        with torch.autocast(device.type, dtype=torch.bfloat16):
            return loss(*args)

    return rounded


@final
class _LossModule(nn.Module):
    """The loss as a module around the model, so that ``functional_call`` can swap the model's
    parameters.
    """

    def __init__(self, model: nn.Module, loss: Callable[..., Loss]) -> None:
        super().__init__()
        self.model = model
        self.loss = loss

    def forward(self, *args: Any) -> Loss:
        return self.loss(*args)
