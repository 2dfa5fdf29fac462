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


def on_page_content(html: str, **_: Any) -> str:
    """Words of code with hyphens stay whole where a long line is wrapped: else ``--out`` ends a line as ``-``. What the
    button copies is written down, for lines that are blocks (``wrap.css``) would be copied with a blank one between."""
    html = re.sub(r"<pre.*?</pre>", lambda block: _keep_words(block[0]), html, flags=re.DOTALL)
    return re.sub(
        r"<pre>(?=(.*?)</pre>)", lambda block: f'<pre data-copy="{_text_of(block[1])}">', html, flags=re.DOTALL
    )


def _text_of(block: str) -> str:
    return re.sub(r"<[^>]+>", "", block).rstrip("\n").replace('"', "&quot;")


def _keep_words(block: str) -> str:
    parts = re.split(r"(<[^>]+>)", block)  # every second one is a tag
    whole = (re.sub(r"[^\s&;]*-[^\s&;]+", r'<span class="whole">\g<0></span>', text) for text in parts[::2])
    return "".join(piece for pair in zip(whole, [*parts[1::2], ""], strict=True) for piece in pair)
