"""rlpyt: deep reinforcement learning in PyTorch.

A Runner wires a Sampler to an Agent (model and distribution) and an Algorithm; all data moves as
NamedArrayTuples with leading ``[T, B]`` dimensions. Importing this package imports nothing heavy;
take what you need from its modules.
"""

__version__ = "1.0.0.dev0"
__all__ = ["__version__"]
