from __future__ import annotations

import io

from rich.console import Console

from cmsa.guidance.bars import progress_bar


def written(terminal: bool) -> str:
    console = Console(file=io.StringIO(), force_terminal=terminal, width=80)
    with progress_bar(console) as progress:
        assert list(progress.track([1, 2], description="looking")) == [1, 2]
    assert isinstance(console.file, io.StringIO)
    return console.file.getvalue()


def test_a_terminal_shows_what_is_done() -> None:
    assert "looking" in written(terminal=True)


def test_a_file_gets_nothing_not_even_an_empty_line() -> None:
    assert written(terminal=False) == ""
