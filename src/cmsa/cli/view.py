"""``cmsa view``."""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

from cmsa.cli.arguments import parse_count

TEXT = "Draw crops with their labels on one sheet: a store's, or of a recipe what its training sees, augmented."
EXAMPLES = """
examples:
  cmsa view stores/own-train-32x24.crops --out crops.png
  cmsa view pose_finetune --count 48 --out seen.png
  cmsa view pose_finetune --augment.blur 1 \\
      --augment.degradation_probability 0.5 --out blurred.png
"""
TAKES_OVERRIDES = True
DEFAULT_OUT = Path("view.png")


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    # Called as elsewhere, where overrides are entries of it.
    parser.add_argument("recipe", metavar="STORE|RECIPE", help="a packed store, a YAML file or a shipped recipe's name")
    parser.add_argument("--out", type=Path, help="picture to write, .png or .jpg; by default a new view.png")
    parser.add_argument("--count", type=parse_count, default=24, help="how many crops, 24 by default")
    parser.add_argument("--seed", type=int, help="draws them; by default 0 for a store, the recipe's for a recipe")


def written(options: argparse.Namespace) -> list[Path]:
    """The files that it writes."""
    return [options.out or DEFAULT_OUT]


def run(options: argparse.Namespace, rest: list[str]) -> int:
    """Run the command; returns the exit code.

    Raises:
        ValueError: entries of a recipe were given for a store, or the picture's name does not end in .png or .jpg,
            or none was given and view.png is there.
    """
    from cmsa.cli.prepare import make_missing
    from cmsa.cli.written import files_of_recipe, refuse_overwriting
    from cmsa.data.store import CropStore
    from cmsa.files.whole import refuse_unwritable
    from cmsa.training.recipe import load_recipe
    from cmsa.training.starting_point import check_antialiasing
    from cmsa.training.view import view_recipe, view_store
    from cmsa.visualization.picture_file import check_picture_path, save_picture

    out = options.out or DEFAULT_OUT
    check_picture_path(out)
    refuse_unwritable(out)
    if options.out is None and out.exists():
        raise ValueError(f"{out.absolute()}: is there already; name the picture to write with --out")
    place = Path(options.recipe)
    if place.is_dir() or place.suffix == ".crops":
        if rest:
            raise ValueError(f"{place} is a store, which has no entries to change: {' '.join(rest)}")
        sheet = view_store(CropStore.open(place), options.count, options.seed or 0)
    else:
        seed = [] if options.seed is None else ["--seed", str(options.seed)]
        recipe = load_recipe(options.recipe, rest + seed)
        refuse_overwriting(written(options), files_of_recipe(recipe))
        make_missing(recipe.data.prepare, recipe.data.train)
        sheet = view_recipe(recipe, options.count, options.recipe)
        try:
            check_antialiasing(recipe, CropStore.open(recipe.data.train[0]))
        except ValueError as error:
            print(f"cmsa view: cmsa train would refuse this: {error}", file=sys.stderr)
    save_picture(sheet, out)
    print(f"drew {out.absolute()}")
    return 0
