"""Parameters that a loss goes through and does not learn."""

from collections.abc import Iterator, Sequence
from contextlib import contextmanager

from torch import nn

__all__ = ["fixed"]


@contextmanager
def fixed(parameters: Sequence[nn.Parameter]) -> Iterator[None]:
    """Context in which ``parameters`` are not to be learned: no gradient is computed for them, and
    what gathers a network's trainable parameters leaves them out. They are to be learned after it,
    whatever happens within.
    """
    for parameter in parameters:
        parameter.requires_grad_(False)
    try:
        yield
    finally:
        for parameter in parameters:
            parameter.requires_grad_(True)
