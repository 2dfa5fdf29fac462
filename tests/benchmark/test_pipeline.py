import functools
import json

import pytest
import torch
from PIL import Image

from cmsa.benchmark import measure, pipeline
from cmsa.benchmark.pictures import make_pictures
from cmsa.cli.main import main
from cmsa.data.boxes import BoxesError, DetectionFile
from cmsa.data.image import picture_size
from cmsa.models.create import create_model
from cmsa.models.weights import save_weights


@pytest.fixture
def weights(tmp_path, monkeypatch):
    monkeypatch.setattr(pipeline, "interleaved", functools.partial(measure.interleaved, least=0))
    torch.manual_seed(0)
    path = tmp_path / "weights.safetensors"
    save_weights(path, create_model("cmsa_n", "pose", (32, 24), dims=(16, 16, 16)))
    return path


def test_pictures_are_small_and_each_has_its_box(tmp_path):
    folder, boxes = make_pictures(tmp_path, 3)
    files = sorted(folder.iterdir())
    assert len(files) == 3
    found = DetectionFile.read(boxes, 1)
    for file in files:
        height, width = picture_size(file)
        box = found.find(file).boxes[0]
        assert box[0] + box[2] <= width
        assert box[1] + box[3] <= height
        # As large as a photograph of this size: decoding takes as long as there are bytes.
        assert 4000 < file.stat().st_size < 12000


@pytest.mark.slow
def test_the_whole_job_beside_the_network_and_the_loop(weights, tmp_path, capsys):
    options = ["--weights", str(weights), "--runtimes", "torch", "--pictures", "8", "--batch", "4", "--threads", "1"]
    assert main(["benchmark", "pipeline", *options, "--rounds", "1", "--out", str(tmp_path / "out")]) == 0
    assert "8 people in 8 pictures, batches of 4" in capsys.readouterr().out
    written = json.loads((tmp_path / "out" / "pipeline.json").read_text(encoding="utf-8"))
    rows = {(row["name"], row["stage"]): row for row in written["rows"]}
    network, job = rows[pipeline.NETWORK, False], rows[pipeline.JOB, False]
    assert network["share"] == 1
    assert job["share"] == pytest.approx(job["people"] / network["people"])
    assert sum(row["share"] for (_, stage), row in rows.items() if stage) == pytest.approx(1)
    assert {pipeline.DRAWN, pipeline.LOOP, pipeline.LOOP_DRAWN} < {name for name, stage in rows if not stage}


def test_pictures_of_ones_own_need_their_boxes(weights, tmp_path):
    with pytest.raises(BoxesError, match="go together"):
        pipeline.benchmark_pipeline(tmp_path, weights=[weights])
    Image.new("RGB", (8, 8)).save(tmp_path / "a.png")
    (tmp_path / "b.json").write_text('[{"file_name": "other.png", "bbox": [0, 0, 4, 4]}]', encoding="utf-8")
    with pytest.raises(BoxesError, match="has no box for a picture in"):
        pipeline.benchmark_pipeline(tmp_path, tmp_path / "b.json", weights=[weights], runtimes=["torch"])
