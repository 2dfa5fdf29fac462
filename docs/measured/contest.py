"""Runs of the contests -> docs/measured/contest_*.csv, and the tables of means in docs/contest.md.

    python docs/measured/contest.py runs/contest_cmsa_n-0 runs/contest_cmsa_n-1
    python docs/measured/contest.py runs/turned-0 --entries "what is other about it"
    python docs/measured/contest.py

adds runs of ``cmsa train`` (one that is there already takes its row's place), then writes all tables anew.
"""

from __future__ import annotations

import argparse
import csv
import json
import re
import shlex
from collections.abc import Iterable
from pathlib import Path
from statistics import fmean, stdev

HERE = Path(__file__).parent
PAGE = HERE.parent / "contest.md"
SCORES = {
    "head_pose_32x32": {"MAE": ("val", "mae", 1)},
    "cifar100_32x32": {"top-1": ("val", "top1", 100), "top-5": ("val", "top5", 100)},
    "pose_32x24": {
        f"{column} {score}": (store, score, 100)
        for column, store in (("people", "people-val"), ("LSPET", "lspet-val"), ("coco-mini", "coco-mini-val"))
        for score in ("AP", "PCK@0.2")
    },
}
"""Of each contest what a column is called, what the score's name in ``metrics.csv`` begins and ends with, its unit."""
COMMON = ("--seed", "--precision", "--threads", "--out", "--data.validate")
MARK = re.compile(r"(<!-- table: (\w+) -->\n).*?(?=\n<!-- end -->)", re.DOTALL)
"""A table's place in the page."""
N = "contest_cmsa_n"
ATTENTION = "model.options.attention"
TABLES: dict[str, tuple[str, dict[str, tuple[str, str]]]] = {
    "rivals": (
        "pose_32x24",
        {
            "CMSA-N": (N, ""),
            "CMSA-S": (N, "model.name cmsa_s"),
            "MobileNetV4-small at 192x144": ("contest_mobilenetv4_small_heatmaps", ""),
            "MobileNetV4-medium at 112x84": ("contest_mobilenetv4_medium_heatmaps", ""),
            "MobileNetV4-medium at 128x96": ("contest_mobilenetv4_medium_heatmaps", "model.working_size [128,96]"),
            "ResNet-18 at 80x60": ("contest_resnet18_heatmaps", ""),
            "ResNet-18 at 128x96": ("contest_resnet18_heatmaps", "model.working_size [128,96]"),
            "ResNet-10 without its first two strides": ("contest_resnet10_stride1_heatmaps", ""),
            "EfficientViT-B1 at 128x96": ("contest_efficientvit_b1_heatmaps", ""),
            "CMSA-N, SimCC": ("contest_cmsa_n_simcc", ""),
            "MobileNetV4-medium at 128x96, SimCC": ("contest_mobilenetv4_medium", "model.working_size [128,96]"),
            "ResNet-18 at 128x96, SimCC": ("contest_resnet18", "model.working_size [128,96]"),
            "EfficientViT-B1 at 128x96, SimCC": ("contest_efficientvit_b1", ""),
        },
    ),
    "ladder": (
        "pose_32x24",
        {
            "`standard`, one window": (N, f"{ATTENTION} standard"),
            "`grouped`": (N, f"{ATTENTION} grouped"),
            "`cascade`": (N, f"{ATTENTION} cascade"),
            "`channel_fusion`": (N, f"{ATTENTION} channel_fusion"),
            "`cmsa`, as CMSA-N is": (N, ""),
        },
    ),
    "parts": (
        "pose_32x24",
        {
            "CMSA-N": (N, ""),
            "without pooling of keys and values": (N, f"{ATTENTION} {{key_pooling: false}}"),
            "without position bias": (N, f"{ATTENTION} {{bias: false}}"),
            "the cascade reversed": (N, "reversed"),
            "`mixer` for `linear` fusion": (N, "model.options.fusion mixer"),
            "codec `dark` for `udp`": (N, "codec dark"),
            "codec `exact_quarter` for `udp`": (N, "codec exact_quarter"),
            "bilinear crops, in training and evaluation": (N, "bilinear crops"),
            "learning rate 0.004 for 0.002": (N, "optimizer.learning_rate 0.004"),
        },
    ),
    "longer": (
        "pose_32x24",
        {
            "CMSA-N": (N, "optimizer.samples 80000"),
            "CMSA-N with `cascade`": (N, f"{ATTENTION} cascade, optimizer.samples 80000"),
            "EfficientViT-B1 at 128x96": ("contest_efficientvit_b1_heatmaps", "optimizer.samples 80000"),
        },
    ),
    "teacher": (
        "pose_32x24",
        {"without a teacher": (N, "without a teacher, denser stores"), "with it": (N, "with a teacher, denser stores")},
    ),
    "head_pose": (
        "head_pose_32x32",
        {
            "CMSA-N": ("contest_head_pose_cmsa_n", ""),
            "MobileNetV4-medium at 112x112": ("contest_head_pose_mobilenetv4_medium", ""),
            "ResNet-10 without its first two strides": ("contest_head_pose_resnet10_stride1", ""),
        },
    ),
    "cifar100": (
        "cifar100_32x32",
        {
            "CMSA-N": ("contest_cifar100_cmsa_n", ""),
            "MobileNetV4-medium at 112x112": ("contest_cifar100_mobilenetv4_medium", ""),
            "ResNet-10 without its first two strides": ("contest_cifar100_resnet10_stride1", ""),
        },
    ),
}
"""What a table's lines are called, and of which runs they are: the recipe and what else was given."""
Row = dict[str, str]


