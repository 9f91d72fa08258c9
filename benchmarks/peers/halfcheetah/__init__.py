"""SAC on HalfCheetah, ours and the peers': each a module with ``train(settings, watch)``.

Every module imports its library at its top, so that ``worker.py``, which loads one module in a
fresh process, is the only place where a library can be missing.
"""
