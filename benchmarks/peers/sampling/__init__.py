"""Sampling alone, ours and the peers': each a module with ``version()`` and ``build(task)``.

Every module imports its library at its top, so that ``worker.py``, which loads one module in a
fresh process, is the only place where a library can be missing.
"""
