"""Whether the classes that were asked for exist."""

from __future__ import annotations

from cmsa.inference.detectors.detections import DetectorError


def check_classes(wanted: frozenset[int] | None, count: int) -> None:
    """Raise a DetectorError unless all wanted classes are below ``count``."""
    outside = sorted(number for number in wanted or () if not 0 <= number < count)
    if outside:
        raise DetectorError(f"classes {', '.join(map(str, outside))}: the detector has {count}, counted from 0")
