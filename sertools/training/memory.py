"""How the C library treats freed memory."""

import ctypes

M_TRIM_THRESHOLD, M_MMAP_MAX = -1, -4  # glibc's malloc.h


def keep_freed_memory() -> bool:
    """Let glibc keep freed memory for the next tensor instead of giving it back to the system.

    Training on a CPU frees and asks for the same tens of megabytes over and over; getting them
    from the system anew costs a page fault every 4 kB, a fifth of the time of a TDNN-F's training
    (benchmarks/tdnnf).  The process keeps the most that it ever needed.

    Returns:
        Whether that could be done: False where the C library is another one.
    """
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (AttributeError, OSError):
        return False
    return bool(mallopt(M_MMAP_MAX, 0)) and bool(mallopt(M_TRIM_THRESHOLD, 2**31 - 1))
