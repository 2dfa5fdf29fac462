"""Words of the command line: how an option is written, and what was probably meant by one that is not known."""

from __future__ import annotations

from collections.abc import Iterable
from difflib import get_close_matches


def did_you_mean(words: Iterable[str], known: Iterable[str]) -> str:
    """What each word that is not known may have been, as the end of a message; nothing where nothing is near.

    Examples:
        >>> did_you_mean(["--treshold", "3"], ["--threshold", "--top"])
        '; did you mean --threshold?'
    """
    known = sorted(known)
    near = [get_close_matches(word, known, n=1, cutoff=0.7) for word in words if word not in known]
    found = dict.fromkeys(name for names in near for name in names)
    return f"; did you mean {', '.join(found)}?" if found else ""


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
