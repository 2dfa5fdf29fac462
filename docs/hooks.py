"""What the site shows beside the pages of ``docs``: the model cards, which lie beside the weights in the package."""

from __future__ import annotations

import re
from pathlib import Path
from typing import Any

from mkdocs.structure.files import File, Files

ROOT = Path(__file__).resolve().parents[1]
CARDS = ROOT / "src" / "cmsa" / "weights"
INDEX = """# Weights in the package

What each was trained on, by whom it was taught, what it scores, and the data's terms.

"""


def on_files(files: Files, *, config: Any) -> Files:
    """Add a page for each model card, and one that lists them."""
    names = sorted(path.stem for path in CARDS.glob("*.md"))
    for name in names:
        files.append(File.generated(config, f"weights/{name}.md", abs_src_path=str(CARDS / f"{name}.md")))
    listed = INDEX + "".join(f"- [{name}]({name}.md)\n" for name in names)
    files.append(File.generated(config, "weights/index.md", content=listed))
    return files


def on_page_markdown(markdown: str, **_: Any) -> str:
    """Links into the package lead to the cards' pages; other files of the repository are named, not linked."""
    return re.sub(r"\[([^\]]+)\]\(\.\./[^)]*\)", r"\1", markdown.replace("](../src/cmsa/weights/", "](weights/"))
