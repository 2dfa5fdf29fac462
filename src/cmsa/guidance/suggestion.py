"""Words of the command line: how an option is written, and what was probably meant by one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches

FEW = 12
"""Names that a message has room for."""


def did_you_mean(words: Iterable[str], known: Iterable[str]) -> str:
    """What each word that is not known may have been, as the end of a message; nothing where nothing is near.

    Examples:
        >>> did_you_mean(["--treshold", "3"], ["--threshold", "--top"])
        '; did you mean --threshold?'
    """
    known = sorted(known)
    near = [_nearest(word, known, 1) for word in words if word not in known]
    found = dict.fromkeys(name for names in near for name in names)
    return f"; did you mean {', '.join(found)}?" if found else ""


def there_are(word: str, known: Iterable[str], listed_by: str = "") -> str:
    """What there is in place of a name that is not known: of a few names all, of many the number; and the nearest.

    Args:
        word: the name that is not known.
        known: all that there are.
        listed_by: a command that lists them, where there are many.

    Examples:
        >>> there_are("smal", ["small", "large"])
        'there are small, large; did you mean small?'
        >>> there_are("row_10", [f"row_{number}" for number in range(40)], "cmsa recipes FILE")
        'there are 40 (cmsa recipes FILE lists them); did you mean row_10, row_1, row_0?'
    """
    known = list(known)
    if len(known) <= FEW:
        return f"there are {', '.join(known) or 'none'}{did_you_mean([word], known)}"
    near = _nearest(word, known, 3)
    told = f"there are {len(known)}" + (f" ({listed_by} lists them)" if listed_by else "")
    return told + (f"; did you mean {', '.join(near)}?" if near else "")


def no_such(what: str, word: str, known: Iterable[str], of: str = "") -> str:
    """That a name is not known, and what there is in its place.

    Args:
        what: kind of name.
        word: the name that is not known.
        known: all that there are.
        of: whose they are.

    Examples:
        >>> no_such("size", "smal", ["small", "large"], of="the shirt")
        "no size 'smal' of the shirt; there are small, large; did you mean small?"
    """
    return f"no {what} {word!r}{of and f' of {of}'}; {there_are(word, known)}"


def _nearest(word: str, known: Iterable[str], count: int) -> list[str]:
    """The names most like a word, whose case does not matter."""
    lowered = {name.lower(): name for name in known}
    return [lowered[name] for name in get_close_matches(word.lower(), lowered, n=count, cutoff=0.7)]


def as_option(name: str) -> str:
    """A parameter's name as it is written on the command line.

    Examples:
        >>> as_option("give_up")
        '--give-up'
    """
    return f"--{name.replace('_', '-')}"


def options_of(words: Iterable[str]) -> list[str]:
    """The long options among the words of a command line, without their values."""
    return [word.partition("=")[0] for word in words if word.startswith("--")]
