"""A full disk and a read-only one leave the last good file of each kind, nothing half written, and a clear error."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from pathlib import Path

import numpy as np
import pytest
import yaml
from noise_store import SPEC, sources_in
from small_disk import SmallDisk, small_disk
from tiny_people import TINY, people_store, tiny_recipe, tiny_weights, write_people

from cmsa.cli.main import main
from cmsa.data import store_writer
from cmsa.data.store import StoreError
from cmsa.data.store_writer import build_store
from cmsa.export import export
from cmsa.inference.files.results import write_results
from cmsa.inference.label import Labels, write_labels
from cmsa.models import create_model
from cmsa.models.weights import save_weights
from cmsa.tasks.pose.task import PoseTask
from cmsa.training.recipe import Recipe
from cmsa.training.train import train

Write = Callable[[Path], None]


@pytest.fixture
def disk(tmp_path: Path) -> Iterator[SmallDisk]:
    with small_disk(tmp_path / "disk") as made:
        yield made


def contents(folder: Path) -> dict[str, bytes]:
    return {str(path): path.read_bytes() for path in folder.rglob("*") if path.is_file() and path.name != "ballast"}


def weights(folder: Path) -> None:
    save_weights(folder / "w.safetensors", create_model("cmsa_n", "classification", (16, 12), **TINY))


def graph(folder: Path) -> None:
    export(create_model("cmsa_n", "classification", (16, 12), **TINY).eval(), folder / "w.pt2")


def labels(folder: Path) -> None:
    write_labels(Labels({"annotations": [[0.5] * 9000]}), folder / "labels.json")


def result_files(folder: Path) -> None:
    person = {"bbox": [1, 2, 3, 4], "keypoints": [1.5] * 51, "score": 0.5}
    line = '{"file": "a.jpg", "predictions": [' + ", ".join([str(person).replace("'", '"')] * 99) + "]}\n"
    lines = folder / "results.jsonl"
    if not lines.exists():
        lines.write_text(line)
    write_results(lines, PoseTask((32, 24), (32, 24)))


KINDS = {"weights": weights, "exported": graph, "labels": labels, "results": result_files}
NAMES = ["weights", pytest.param("exported", marks=pytest.mark.slow), "labels", "results"]


@pytest.mark.parametrize("kind", NAMES)
def test_a_full_disk_leaves_the_last_good_file(kind: str, disk: SmallDisk) -> None:
    write: Write = KINDS[kind]
    write(disk.folder)
    before = contents(disk.folder)
    with disk.full(), pytest.raises(OSError, match=r"(?i)no space|too large|cannot be written"):
        write(disk.folder)
    assert contents(disk.folder) == before
    write(disk.folder)
    assert contents(disk.folder).keys() == before.keys()


@pytest.mark.parametrize(
    "kind", ["weights", pytest.param("exported", marks=pytest.mark.exhaustive), "labels", "results"]
)
def test_a_read_only_disk_leaves_the_last_good_file(kind: str, disk: SmallDisk) -> None:
    if not disk.mounted and os.geteuid() == 0:
        pytest.skip("nothing is read-only for this user")
    write: Write = KINDS[kind]
    write(disk.folder)
    before = contents(disk.folder)
    with disk.read_only(), pytest.raises(OSError, match=r"(?i)read-only|permission"):
        write(disk.folder)
    assert contents(disk.folder) == before


@pytest.fixture(scope="module")
def recipe(tmp_path_factory: pytest.TempPathFactory) -> Recipe:
    folder = tmp_path_factory.mktemp("people")
    write_people(folder)
    stores = [people_store(folder, f"{name}.crops", training=name == "train") for name in ("train", "val")]
    return tiny_recipe(*stores, epochs=1)


def test_a_run_on_a_full_disk_keeps_its_checkpoint_and_goes_on_later(recipe: Recipe, disk: SmallDisk) -> None:
    options = {"accelerator": "cpu", "progress": False}
    out = train(recipe, disk.folder / "run", **options)
    before = contents(out)
    recipe.optimizer.epochs = 2
    with disk.full(), pytest.raises(OSError, match=r"(?i)no space|too large|cannot be written"):
        train(recipe, out, resume=True, **options)
    left = contents(out)
    for name in ("last.ckpt", "best.safetensors", "last.safetensors"):
        assert left[str(out / name)] == before[str(out / name)]
    assert not list(out.rglob("*.partial"))
    train(recipe, out, resume=True, **options)
    assert contents(out)[str(out / "last.ckpt")] != before[str(out / "last.ckpt")]


def test_a_store_that_finds_no_room_is_not_begun(disk: SmallDisk, tmp_path: Path) -> None:
    sources = sources_in(tmp_path / "pictures")
    with disk.full(), pytest.raises(StoreError, match=r"are needed|cannot be written"):
        build_store(disk.folder / "s.crops", sources, SPEC, progress=False)
    assert len(build_store(disk.folder / "s.crops", sources, SPEC, progress=False)) == 12


def test_a_disk_that_others_fill_meanwhile_costs_no_crop(
    disk: SmallDisk, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    sources = sources_in(tmp_path / "pictures", count=30)
    cut = store_writer.cut_crop
    count = 0

    def counted(*arguments: object, **options: object) -> np.ndarray:
        nonlocal count
        count += 1
        return cut(*arguments, **options)

    monkeypatch.setattr(store_writer, "cut_crop", counted)
    finish = store_writer._finish

    def on_a_full_disk(*arguments: object) -> None:
        with disk.full():
            finish(*arguments)

    monkeypatch.setattr(store_writer, "_finish", on_a_full_disk)
    with pytest.raises(OSError, match=r"(?i)no space|too large"):
        build_store(disk.folder / "s.crops", sources, SPEC, progress=False)
    assert count == 60
    monkeypatch.setattr(store_writer, "_finish", finish)
    assert len(build_store(disk.folder / "s.crops", sources, SPEC, progress=False)) == 60
    assert count == 60


@pytest.mark.parametrize("out", ["folder.json", "file/x.json"])
def test_where_nothing_can_be_written_is_told_before_the_work(
    out: str, tmp_path: Path, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.chdir(tmp_path)
    (tmp_path / "folder.json").mkdir()
    (tmp_path / "file").write_text("mine")
    (tmp_path / "boxes.json").write_text("[]")
    line = f"label photos --boxes boxes.json --teacher none.onnx --out {out}"
    assert main(line.split()) == 2
    assert "cannot be written" in capsys.readouterr().err
    assert (tmp_path / "file").read_text() == "mine"


@pytest.mark.parametrize(
    "line",
    [
        "train tiny.yaml --out {disk}/run",
        "train tiny.yaml --out {disk}",
        "predict pose images --weights w.safetensors --out {disk}/out",
        "export w.safetensors --out {disk}",
        "prepare --for train --annotations annotations.json --images images --out {disk}/s.crops",
        "evaluate tiny.yaml --weights w.safetensors --json {disk}/scores.json",
        "evaluate tiny.yaml --weights w.safetensors --robustness --out {disk}/curves",
        "label images --fill annotations.json --teacher w.safetensors --out {disk}/labels.json",
    ],
)
def test_a_read_only_folder_is_told_before_the_work(
    line: str,
    recipe: Recipe,
    disk: SmallDisk,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    if not disk.mounted and os.geteuid() == 0:
        pytest.skip("nothing is read-only for this user")
    monkeypatch.chdir(tmp_path)
    write_people(tmp_path)
    tiny_weights(tmp_path / "w.safetensors")
    (tmp_path / "tiny.yaml").write_text(yaml.safe_dump(recipe.to_dict()))
    with disk.read_only():
        code = main(line.format(disk=disk.folder).split())
    told = capsys.readouterr()
    assert (code, told.out) == (2, ""), told
    assert told.err.startswith(f"cmsa {line.split()[0]}: {disk.folder}")
    assert "read-only" in told.err.lower()
    assert not list(disk.folder.iterdir())
