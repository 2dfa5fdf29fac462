"""Colours of networks in plots: CMSA in reds, all others in blues."""

from __future__ import annotations

from collections.abc import Sequence

RGBA = tuple[float, float, float, float]


def shades(names: Sequence[str]) -> dict[str, RGBA]:
    """A colour for each name, darker with its place among its own; ours are those that begin with ``cmsa``."""
    from matplotlib import colormaps

    ours = [name for name in names if name.startswith("cmsa")]
    others = [name for name in names if name not in ours]
    colours = {}
    for family, scale in ((ours, colormaps["Reds"]), (others, colormaps["Blues"])):
        for place, name in enumerate(family, 1):
            colours[name] = scale(0.45 + 0.5 * place / len(family))
    return colours
