"""The pages of ``docs``: every command that they show runs, or, where it needs data of others, is understood."""

from __future__ import annotations

import functools
import importlib.util
import os
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from documents import blocks_of, commands_of, shorter
from PIL import Image
from workplace import furnish

from cmsa.cli.main import build_parser, main
from cmsa.training.recipe import load_recipe
from cmsa.training.recipe_files import rows_of

ROOT = Path(__file__).resolve().parents[1]
PAGES = sorted((ROOT / "docs").glob("*.md"))
PYTHON = ["camera", "edge", "export", "five_minutes"]
FOLLOWED = [page for page in PAGES if page.stem in PYTHON or any(kind == "bash" for kind, _ in blocks_of(page))]
ELSEWHERE = ["extend.md"]  # its test brings the data set that its commands name
CARDS = sorted((ROOT / "src" / "cmsa" / "weights").glob("*.md"))
RECIPES = sorted((ROOT / "src" / "cmsa" / "recipes").glob("*.yaml"))


def remarks(recipe: Path) -> str:
    """The comments of a recipe, as one text."""
    lines = recipe.read_text(encoding="utf-8").splitlines()
    return "\n".join(line.lstrip("# ") for line in lines if line.startswith("#"))


def shown_commands() -> list[tuple[str, str]]:
    """(where, command) of every ``cmsa`` command of the documents, the cards and the recipes."""
    pages = [page for page in [ROOT / "README.md", *PAGES, *CARDS] if page.name not in ELSEWHERE]
    texts = [(page.name, text) for page in pages for _, text in blocks_of(page)]
    texts += [(recipe.name, remarks(recipe)) for recipe in RECIPES]
    found = ((where, command) for where, text in texts for command in commands_of(text))
    return [(where, command) for where, command in found if re.match(r"cmsa [a-z]", command)]


parser = functools.cache(build_parser)


@pytest.mark.parametrize(("where", "command"), shown_commands())
def test_every_command_is_understood(where, command, capsys, tmp_path, monkeypatch):
    """Options and choices are those of the command; the entries of a recipe exist."""
    monkeypatch.chdir(tmp_path)
    options, rest = parser().parse_known_args(shlex.split(command)[1:])
    if getattr(options, "table", False):
        return  # of a folder that is there by then
    if rest:
        assert options.takes_overrides, f"{where}: {command}: {rest}"
    if name := getattr(options, "recipe", None):
        for row in getattr(options, "rows", None) or rows_of(name) or [""]:
            load_recipe(f"{name}:{row}" if row else name, rest)


@functools.cache
def told_options() -> dict[str, set[str]]:
    """The options that the help of each command names."""
    (commands,) = (action.choices for action in parser()._actions if isinstance(action.choices, dict))
    return {name: set(re.findall(r"--[a-z][a-z-]*", command.format_help())) for name, command in commands.items()}


@pytest.mark.parametrize("page", [ROOT / "README.md", *PAGES, *CARDS], ids=lambda page: page.stem)
def test_options_in_the_text_exist(page):
    """What stands in a sentence is often not the whole command: its options are looked at."""
    for text in re.findall(r"`(cmsa [a-z][^`]*)`", page.read_text(encoding="utf-8")):
        command, options = text.split()[1], set(re.findall(r"(?<=\s)--[a-z][a-z-]*(?![\w.-])", text))
        assert options <= told_options()[command], text


def follow(command: str, folder: Path) -> None:
    """Run what a reader would paste."""
    words = shlex.split(f"{command} {shorter(command)}")
    if words[0] == "cmsa":
        assert main(words[1:]) == 0, command
        return
    line = [sys.executable, *words[1:]] if words[0] == "python" else [sys.executable, "-m", *words]
    subprocess.run(line, cwd=ROOT if words[0] == "pip" else folder, check=True, capture_output=True)


@pytest.mark.slow
@pytest.mark.parametrize("page", FOLLOWED, ids=lambda page: page.stem)
def test_a_page_can_be_followed(page, tmp_path, monkeypatch, capsys):
    """Its commands and pieces of Python, in the order in which a reader meets them."""
    monkeypatch.chdir(furnish(tmp_path))
    for kind, text in blocks_of(page):
        if kind == "bash":
            for command in commands_of(text):
                follow(command, tmp_path)
        elif kind == "python" and page.stem in PYTHON:
            capsys.readouterr()
            exec(compile(text, page.name, "exec"), {})
            assert "print(" not in text or capsys.readouterr().out


