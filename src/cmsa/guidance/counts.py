"""How many of what, in words."""

from __future__ import annotations

from collections.abc import Sequence


def first_of(names: Sequence[str], most: int) -> str:
    """The first few names, and that there are more where there are.

    Examples:
        >>> first_of(["a", "b", "c"], 2), first_of(["a", "b"], 2)
        ('a, b, ...', 'a, b')
    """
    return ", ".join(names[:most]) + (", ..." if len(names) > most else "")


def count_of(number: int, one: str, many: str | None = None) -> str:
    """A number and what it counts.

    Args:
        number: how many.
        one: what one of them is called.
        many: what several are called; by default ``one`` and an s.

    Examples:
        >>> count_of(1, "photo"), count_of(1438, "crop"), count_of(0, "person", "people")
        ('1 photo', '1,438 crops', '0 people')
    """
    return f"{number:,} {one if number == 1 else many or one + 's'}"
