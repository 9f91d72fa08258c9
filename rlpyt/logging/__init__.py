"""Logging of one run: CSV, JSON, text and TensorBoard files, console tables, a progress bar."""

from rlpyt.logging.context import default_log_dir, logger_context
from rlpyt.logging.logger import Logger
from rlpyt.logging.progress import ProgressBar
from rlpyt.logging.statistics import five_statistics

__all__ = ["Logger", "ProgressBar", "default_log_dir", "five_statistics", "logger_context"]
