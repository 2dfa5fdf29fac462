"""Left and right, as names of keypoints tell them."""

from __future__ import annotations

import re
from collections.abc import Sequence

_SIDED = tuple(
    re.compile(pattern)
    for pattern in (
        r"(?i:(?P<side>left|right|l|r))[\s_.\-]+(?P<part>.+)",
        r"(?P<part>.+?)[\s_.\-]+(?i:(?P<side>left|right|l|r))",
        r"(?i:(?P<side>left|right))(?P<part>.+)",
        r"(?P<part>.+)(?i:(?P<side>left|right))",
        r"(?P<side>[LR])(?P<part>[A-Z0-9].*)",
        r"(?P<part>.*[a-z0-9])(?P<side>[LR])",
        r"(?P<side>[LRlr])(?P<part>[a-z]{2,})",
    )
)


def sides(names: Sequence[str]) -> list[tuple[str, str]]:
    """Side (``left``, ``right`` or nothing) and part that each keypoint's name tells, in lower case.

    ``left_eye``, ``eye_left``, ``L_eye``, ``eye.r``, ``leftEye``, ``lefteye``, ``LEye``, ``Leye`` and ``leye`` have a
    side if the other side of the same part has a name too: ``rear`` alone is no right ear.
    """
    told = [_side(name) for name in names]
    other = {"left": "right", "right": "left"}
    return [
        (side, part) if side and (other[side], part) in told else ("", _plain(name))
        for name, (side, part) in zip(names, told, strict=True)
    ]


def _side(name: str) -> tuple[str, str]:
    for pattern in _SIDED:
        match = pattern.fullmatch(name.strip())
        if match:
            return ("left" if match["side"][0] in "lL" else "right"), _plain(match["part"])
    return "", _plain(name)


def _plain(text: str) -> str:
    return re.sub(r"[\s_.\-]+", "_", text.strip(" _.-")).casefold()
