"""How cells look in plots: the same in all plots of a task."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000")
"""Of Okabe and Ito, which are told apart by all eyes; their yellow is lost on white."""
MARKERS = ("o", "^", "D", "v", "P", "X")
"""Squares are what is published."""
LINES = ("-", "--", ":", "-.")


@dataclass(frozen=True)
class Look:
    """Colour, marker and line style, as matplotlib has them."""

    colour: str
    marker: str
    line: str


def looks_of(names: Iterable[str]) -> dict[str, Look]:
    """A look for each name, in their order; the first 42 differ.

    Examples:
        >>> looks = looks_of("abcdefgh")
        >>> looks["a"].colour == looks["h"].colour, looks["a"].marker, looks["h"].marker
        (True, 'o', '^')
    """
    looks = {}
    for number, name in enumerate(dict.fromkeys(names)):
        turn, place = divmod(number, len(COLOURS))
        looks[name] = Look(COLOURS[place], MARKERS[turn % len(MARKERS)], LINES[turn % len(LINES)])
    return looks
