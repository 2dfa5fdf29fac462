"""What results and logs call a source: readable, always valid text, and without credentials."""

from __future__ import annotations

import os
import re
from pathlib import Path

_SECRET = re.compile(
    r"(?i)((?:pass|pwd|user|login|account|token|secret|auth|session|sig|credential|api_?key|key)[a-z_]*=)"
    r"(?:(?!_[a-z]+=)[^&\s])+"
)
HIDDEN = "***"


def is_address(text: str) -> bool:
    """Whether it names something by a scheme, as ``rtsp://`` does."""
    return re.match(r"[A-Za-z][A-Za-z0-9+.-]*://", text) is not None


def public_name(source: str | Path) -> str:
    """The name of a source for results and messages.

    Of an address, everything up to the last ``@`` behind the scheme is hidden, for a password may hold any letter, and
    so are the values of ``user=``, ``password=``, ``token=`` and the like. Bytes of a file name that are no UTF-8 are
    written as ``\\xe9``.
    """
    text = source.as_posix() if isinstance(source, Path) else source
    if is_address(text):
        scheme, _, rest = text.partition("://")
        credentials, _, place = rest.rpartition("@")
        text = f"{scheme}://{HIDDEN}@{place}" if credentials else f"{scheme}://{place}"
        text = _SECRET.sub(rf"\g<1>{HIDDEN}", text)
    return os.fsencode(text).decode("utf-8", "backslashreplace")
