"""How glibc keeps the memory that a program has freed."""

import contextlib
import ctypes

M_TRIM_THRESHOLD, M_MMAP_THRESHOLD, M_ARENA_MAX = -1, -3, -8  # from malloc.h


def keep_freed_memory() -> None:
    """Have glibc keep freed memory for the next step. By default it returns the large patches to the system each time,
    and a step then spends longer on fresh pages than on sums. Elsewhere than on glibc this does nothing.
    """
    tune_malloc(M_MMAP_THRESHOLD, 1 << 30)
    tune_malloc(M_TRIM_THRESHOLD, (1 << 31) - 1)


def tune_malloc(option: int, value: int) -> None:
    """glibc's mallopt; elsewhere nothing."""
    with contextlib.suppress(OSError, AttributeError):
        ctypes.CDLL("libc.so.6").mallopt(option, value)
