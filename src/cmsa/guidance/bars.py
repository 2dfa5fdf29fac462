"""Progress bars of long work."""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from rich.console import Console
    from rich.progress import Progress


def progress_bar(console: Console) -> Progress:
    """Bars that are gone once the work is done; none where the output is no terminal, which would keep empty lines."""
    from rich.progress import Progress

    return Progress(console=console, transient=True, disable=not console.is_terminal)
