"""How many of what, in words."""

from __future__ import annotations


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
