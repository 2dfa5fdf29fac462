"""Names as a terminal may show them: what would move its cursor, colour it or turn its lines is written out."""

from __future__ import annotations

import unicodedata


def visible(text: str, keep: str = "") -> str:
    r"""Text whose control characters, and others that are not to be seen, are written as in Python.

    Args:
        text: of names of files or classes, which may hold anything.
        keep: characters to leave as they are.

    Examples:
        >>> visible("a\x1b[31m\nb.png")
        'a\\x1b[31m\\nb.png'
    """
    return "".join(letter if _harmless(letter) or letter in keep else _escaped(letter) for letter in text)


def _harmless(letter: str) -> bool:
    # What no encoding holds is the stream's to write out; a space of another width is no harm.
    return letter.isprintable() or unicodedata.category(letter) in ("Cs", "Zs")


def _escaped(letter: str) -> str:
    return letter.encode("unicode_escape").decode()
