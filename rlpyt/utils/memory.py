"""The memory that this process has freed, and may want again at once."""

import ctypes
import sys

__all__ = ["keep_freed_memory"]

# Parameters of mallopt in glibc's malloc.h, and their values in bytes.
_TRIM_THRESHOLD, _KEPT = -1, 2**30
_MMAP_THRESHOLD, _LARGE, _LARGE_BEFORE_2_35 = -3, 2**28, 2**25


def keep_freed_memory() -> bool:
    """Let glibc's allocator keep up to 1 GiB of freed memory for the next arrays, instead of giving
    it back to the system.

    Every gradient step allocates the same activations and gradients, a few MB each. By default such
    memory goes back to the system when it is freed, and comes anew page by page, each page zeroed:
    a tenth of a convolutional network's update, and half of it in virtual machines where new pages
    cost more. Arrays of 256 MiB and more, such as a replay's, still get and return memory of their
    own.

    For the whole process, and for good. Returns whether there was such an allocator.
    """
    if sys.platform != "linux":
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except AttributeError:  # another C library
        return False
    mallopt.argtypes, mallopt.restype = (ctypes.c_int, ctypes.c_int), ctypes.c_int
    large = mallopt(_MMAP_THRESHOLD, _LARGE) or mallopt(_MMAP_THRESHOLD, _LARGE_BEFORE_2_35)
    return bool(large and mallopt(_TRIM_THRESHOLD, _KEPT))
