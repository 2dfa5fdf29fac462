"""A network of timm with SimCC on 14 keypoints, from pictures to deployed file by the commands alone."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_points import LSP, write_points

from cmsa.cli.main import main

RECIPE = """
codec: simcc
model:
  name: timm/mobilenetv4_conv_small
  task: pose
  input_size: [32, 24]
  working_size: [64, 48]
data: {train: [train.crops], validate: [evaluate.crops]}
optimizer: {epochs: 1, batch_size: 4, warmup_epochs: 0}
"""


@pytest.mark.slow
def test_prepare_train_evaluate_predict_export(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    annotations, images = write_points(tmp_path, LSP)
    for purpose in ("train", "evaluate"):
        files = ["--annotations", str(annotations), "--images", str(images), "--out", f"{purpose}.crops"]
        assert main(["prepare", "--for", purpose, "--size", "32x24", *files]) == 0
    Path("recipe.yaml").write_text(RECIPE, encoding="utf-8")
    assert main(["train", "recipe.yaml", "--out", "run", "--accelerator", "cpu"]) == 0
    weights = "run/best.safetensors"
    assert main(["evaluate", "recipe.yaml", "--weights", weights, "--json", "scores.json"]) == 0
    (scores,) = json.loads(Path("scores.json").read_text(encoding="utf-8"))["scores"].values()
    assert scores["people"] == 8
    assert 0 <= scores["AP"] <= 1
    arguments = [str(images / "0.png"), "--box", "5,8,45,60", "--weights", weights, "--out", "predicted"]
    assert main(["predict", "pose", *arguments]) == 0
    (person,) = json.loads(Path("predicted/keypoints.json").read_text(encoding="utf-8"))
    assert len(person["keypoints"]) == 14 * 3
    # Each file is run and compared with PyTorch before it is kept.
    assert main(["export", weights, "--format", "onnx", "openvino", "torch", "--out", "exported"]) == 0
    assert {path.suffix for path in Path("exported").iterdir()} == {".onnx", ".xml", ".bin", ".pt2"}