def read(contest: str) -> list[Row]:
    """All runs of a contest."""
    path = HERE / f"contest_{contest}.csv"
    if not path.exists():
        return []
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def write(contest: str, rows: Iterable[Row]) -> None:
    """Runs of one recipe with the same entries stand one below the other, by their seeds."""
    cells: dict[tuple[str, str], dict[int, Row]] = {}
    for row in rows:
        cells.setdefault((row["recipe"], row["entries"]), {})[int(row["seed"])] = row
    with (HERE / f"contest_{contest}.csv").open("w", newline="", encoding="utf-8") as file:
        writer = csv.DictWriter(file, ["recipe", "entries", "seed", *SCORES[contest]], lineterminator="\n")
        writer.writeheader()
        for cell in cells.values():
            writer.writerows(cell[seed] for seed in sorted(cell))


def row_of(run: Path, entries: str | None) -> tuple[str, Row]:
    """Which contest a run is of, and its row: scores of its end."""
    command = shlex.split(json.loads((run / "starts.jsonl").read_text(encoding="utf-8").splitlines()[0])["command"])
    recipe, *options = [word for word in command[command.index("train") + 1 :] if word != "--no-progress"]
    given = dict(zip(options[::2], options[1::2], strict=True))
    told = ", ".join(f"{name.removeprefix('--')} {value}" for name, value in given.items() if name not in COMMON)
    contest = next((name for name in SCORES if recipe.startswith(f"contest_{name.rpartition('_')[0]}")), "pose_32x24")
    last: Row = {}
    with (run / "logs" / "metrics.csv").open(newline="", encoding="utf-8") as file:
        for line in csv.DictReader(file):
            last |= {name: value for name, value in line.items() if value}
    scores = {}
    for column, (store, score, unit) in SCORES[contest].items():
        (value,) = (last[name] for name in last if name.startswith(store) and name.endswith(f"/{score}"))
        scores[column] = f"{unit * float(value):.2f}"
    return contest, {
        "recipe": recipe,
        "entries": told if entries is None else entries,
        "seed": given["--seed"],
    } | scores


def table(name: str) -> str:
    """A table of means in Markdown, ± the sample's standard deviation, of what has been run; a sentence of nothing."""
    contest, lines = TABLES[name]
    runs = read(contest)
    # The teacher labelled people's val part itself.
    columns = [column for column in SCORES[contest] if name != "teacher" or not column.startswith("people")]
    cells = [["", "seeds", *columns], ["---"] * (2 + len(columns))]
    for label, (recipe, entries) in lines.items():
        found = [run for run in runs if (run["recipe"], run["entries"]) == (recipe, entries)]
        values = [[float(run[column]) for run in found] for column in columns]
        spreads = [f"{fmean(of):.1f}" + (f" ± {stdev(of):.1f}" if len(of) > 1 else "") for of in values if of]
        cells += [[label, str(len(found)), *spreads]] if found else []
    if len(cells) == 2:
        return "Not run yet; the commands are below."
    return "\n".join(f"| {' | '.join(line)} |" for line in cells)


def with_tables(page: str) -> str:
    """The page with each table as the runs have it."""
    return MARK.sub(lambda found: found[1] + table(found[2]), page)


def main() -> None:
    """Add runs, and write the tables."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("runs", type=Path, nargs="*")
    parser.add_argument("--entries", help="what is other about the runs; by default as their commands say it")
    arguments = parser.parse_args()
    for run in arguments.runs:
        contest, row = row_of(run, arguments.entries)
        write(contest, [*read(contest), row])
    PAGE.write_text(with_tables(PAGE.read_text(encoding="utf-8")), encoding="utf-8")


if __name__ == "__main__":
    main()
