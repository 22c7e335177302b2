"""Memory: tell the allocator to keep what it has.

Every training step frees and asks again for some gigabytes. By default glibc gives large blocks back to the kernel,
which must then clear every page of the next one: that was a third of a step's time here.
"""

from __future__ import annotations

import ctypes
import sys

_TRIM_THRESHOLD, _TOP_PAD, _MMAP_MAX = -1, -2, -4


def keep_memory() -> bool:
    """Serve all blocks from the heap and never give it back; False where the C library is not glibc."""
    if not sys.platform.startswith("linux"):
        return False
    library = ctypes.CDLL(None)
    if not hasattr(library, "gnu_get_libc_version"):
        return False
    wishes = ((_MMAP_MAX, 0), (_TRIM_THRESHOLD, 2**31 - 1), (_TOP_PAD, 64 << 20))
    return all(library.mallopt(name, value) == 1 for name, value in wishes)
