"""What installed packages bring: tasks, data sets, backbones and codecs, by entry points of a group for each."""

from __future__ import annotations

from importlib.metadata import entry_points
from typing import Any


def installed_names(group: str) -> list[str]:
    """Names of a group, e.g. ``cmsa.codecs``, in order; nothing of theirs is loaded."""
    return sorted({entry.name for entry in entry_points(group=group)})


def load_installed(group: str, name: str, kind: type = object) -> Any:
    """Load what an installed package has under a name; None, where none has.

    Raises:
        ValueError: what the package names cannot be loaded or is of another kind; both are said.
    """
    for entry in entry_points(group=group, name=name):
        what = f"{group.removeprefix('cmsa.').removesuffix('s').replace('dataset', 'data set')} {name!r}: {entry.value}"
        try:
            found = entry.load()
        except (ImportError, AttributeError) as error:
            raise ValueError(f"{what} cannot be loaded ({error})") from error
        if not isinstance(found, kind):
            raise ValueError(f"{what} must be a {kind.__name__}, got {type(found).__name__}")
        return found
    return None
