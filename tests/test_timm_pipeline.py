"""A network of timm from data to deployed file by the commands: train, evaluate, predict, export."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from tiny_people import people_store, write_people

from cmsa.cli.main import main


@pytest.mark.slow
@pytest.mark.parametrize("codec", ["simcc"])
def test_train_evaluate_predict_export(codec: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.chdir(tmp_path)
    write_people(tmp_path)
    for name in ("train", "val"):
        people_store(tmp_path, f"{name}.crops", training=name == "train", size=(32, 24))
    Path("recipe.yaml").write_text(
        f"""
        codec: {codec}
        model:
          name: timm/mobilenetv4_conv_small
          task: pose
          input_size: [32, 24]
          working_size: [64, 48]
        data: {{train: [train.crops], validate: [val.crops]}}
        optimizer: {{epochs: 1, batch_size: 4, warmup_epochs: 0}}
        """,
        encoding="utf-8",
    )
    assert main(["train", "recipe.yaml", "--out", "run", "--accelerator", "cpu"]) == 0
    weights = "run/best.safetensors"
    assert main(["evaluate", "recipe.yaml", "--weights", weights, "--json", "scores.json"]) == 0
    (scores,) = json.loads(Path("scores.json").read_text(encoding="utf-8"))["scores"].values()
    assert 0 <= scores["AP"] <= 100
    arguments = ["images/0.png", "--box", "5,8,45,60", "--weights", weights, "--out", "predicted"]
    assert main(["predict", "pose", *arguments]) == 0
    (person,) = json.loads(Path("predicted/keypoints.json").read_text(encoding="utf-8"))
    assert len(person["keypoints"]) == 17 * 3
    # Each file is run and compared with PyTorch before it is kept.
    assert main(["export", weights, "--format", "onnx", "openvino", "torch", "--out", "exported"]) == 0
    assert {path.suffix for path in Path("exported").iterdir()} == {".onnx", ".xml", ".bin", ".pt2"}
