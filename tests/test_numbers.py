"""Numbers of the documents are those of the files that commands wrote, and of the weights themselves.

``docs/measured/NAME.json`` is the ``accuracy.json`` of ``cmsa benchmark accuracy``; docs/pose.md shows the command.
"""

from __future__ import annotations

import importlib.util
import json
import re
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from cmsa import load_weights
from cmsa.benchmark.accuracy import benchmark_accuracy

ROOT = Path(__file__).resolve().parents[1]
WEIGHTS = sorted((ROOT / "src" / "cmsa" / "weights").glob("*.safetensors"))
SHOWN = {
    "cmsa_n_pose_32x24": "**CMSA-N 32x24**",
    "cmsa_n_pose_64x48": "**CMSA-N 64x48** | 64x48",
    "cmsa_s_pose_32x24": "CMSA-S 32x24, grown",
    "tinypose_128_96": "PP-TinyPose | 128x96",
    "tinypose_256_192": "PP-TinyPose | 256x192",
}
"""How the table of docs/pose.md calls a network."""


def measured(name: str) -> dict[tuple[str, tuple[int, int]], dict[str, Any]]:
    """Rows by network and resolution."""
    rows = json.loads((ROOT / "docs" / "measured" / f"{name}.json").read_text())["rows"]
    return {(row["name"], tuple(row["resolution"])): row for row in rows}


def lines_of(page: str, beginning: str) -> list[str]:
    """Lines of a page's tables that begin so, with plain letters for the times sign and the dash."""
    text = (ROOT / page).read_text(encoding="utf-8").replace("\u00d7", "x").replace("\u2013", "-")
    lines = text.splitlines()
    return [line for line in lines if line.startswith(beginning)]


COCO_MINI, SIZES = measured("coco_mini"), ((16, 12), (32, 24), (64, 48))


@pytest.mark.parametrize("network", SHOWN)
def test_accuracy_beside_other_networks(network: str) -> None:
    (line,) = lines_of("docs/pose.md", f"| {SHOWN[network]}")
    cells = [cell.strip() for cell in line.strip("|").split("|")][-3:]
    for resolution, cell in zip(SIZES, cells, strict=True):
        row = COCO_MINI[network, resolution]
        interval = f" ({100 * row['low']:.0f}-{100 * row['high']:.0f})" if row["AP"] else ""
        assert cell == f"{100 * row['AP']:.1f}{interval} · {100 * row['PCK']:.0f}"


@pytest.mark.parametrize(
    ("beginning", "names"),
    [
        ("| CMSA-N, `cmsa_n_pose_32x24` |", ("cmsa_n_pose_32x24",) * 3),
        ("| CMSA-N, `cmsa_n_pose_64x48` |", ("cmsa_n_pose_64x48",) * 3),
        ("| PP-TinyPose at 128x96", ("tinypose_128_96",) * 3),
        ("| PP-TinyPose at 256x192", ("tinypose_256_192",) * 3),
    ],
)
def test_accuracy_on_the_first_screen(beginning: str, names: tuple[str, str, str]) -> None:
    (line,) = lines_of("README.md", beginning)
    scores = [COCO_MINI[name, size]["AP"] for name, size in zip(names, SIZES, strict=True)]
    assert line.endswith("| " + " | ".join(f"{100 * score:.1f}" for score in scores) + " |")


@pytest.mark.shared
@pytest.mark.slow
@pytest.mark.parametrize("name", ["cmsa_n_pose_32x24", "cmsa_n_pose_64x48"])
def test_the_weights_score_what_is_written_of_them(name: str, shared: Path) -> None:
    height, width = map(int, name.rpartition("_")[2].split("x"))
    folder = shared / "data" / "coco-mini"
    (found,) = benchmark_accuracy(
        folder / "annotations" / "person_keypoints_val2017.json",
        folder / "val2017",
        weights=(name,),
        sizes=[(height, width)],
        threads=1,
    )
    written = COCO_MINI[name, (height, width)]
    assert found.people == 49
    # A keypoint whose peak is hardly higher than another may fall to that one on another machine.
    assert abs(found.AP - written["AP"]) < 0.01
    assert abs(found.PCK - written["PCK"]) < 0.01


