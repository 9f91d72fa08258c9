"""Checkpoints of other libraries, made ours: their files are read by a process that is shut in, and
their parameters take the names of our models.
"""

__all__: list[str] = []
