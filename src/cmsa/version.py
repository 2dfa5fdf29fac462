"""The version of the package, in the one place where it is written, and what to say of files of other versions."""

__version__ = "0.1.0"


def other_format(what: str, found: object, known: int) -> str:
    """What to say of a file in another format than the one that this version knows."""
    newer = isinstance(found, int) and found > known
    written = f"{what} in format {found}, this version reads {known}"
    return f"was written by a newer version of cmsa ({written}): upgrade cmsa" if newer else written
