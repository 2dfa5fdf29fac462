"""Commands and code as the documents show them."""

from __future__ import annotations

import re
from pathlib import Path

SHORTER = {
    # The whole recipe would take days; nothing else is changed.
    "cmsa train": "--limit-batches 1 --optimizer.epochs 1 --optimizer.batch_size 2 --accelerator cpu --threads 1",
    "cmsa sweep digits": "--seeds 0 --limit-batches 1 --optimizer.batch_size 2 --accelerator cpu --threads 1",
    # A table of one line, each step of it taken.
    "cmsa benchmark --variants": "--sizes 32x24 --batch 2 --rounds 1 --threads 1",
    # What the packages are is the resolver's business; that this one builds is ours.
    "pip install": "--dry-run --no-deps --no-build-isolation",
}


def blocks_of(page: Path) -> list[tuple[str, str]]:
    """(language, text) of each fenced block, in order; the language of a plain one is empty."""
    return re.findall(r"^```(\w*)\n(.*?)^```", page.read_text(encoding="utf-8"), re.DOTALL | re.MULTILINE)


def commands_of(text: str) -> list[str]:
    """One command a line; lines that end in a backslash go on in the next, and remarks are left out."""
    lines = text.replace("\\\n", " ").splitlines()
    return [command for line in lines if (command := " ".join(line.partition(" #")[0].split()))]


def shorter(command: str) -> str:
    """What is added to a command so that a test can wait for it."""
    return next((words for start, words in SHORTER.items() if command.startswith(start)), "")
