"""Why a request gets no values: a status of HTTP, what was wrong, and where."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

RETRY = {"Retry-After": "1"}


class Refusal(Exception):
    """A request that is not done.

    Attributes:
        status: of HTTP.
        error: what was wrong, what was expected and what came.
        where: the part of the request, e.g. ``boxes.xywh[3]``; None where it is none of its parts.
        headers: of the response.
    """

    def __init__(
        self, status: int, error: str, where: str | None = None, headers: Mapping[str, str] | None = None
    ) -> None:
        super().__init__(error)
        self.status, self.error, self.where, self.headers = status, error, where, dict(headers or {})

    @property
    def content(self) -> dict[str, Any]:
        """What the client reads, as JSON."""
        return {"error": self.error, "where": self.where}
