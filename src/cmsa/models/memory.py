"""How much memory there is, for those who would ask for more."""

from __future__ import annotations

import math
import os


def physical_memory() -> float:
    """Bytes of memory that the machine has; infinity where the system does not say, as Windows does not."""
    try:
        return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (AttributeError, ValueError, OSError):
        return math.inf
