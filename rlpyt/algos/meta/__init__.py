"""Meta-reinforcement learning: algorithms that learn to learn a task from little."""

from rlpyt.algos.meta.pearl import PEARL

__all__ = ["PEARL"]
