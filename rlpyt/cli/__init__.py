"""The command line: ``rlpyt train``, ``resume``, ``eval``, ``hash``, ``plot``, ``env-check``."""
