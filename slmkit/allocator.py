"""Keep freed memory in the process, which makes CPU training and inference up to several times faster.

glibc returns every large block to the kernel and page-faults it back at the next step. The Makefile sets the same
in the environment of the processes that it starts; a kernel that JupyterLab started needs it at run time.
"""

from __future__ import annotations

import ctypes
import sys

# Parameters of mallopt(3). The values are C ints, hence the largest one instead of the Makefile's 8 GB.
_SETTINGS = {-4: 0, -1: 2**31 - 1, -2: 268_435_456}  # M_MMAP_MAX, M_TRIM_THRESHOLD, M_TOP_PAD


def tune() -> bool:
    """Set the allocator of this process; True where it took effect (glibc), False elsewhere."""
    if not sys.platform.startswith("linux"):
        return False
    try:
        mallopt = ctypes.CDLL(None).mallopt
    except (OSError, AttributeError):
        return False  # musl and others have no mallopt
    return all(mallopt(parameter, value) == 1 for parameter, value in _SETTINGS.items())
