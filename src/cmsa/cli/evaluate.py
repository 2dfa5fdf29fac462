"""``cmsa evaluate``."""

from __future__ import annotations

import argparse
from pathlib import Path

from cmsa.cli.arguments import parse_folder, parse_json_file

TEXT = "Score weights on the recipe's validation stores: one table, and JSON."
EXAMPLES = """
examples:
  cmsa evaluate runs/digits/recipe.yaml --weights runs/digits/best.safetensors
  cmsa evaluate pose_people_cmsa_n_32x24 --weights cmsa_n_pose_32x24 \\
      --flip-test --json scores.json
  cmsa evaluate digits --weights runs/digits/best.safetensors \\
      --json scores.json --samples samples.jsonl
  cmsa evaluate digits --weights runs/digits/best.safetensors \\
      --exported digits.onnx --pictures out
  cmsa evaluate pose_people_cmsa_n_32x24 --weights cmsa_n_pose_32x24 \\
      --robustness --out out/robustness
  cmsa evaluate pose_coco_cmsa_s_32x24 --weights cmsa_s_pose_32x24 \\
      --flip-test --submit results.json
"""
TAKES_OVERRIDES = True
ROBUSTNESS, CURVES = "robustness.json", "robustness.png"
"""In the folder of --robustness."""


def add_options(parser: argparse.ArgumentParser) -> None:
    """The options of the command."""
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped recipe")
    parser.add_argument("--weights", required=True, help="a shipped name, a weights file, a folder or a hub id")
    parser.add_argument(
        "--json", type=parse_json_file, help="file for the scores, their intervals and how they came about"
    )
    parser.add_argument("--samples", type=Path, help="write a row for each sample here, .jsonl or .parquet")
    parser.add_argument("--flip-test", action="store_true", help="average with the mirrored crop")
    parser.add_argument("--device", default="cpu", help="where to run, e.g. cuda")
    parser.add_argument("--pictures", type=parse_folder, help="folder for confusion matrices (classification)")
    parser.add_argument("--gallery", type=Path, help="draw the best, median and worst cases: a picture, or a folder")
    parser.add_argument(
        "--submit", type=parse_json_file, help="file for COCO keypoint results, instead of scores (pose)"
    )
    parser.add_argument("--robustness", action="store_true", help="then score crops that are made worse step by step")
    parser.add_argument("--out", type=parse_folder, help="folder for the curves and numbers of --robustness")
    parser.add_argument("--exported", type=Path, nargs="*", default=[], help="exported files to score beside them")


def written(options: argparse.Namespace) -> list[Path]:
    """The files that it writes; what it draws into folders is called after the stores."""
    curves = [options.out / ROBUSTNESS, options.out / CURVES] if options.out else []
    return [*filter(None, (options.json, options.samples, options.submit, options.gallery)), *curves]


def run(options: argparse.Namespace, rest: list[str]) -> int:
    """Run the command; returns the exit code."""
    from cmsa.cli.prepare import make_missing
    from cmsa.cli.written import files_of_recipe, refuse_overwriting
    from cmsa.evaluation.evaluate import evaluate_recipe
    from cmsa.files.whole import refuse_unwritable
    from cmsa.training.recipe import load_recipe

    if options.out and not options.robustness:
        raise ValueError("--out is the folder of --robustness, which was not asked for")
    beside = ("json", "samples", "pictures", "gallery", "robustness", "exported")
    if options.submit and (given := [f"--{name}" for name in beside if getattr(options, name)]):
        raise ValueError(f"--submit scores nothing, so there is nothing for {', '.join(given)}")
    recipe = load_recipe(options.recipe, rest)
    refuse_overwriting(written(options), files_of_recipe(recipe))
    robust = options.out / ROBUSTNESS if options.out else None
    for file in filter(None, (options.json, options.samples, options.submit, robust)):
        refuse_unwritable(file)
    make_missing(recipe.data.prepare, recipe.data.validate)
    if options.submit:
        from cmsa.evaluation.submit import submit

        submit(recipe, options.weights, options.submit, flip_test=options.flip_test, device=options.device)
        return 0
    scores = evaluate_recipe(
        recipe,
        options.weights,
        flip_test=options.flip_test,
        out=options.json,
        samples=options.samples,
        device=options.device,
        pictures=options.pictures,
        gallery=options.gallery,
        exported=options.exported,
    )
    if options.robustness:
        from cmsa.evaluation.robustness import robustness

        robustness(
            recipe,
            options.weights,
            out=options.out,
            flip_test=options.flip_test,
            device=options.device,
            plain=scores,
        )
    for path in filter(None, (*written(options), options.pictures)):
        print(f"wrote {path}")
    return 0
