"""``cmsa recipes``."""

from __future__ import annotations

import argparse

TEXT = "The recipes that came with the package, or the entries of one; of a table of recipes its rows."
EXAMPLES = """
examples:
  cmsa recipes
  cmsa recipes paper_pose
  cmsa recipes pose_coco_cmsa_s_32x24
"""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("name", nargs="?", help="of a recipe or a table of them, or a YAML file")


def run(options: argparse.Namespace, _: list[str]) -> int:
    """Run the command; returns the exit code.

    Raises:
        FileNotFoundError: there is no such recipe.
    """
    import yaml

    from cmsa.training.recipe_files import SHIPPED, read_recipe, rows_of

    if options.name and not rows_of(options.name):
        print(yaml.safe_dump(read_recipe(options.name), sort_keys=False, allow_unicode=True, width=100).rstrip())
        return 0
    # Lines instead of a table, as cmsa models has them.
    for table in [options.name] if options.name else sorted(path.stem for path in SHIPPED.glob("*.yaml")):
        rows = rows_of(table)
        if rows:
            print(f"{table}, a table of {len(rows)}")
        for row in rows or [table]:
            title = read_recipe(f"{table}:{row}" if rows else table).get("title", "")
            indent = "  " * bool(rows)
            print(f"{indent}{row}")
            if title:
                print(f"{indent}    {title}")
    print("\nThe entries of one: cmsa recipes NAME; its commands stand at the head of its file")
    return 0
