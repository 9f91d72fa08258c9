"""Replays alone, ours and the peers': each a module with ``version()``, ``bytes_each(task)`` and
``build(task, steps)``.

Every module imports its library at its top, so that ``worker.py``, which loads one module in a
fresh process, is the only place where a library can be missing.
"""
