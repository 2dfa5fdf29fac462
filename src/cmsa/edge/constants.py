"""What an exported file says of itself: where it stands, and how it is read. ``cmsa.export.metadata`` writes it."""

from __future__ import annotations

from typing import Any

from cmsa.files.read_json import parse_json
from cmsa.version import other_format

FORMAT = 1
KEY = "cmsa"
"""The entry of the file's metadata, a JSON object."""


def from_text(text: str | None, where: str) -> dict[str, Any]:
    """The entries of a file.

    Raises:
        ValueError: there are none, or of another format; ``where`` is named.
    """
    if not text:
        raise ValueError(f"{where}: no {KEY!r} entry in the metadata; this is not a file of cmsa export")
    entries = parse_json(text, f"{where}: the {KEY!r} entry of the metadata")
    if not isinstance(entries, dict):
        raise ValueError(f"{where}: the {KEY!r} entry of the metadata is damaged (it is no object)")
    if entries.get("format") != FORMAT:
        raise ValueError(f"{where}: {other_format('exported', entries.get('format'), FORMAT)}")
    return entries
