"""A page of headings, sentences, tables, figures and photos, as one HTML file and as Markdown."""

from __future__ import annotations

from base64 import b64encode
from collections.abc import Sequence
from dataclasses import dataclass, field
from html import escape
from pathlib import Path

from cmsa.files.whole import whole_file

STYLE = """
body { font: 15px/1.5 system-ui, sans-serif; color: #222; max-width: 72rem; margin: 2rem auto; padding: 0 1rem }
h1, h2 { line-height: 1.2 } h2 { margin-top: 2.5rem; border-bottom: 1px solid #ccc }
table { border-collapse: collapse; font-size: .85em; font-variant-numeric: tabular-nums }
.wide { overflow-x: auto; margin: 1rem 0 } summary { cursor: pointer; color: #666 }
th, td { padding: .2rem .35rem; border-bottom: 1px solid #ddd; text-align: left }
caption { text-align: left; font-weight: bold; padding: .2rem .35rem }
th { border-bottom: 2px solid #888 } tr.measured td { background: #eef7f5 }
figure { margin: 1rem 0 } figure svg, figure img { max-width: 100%; height: auto } figcaption { color: #666 }
"""


@dataclass(frozen=True)
class Table:
    """Rows of text; those that are ``marked`` have a colour of their own.

    The ``caption`` stands above them; a click on the ``summary`` opens them.
    """

    header: Sequence[str]
    rows: Sequence[Sequence[str]]
    marked: frozenset[int] = frozenset()
    caption: str = ""
    summary: str = ""


@dataclass(frozen=True)
class Figure:
    """A picture as SVG; its name is part of its file's, its text is read by whoever does not see it."""

    name: str
    text: str
    svg: str


@dataclass(frozen=True)
class Photo:
    """A picture of pixels, as PNG; its name is part of its file's, its text stands below it."""

    name: str
    text: str
    png: bytes


@dataclass
class Section:
    """One heading and what stands under it."""

    title: str
    text: str = ""
    figures: list[Figure] = field(default_factory=list)
    tables: list[Table] = field(default_factory=list)
    photos: list[Photo] = field(default_factory=list)


def write_page(title: str, sections: Sequence[Section], out: Path) -> None:
    """Write ``out``, which needs no other file, and beside it Markdown with the figures as files."""
    body = "".join(map(_html_section, sections))
    html = (
        f'<!doctype html>\n<html lang="en">\n<meta charset="utf-8">\n'
        f'<meta name="viewport" content="width=device-width">\n'
        f"<title>{escape(title)}</title>\n<style>{STYLE}</style>\n<h1>{escape(title)}</h1>\n{body}</html>\n"
    )
    files: dict[Path, str | bytes] = {out: html}
    for figure in (figure for section in sections for figure in section.figures):
        files[out.with_name(f"{out.stem}-{figure.name}.svg")] = figure.svg
    for photo in (photo for section in sections for photo in section.photos):
        files[out.with_name(f"{out.stem}-{photo.name}.png")] = photo.png
    markdown = [f"# {title}", *(block for section in sections for block in _markdown_section(section, out.stem))]
    files[out.with_suffix(".md")] = "\n\n".join(markdown) + "\n"
    for path, content in files.items():
        with whole_file(path) as partial:
            partial.write_bytes(content if isinstance(content, bytes) else content.encode("utf-8"))


def _html_section(section: Section) -> str:
    parts = [f"<h2>{escape(section.title)}</h2>", f"<p>{escape(section.text)}</p>" if section.text else ""]
    parts += [
        # What stands before the picture itself belongs to files.
        f'<figure role="img" aria-label="{escape(figure.text)}">{figure.svg[figure.svg.index("<svg") :]}</figure>'
        for figure in section.figures
    ]
    parts += [
        f'<figure><img alt="{escape(photo.text)}" src="data:image/png;base64,{b64encode(photo.png).decode()}">'
        f"<figcaption>{escape(photo.text)}</figcaption></figure>"
        for photo in section.photos
    ]
    for table in section.tables:
        rows = [
            f"<tr{' class=measured' if number in table.marked else ''}>{_cells(row, 'td')}</tr>"
            for number, row in enumerate(table.rows)
        ]
        head = f"<thead><tr>{_cells(table.header, 'th')}</tr></thead>"
        caption = f"<caption>{escape(table.caption)}</caption>" if table.caption else ""
        whole = f'<div class="wide"><table>{caption}{head}<tbody>{"".join(rows)}</tbody></table></div>'
        summary = f"<summary>{escape(table.summary)}</summary>\n"
        parts.append(f"<details>{summary}{whole}</details>" if table.summary else whole)
    return "\n".join(filter(None, parts)) + "\n"


def _cells(row: Sequence[str], tag: str) -> str:
    return "".join(f"<{tag}>{_unbroken(cell)}</{tag}>" for cell in row)


def _unbroken(cell: str) -> str:
    """A deviation stays beside its mean, a number beside what it is of."""
    return escape(cell).replace(" ± ", "&nbsp;±&nbsp;").replace(" = ", "&nbsp;=&nbsp;")


def _markdown_section(section: Section, stem: str) -> list[str]:
    blocks = [f"## {section.title}", section.text]
    blocks += [f"![{figure.text}]({stem}-{figure.name}.svg)" for figure in section.figures]
    blocks += [f"![{photo.text}]({stem}-{photo.name}.png)" for photo in section.photos]
    for table in section.tables:
        blocks += [table.caption, table.summary, markdown_table(table.header, table.rows)]
    return [block for block in blocks if block]


def markdown_table(header: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    """A table as Markdown has it."""
    lines = [header, ["---"] * len(header), *rows]
    return "\n".join("| " + " | ".join(cell.replace("|", "\\|") for cell in line) + " |" for line in lines)