@pytest.mark.parametrize("name", ["cmsa_n_pose_32x24", "cmsa_n_pose_64x48"])
def test_cards_and_the_table_of_weights(name: str) -> None:
    height, width = map(int, name.rpartition("_")[2].split("x"))
    row = COCO_MINI[name, (height, width)]
    average, average_50, correct = (f"{100 * row[key]:.1f}" for key in ("AP", "AP50", "PCK"))
    card = f"src/cmsa/weights/{name}.md"
    (line,) = [line for line in lines_of(card, "| coco-mini val") if "| no |" in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert cells[3:5] + cells[-1:] == [average, average_50, correct]
    rows = (ROOT / "README.md").read_text(encoding="utf-8")
    assert f"coco-mini val, 49 people of COCO | AP {average}, AP50 {average_50}, PCK@0.2 {correct} |" in rows


def test_every_score_of_the_table_of_weights_is_in_a_card() -> None:
    lines = lines_of("README.md", "| ")
    begin = next(number for number, line in enumerate(lines) if line.startswith("| name | parameters | MB |"))
    name, told = "", 0
    for line in lines[begin + 1 :]:
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if not cells[0].startswith(("`cmsa_", "the same")):
            break
        name = cells[0].split("`")[1] if "`" in cells[0] else name
        tables = " ".join(lines_of(f"src/cmsa/weights/{name}.md", "|"))
        numbers = re.findall(r"\d+\.\d+", cells[-1])
        assert numbers
        assert all(number in tables for number in numbers), line
        told += 1
    assert told >= len(WEIGHTS)


def test_what_is_said_of_limits() -> None:
    text = " ".join((ROOT / "docs" / "limits.md").read_text(encoding="utf-8").split())
    row = COCO_MINI["cmsa_n_pose_32x24", (32, 24)]
    assert f"places {100 * row['PCK']:.0f} % of the keypoints" in text
    assert f"its AP is {100 * row['AP']:.0f}:" in text


def test_what_fine_tuning_is_compared_with() -> None:
    (shipped,) = lines_of("docs/own_people.md", "| for comparison: as shipped, people upright")
    (line,) = [line for line in lines_of("src/cmsa/weights/cmsa_n_pose_32x24.md", "| people val") if "| no |" in line]
    cells = [cell.strip() for cell in line.strip("|").split("|")]
    assert shipped.endswith(f"| {cells[3]} | {cells[4]} | {cells[-1]} |")


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_the_score_that_is_told_first_is_in_a_table_of_the_card(path: Path) -> None:
    (told,) = lines_of(f"src/cmsa/weights/{path.stem}.md", "**Score.** ")
    tables = " ".join(lines_of(f"src/cmsa/weights/{path.stem}.md", "|"))
    numbers = re.findall(r"\d+\.\d+", told)
    assert numbers
    assert all(number in tables for number in numbers)


@pytest.mark.parametrize("path", WEIGHTS, ids=lambda path: path.stem)
def test_parameters_and_megabytes_of_weights(path: Path) -> None:
    (line,) = lines_of("README.md", f"| `{path.stem}`")[-1:]
    count = sum(parameter.numel() for parameter in load_weights(path).parameters())
    name, parameters, megabytes = (cell.strip() for cell in line.strip("|").split("|")[:3])
    assert name.startswith(f"`{path.stem}`")
    assert megabytes == f"{path.stat().st_size / 1e6:.1f}"
    assert parameters == f"{count / 1e6:.1f} M"


LIGHT = {
    "cmsa_n linear head": "CMSA-N, linear head (as shipped) | 32x24",
    "cmsa_s": "CMSA-S | 32x24",
    "mobilenetv4_small_128x96": "MobileNetV4-small | 128x96",
    "contest_mobilenetv4_small_heatmaps": "MobileNetV4-small | 192x144",
    "contest_mobilenetv4_medium_heatmaps": "MobileNetV4-medium | 112x84",
    "contest_resnet18_heatmaps": "ResNet-18 | 80x60",
    "contest_resnet10_stride1_heatmaps": "ResNet-10 without its first two strides | 32x24",
    "contest_efficientvit_b1_heatmaps": "EfficientViT-B1 | 128x96",
    "tinypose_128_96": "PP-TinyPose | 128x96",
    "tinypose_256_192": "PP-TinyPose | 256x192",
}
"""How the table of light networks in docs/performance.md calls them."""


@pytest.mark.parametrize("network", LIGHT)
def test_the_time_of_light_networks(network: str) -> None:
    rows = json.loads((ROOT / "docs" / "measured" / "light_networks.json").read_text())["rows"]
    of = {(row["name"], row["precision"]): row for row in rows}
    row, own = of[network, "float32"], of["cmsa_n linear head", "float32"]
    cells = [f"{row['parameters'] / 1e6:.2f}", f"{row['with_attention'] / 1e9:.3f}"]
    cells += [f"{row['throughput']:.0f}", f"{own['throughput'] / row['throughput']:.2f}"]
    if (network, "int8+bf16") in of:  # PP-TinyPose is a file that is timed as it is
        small, own = of[network, "int8+bf16"], of["cmsa_n linear head", "int8+bf16"]
        cells += [f"{small['throughput']:.0f}", f"{own['throughput'] / small['throughput']:.2f}"]
        cells += [f"{row['latency']:.1f}", f"{small['latency']:.1f}"]
    else:
        cells += ["", "", f"{row['latency']:.1f}", ""]
    (line,) = [line for line in lines_of("docs/performance.md", f"| {LIGHT[network]}") if line.count("|") == 11]
    assert [cell.strip() for cell in line.strip("|").split("|")][2:] == cells


def test_the_table_of_the_benchmark_is_what_its_picture_is_drawn_from() -> None:
    rows = json.loads((ROOT / "docs" / "measured" / "benchmark.json").read_text())["rows"]
    for plain, half in zip(rows[::2], rows[1::2], strict=True):
        assert (plain["network"], plain["precision"], half["precision"]) == (half["network"], "float32", "bf16")
        cells = [plain["input"], f"{plain['parameters'] / 1e6:.2f}", f"{plain['with_attention'] / 1e9:.3f}"]
        cells += [f"{plain['latency']:.1f} · {half['latency']:.1f}"]
        cells += [f"{plain['throughput']:.1f} · {half['throughput']:.1f}"]
        cells += [f"{plain['share_of_peak']:.0%} · {half['share_of_peak']:.0%}"]
        lines = [line.replace("*", "") for line in lines_of("docs/performance.md", "| ")]
        assert f"| {plain['network']} | {' | '.join(cells)} |" in lines
    assert len(rows) == 14


@pytest.fixture
def contest() -> ModuleType:
    spec = importlib.util.spec_from_file_location("contest", ROOT / "docs" / "measured" / "contest.py")
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_contest_is_what_its_runs_said(contest: ModuleType) -> None:
    """Every run is in a table of the page, and every mean and deviation is that of the runs."""
    page = (ROOT / "docs" / "contest.md").read_text(encoding="utf-8")
    assert re.findall(r"<!-- table: (\w+) -->", page) == list(contest.TABLES)
    assert contest.with_tables(page) == page
    shown = {(name, *cell) for name, cells in contest.TABLES.values() for cell in cells.values()}
    ran = {(name, run["recipe"], run["entries"]) for name in contest.SCORES for run in contest.read(name)}
    assert ran <= shown
    assert contest.with_tables(page.replace("| 3 |", "| 4 |")) == page


def test_what_is_said_of_the_ladder_s_seeds(contest: ModuleType) -> None:
    page = " ".join((ROOT / "docs" / "contest.md").read_text(encoding="utf-8").split())
    _, rungs = contest.TABLES["ladder"]
    told = {
        "`cascade`": "PCK {} to {},",
        "`standard`, one window": "`standard` {} to {},",
        "`grouped`": "`grouped` {} to {}.",
    }
    for rung, sentence in (told | {"`cmsa`, as CMSA-N is": "network lie from {} to {},"}).items():
        runs = [run for run in contest.read("pose_32x24") if (run["recipe"], run["entries"]) == rungs[rung]]
        values = [float(run["people PCK@0.2"]) for run in runs]
        assert sentence.format(f"{min(values):.1f}", f"{max(values):.1f}") in page


def test_a_run_of_the_contest_becomes_a_row(contest: ModuleType, tmp_path: Path) -> None:
    command = "cmsa train contest_cifar100_cmsa_n --seed 2 --no-progress --out runs/x --optimizer.samples 80000"
    (tmp_path / "starts.jsonl").write_text(json.dumps({"command": command}) + "\n", encoding="utf-8")
    (tmp_path / "logs").mkdir()
    (tmp_path / "logs" / "metrics.csv").write_text(
        "epoch,val/top1,val/top5,train/loss\n0,0.1,0.3,\n,,,4.5\n1,0.12345,0.5,\n", encoding="utf-8"
    )
    row = {"recipe": "contest_cifar100_cmsa_n", "entries": "optimizer.samples 80000", "seed": "2"}
    assert contest.row_of(tmp_path, None) == ("cifar100_32x32", row | {"top-1": "12.35", "top-5": "50.00"})
    assert contest.row_of(tmp_path, "longer")[1]["entries"] == "longer"
