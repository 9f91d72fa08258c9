"""Foundations that every other package stands on: data structures, buffers, seeds, configuration,
devices.
"""
