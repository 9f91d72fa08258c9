"""Recurrent trunks whose state goes in and comes out, and is zeroed where an episode starts."""

from itertools import pairwise
from typing import Literal, final, get_args

import torch
from torch import Tensor, nn

from rlpyt.data import RnnState
from rlpyt.models.mlp import orthogonal_
from rlpyt.utils.errors import RlpytError, did_you_mean

__all__ = ["Recurrence", "Recurrent", "RnnKind", "check_recurrence"]

RnnKind = Literal["lstm", "gru"]
"""Which recurrent cell: LSTM (Hochreiter & Schmidhuber 1997) or GRU (Cho et al. 2014)."""

Recurrence = Literal["none", "lstm", "gru"]
"""Which recurrent cell a model has, if any."""


def check_recurrence(recurrent: str, rnn_size: int) -> None:
    """Refuse what is no :data:`Recurrence`, and an output ``rnn_size`` below 1.

    Raises:
        RlpytError: ``config``.
    """
    known = get_args(Recurrence)
    if recurrent not in known:
        hint = did_you_mean(recurrent, known)
        raise RlpytError("config", f"recurrent={recurrent!r} is not known", hint=hint)
    if rnn_size < 1:
        raise RlpytError("config", f"rnn_size={rnn_size}", hint="use 1 or more")


@final
class Recurrent(nn.Module):
    """An LSTM or GRU over a step [B, F] or a sequence [T, B, F]; orthogonal weights, zero biases.

    Args:
        kind: ``"lstm"`` or ``"gru"``.
        input_size: F.
        hidden_size: H, the length of the output.
        num_layers: How many are stacked.
    """

    def __init__(
        self, kind: RnnKind, input_size: int, hidden_size: int, num_layers: int = 1
    ) -> None:
        super().__init__()
        cls = nn.LSTM if kind == "lstm" else nn.GRU
        self.kind = kind
        self.rnn = cls(input_size, hidden_size, num_layers)
        orthogonal_(self.rnn, gain=1.0)

    @torch.no_grad()
    def add_forget_bias(self, bias: float) -> None:
        """Raise the bias of an LSTM's forget gates. Around 0 they keep half of the cell at a step,
        and no gradient comes through tens of steps; at 1 or 2 one does (Gers et al. 2000;
        Jozefowicz et al. 2015).

        Raises:
            RlpytError: ``config``, for a GRU.
        """
        if self.kind != "lstm":
            hint = 'choose recurrent="lstm", or leave forget_bias out'
            raise RlpytError("config", f"forget_bias={bias} with a {self.kind}", hint=hint)
        forget = slice(self.rnn.hidden_size, 2 * self.rnn.hidden_size)  # gates: i, f, g, o
        for layer in range(self.rnn.num_layers):
            getattr(self.rnn, f"bias_ih_l{layer}")[forget] += bias

    def initial_state(self, B: int) -> RnnState:
        """Zeros for ``B`` environments, on the weights' device."""
        shape = (B, self.rnn.num_layers, self.rnn.hidden_size)
        weight = self.rnn.weight_ih_l0
        assert isinstance(weight, Tensor)
        hidden = torch.zeros(shape, dtype=weight.dtype, device=weight.device)
        return RnnState(hidden, torch.zeros_like(hidden) if self.kind == "lstm" else None)

    def forward(self, features: Tensor, reset: Tensor, state: RnnState) -> tuple[Tensor, RnnState]:
        """Run one step or a sequence; ``state`` counts as zero at every step where ``reset``.

        Args:
            features: [B, F] or [T, B, F].
            reset: [B] or [T, B] bool.
            state: Before the first step, each tensor [B, layers, H].

        Returns:
            Output [B, H] or [T, B, H], and the state after the last step.
        """
        hidden = state.hidden.transpose(0, 1)
        cell = None if state.cell is None else state.cell.transpose(0, 1)
        if reset.dim() == 1:
            output, hidden, cell = self._segment(features.unsqueeze(0), reset, hidden, cell)
            output = output.squeeze(0)
        else:
            outputs = []
            for start, end in _segments(reset):
                output, hidden, cell = self._segment(
                    features[start:end], reset[start], hidden, cell
                )
                outputs.append(output)
            output = torch.cat(outputs) if len(outputs) > 1 else outputs[0]
        return output, RnnState(
            hidden.transpose(0, 1), None if cell is None else cell.transpose(0, 1)
        )

    def _segment(
        self, features: Tensor, reset: Tensor, hidden: Tensor, cell: Tensor | None
    ) -> tuple[Tensor, Tensor, Tensor | None]:
        """Steps [t, B, F], reset [B] before the first only; states layers first [layers, B, H]."""
        start = reset.unsqueeze(-1)
        hidden = hidden.masked_fill(start, 0.0)  # not a product: what stands there may be NaN
        if cell is None:
            output, hidden = self.rnn(features, hidden.contiguous())
            return output, hidden, None
        cell = cell.masked_fill(start, 0.0)
        output, (hidden, cell) = self.rnn(features, (hidden.contiguous(), cell.contiguous()))
        return output, hidden, cell


def _segments(reset: Tensor) -> list[tuple[int, int]]:
    """[start, end) of the stretches of ``reset`` [T, B] that no reset interrupts; one host sync."""
    starts = [0, *(reset[1:].any(dim=1).nonzero().squeeze(1) + 1).tolist()]
    return list(pairwise([*starts, reset.shape[0]]))
