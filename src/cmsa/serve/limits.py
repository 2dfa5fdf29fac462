"""What a server takes at most. Beyond it a request is refused, and nothing grows."""

from __future__ import annotations

import math
from dataclasses import dataclass, fields


@dataclass(frozen=True)
class Limits:
    """What is taken at most.

    Attributes:
        megabytes: of a picture as it is sent, 10^6 bytes each.
        megapixels: of a picture; it is refused by its header, before it is decoded.
        boxes: of a request, and of what a detector finds.
        waiting: requests that were read and are not answered yet.
        held_megabytes: of all requests that are being read or wait.
        connections: open at a time.
        body_seconds: for a request's head, and again for its body, to arrive, and for a client to read on.
        seconds: from a whole request to its answer.

    Raises:
        ValueError: one of them is not positive, or one request alone is above ``held_megabytes``.
    """

    megabytes: float = 10.0
    megapixels: float = 25.0
    boxes: int = 100
    waiting: int = 64
    held_megabytes: float = 256.0
    connections: int = 500
    body_seconds: float = 10.0
    seconds: float = 30.0

    def __post_init__(self) -> None:
        for entry in fields(self):
            value = getattr(self, entry.name)
            if not 0 < value < math.inf:
                raise ValueError(f"the limit of {entry.name} must be above 0, got {value}")
        if self.bytes > self.held_bytes:
            raise ValueError(
                f"a request of {self.megabytes:g} MB is more than all may hold together ({self.held_megabytes:g} MB)"
            )

    @property
    def bytes(self) -> int:
        """``megabytes`` in bytes."""
        return int(self.megabytes * 1e6)

    @property
    def held_bytes(self) -> int:
        """``held_megabytes`` in bytes."""
        return int(self.held_megabytes * 1e6)
