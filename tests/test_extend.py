"""What ``docs/extend.md`` tells, run as it stands."""

from __future__ import annotations

import json
import re
import sys
from pathlib import Path

import numpy as np
import pytest
from PIL import Image
from tiny_points import write_points

from cmsa.cli.main import main
from cmsa.data.datasets import data_set, data_set_names
from cmsa.data.store import CropStore

PAGE = Path(__file__).parents[1] / "docs" / "extend.md"


def blocks(section: str, language: str) -> list[str]:
    """The pieces of code of a section."""
    _, _, rest = PAGE.read_text(encoding="utf-8").partition(f"\n## {section}\n")
    assert rest, f"docs/extend.md has no section {section!r}"
    return re.findall(rf"```{language}\n(.*?)```", rest.partition("\n## ")[0], flags=re.DOTALL)


def install(folder: Path, monkeypatch: pytest.MonkeyPatch, entry: str) -> None:
    """A distribution in ``folder`` with one entry point."""
    made = folder / "birds-1.0.dist-info"
    made.mkdir()
    (made / "METADATA").write_text("Metadata-Version: 2.1\nName: birds\nVersion: 1.0\n", encoding="utf-8")
    (made / "entry_points.txt").write_text(f"[cmsa.datasets]\n{entry}\n", encoding="utf-8")
    monkeypatch.syspath_prepend(str(folder))
    monkeypatch.delitem(sys.modules, "birds", raising=False)


def test_a_backbone(capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("A backbone", "python")
    assert len(code.splitlines()) <= 30
    exec(compile(code, str(PAGE), "exec"), {"__name__": "page"})
    own, mobile = capsys.readouterr().out.splitlines()
    assert own == "(16, 32) ((16, 12), (8, 6)) torch.Size([1, 17, 16, 12])"
    assert mobile == "((32, 24), (16, 12), (8, 6), (4, 3)) (32, 24)"


def test_a_keypoint_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    cow = {"id": 7, "name": "cow", "keypoints": ["nose", "tail", "horn_a", "horn_b"]}
    annotations, images = write_points(tmp_path, cow)
    annotations.rename(tmp_path / "cows.json")
    images.rename(tmp_path / "cows")
    (known,) = blocks("A keypoint set", "json")
    (tmp_path / "known.json").write_text(known, encoding="utf-8")
    (code,) = blocks("A keypoint set", "python")
    assert len(code.splitlines()) <= 30
    monkeypatch.chdir(tmp_path)
    exec(compile(code, str(PAGE), "exec"), {})
    assert "((2, 3),)" in capsys.readouterr().out
    points = CropStore.open(tmp_path / "cows.crops").keypoint_set()
    assert points.sigmas == (0.03, 0.09, 0.05, 0.05)
    assert (points.torso, points.skeleton, points.sigma_source) == ((0, 1), ((0, 1), (2, 3)), "given")


def test_a_data_set(tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> None:
    (code,) = blocks("A data set", "python")
    assert len(code.splitlines()) <= 30
    (tmp_path / "birds.py").write_text(code, encoding="utf-8")
    (entry,) = blocks("A data set", "toml")
    install(tmp_path, monkeypatch, entry.strip().splitlines()[1].replace('"', ""))
    folder = tmp_path / "pictures"
    folder.mkdir()
    picture = np.zeros((40, 60, 3), np.uint8)
    picture[10:30, 20:40] = 200
    Image.fromarray(picture).save(folder / "a.png")
    (folder / "train.csv").write_text("file,class,x,y,width,height\na.png,wren,20,10,20,20\n", encoding="utf-8")
    out = tmp_path / "birds.crops"
    arguments = ["--for", "train", "--images", str(folder), "--size", "16x16", "--out", str(out)]
    assert "birds" in data_set_names()
    assert main(["prepare", "--dataset", "birds", *arguments]) == 0
    store = CropStore.open(out)
    assert (store.labels["label"].tolist(), store.meta["classes"]) == ([1], ["owl", "wren"])
    assert store.meta["task"] == "classification"
    assert (store.crops[0, 1:-1, 1:-1] == 200).all()
    assert main(["prepare", "--dataset", "birds", "--margin", "none", *arguments]) == 2
    assert "--margin means nothing for --dataset birds, which takes --images" in capsys.readouterr().err


def test_what_cannot_be_loaded_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "birds.py").write_text("BIRDS = 3\n", encoding="utf-8")
    install(tmp_path, monkeypatch, "birds = birds:BIRDS\nlost = birds:LOST")
    with pytest.raises(ValueError, match="data set 'birds': birds:BIRDS must be a DataSet, got int"):
        data_set("birds")
    with pytest.raises(ValueError, match="data set 'lost': birds:LOST cannot be loaded"):
        data_set("lost")
    assert json.dumps(data_set_names()).startswith('["coco"')