@pytest.mark.slow
def test_the_pictures_of_how_it_works_can_be_made(tmp_path):
    """All that the page shows, and nothing else."""
    script = ROOT / "docs" / "pictures" / "how_it_works.py"
    environment = os.environ | {"MPLBACKEND": "agg"}
    subprocess.run([sys.executable, str(script), str(tmp_path)], env=environment, check=True, capture_output=True)
    shown = re.findall(r"\((how_\w+\.png)\)", (ROOT / "docs" / "how_it_works.md").read_text(encoding="utf-8"))
    assert sorted(shown) == sorted(path.name for path in tmp_path.iterdir())
    assert all((ROOT / "docs" / name).is_file() for name in shown)


def test_the_demo_picture_can_be_made(tmp_path):
    """As it is in the documents, but for what the weights of the day say."""
    spec = importlib.util.spec_from_file_location("demo", ROOT / "docs" / "pictures" / "demo.py")
    demo = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(demo)
    demo.draw_demo(tmp_path / "demo.png")
    with Image.open(tmp_path / "demo.png") as made, Image.open(ROOT / "docs" / "demo.png") as kept:
        assert made.size == kept.size


def test_how_each_picture_is_made_is_written_down():
    lines = (ROOT / "docs" / "pictures" / "README.md").read_text(encoding="utf-8").splitlines()
    cells = [line.split("|")[1] for line in lines if line.startswith("| `")]
    listed = re.findall(r"`(\w+\.(?:png|svg))`", " ".join(cells))
    assert sorted(listed) == sorted(path.name for path in (ROOT / "docs").iterdir() if path.suffix in (".png", ".svg"))
    scripts = {path.name for path in (ROOT / "docs" / "pictures").glob("*.py")}
    assert set(re.findall(r"docs/pictures/(\w+\.py)", "\n".join(lines))) == scripts
    pages = [path.read_text(encoding="utf-8") for path in [ROOT / "README.md", *PAGES]]
    assert all(any(f"{name})" in page for page in pages) for name in listed)


def test_every_table_and_figure_that_can_be_reproduced_has_its_command():
    """Table 5 and Figure 4 are sweeps, which no row names."""
    commands = [command for where, command in shown_commands() if where == "reproduce.md"]
    assert any(command.startswith("cmsa train pose_coco_cmsa_s_32x24") for command in commands)
    (ladder,) = [command for command in commands if "model.options.attention=" in command]
    assert ladder.startswith("cmsa sweep pose_coco_cmsa_l_32x24 ")
    (figure,) = [command for command in commands if "--out sweeps/figure_4 --rows" in command]
    assert set(figure.partition("--rows ")[2].split()) == {
        row for row in rows_of("paper_classification") if row.startswith("cifar10_")
    }


def test_every_page_is_in_the_menu():
    menu = (ROOT / "mkdocs.yml").read_text(encoding="utf-8")
    missing = [page.name for page in [*PAGES, *(ROOT / "docs" / "reference").glob("*.md")] if page.name not in menu]
    assert not missing


@pytest.mark.slow
def test_the_site_builds_without_a_warning(tmp_path):
    """Links, anchors, names of the reference: mkdocs is told to be strict."""
    if not importlib.util.find_spec("mkdocs"):
        pytest.skip("needs mkdocs-material and mkdocstrings")
    build = [sys.executable, "-m", "mkdocs", "build", "--strict", "--site-dir", str(tmp_path / "site")]
    done = subprocess.run(build, cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr[-4000:]
    reference = (tmp_path / "site" / "reference" / "predict.html").read_text(encoding="utf-8")
    assert "from_pretrained" in reference
    # Of the two commands that begin the page, the button copies two lines.
    page = (tmp_path / "site" / "serve.html").read_text(encoding="utf-8")
    assert "<pre data-copy=\"pip install '.[serve]'\ncmsa serve pose\">" in page
