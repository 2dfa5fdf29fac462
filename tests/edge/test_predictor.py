"""An exported file run without PyTorch says what ``Predictor`` says, and imports nothing that a small device lacks."""

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
import torch

from cmsa import Predictor, load_weights
from cmsa.data.image import ImageError
from cmsa.edge import EdgePredictor
from cmsa.export.compare import random_pixels
from cmsa.export.run import ExportOptions, export
from cmsa.models.create import create_model
from cmsa.models.pretrained import find_weights
from cmsa.runtime.sessions import open_exported
from cmsa.structures import Box

EXAMPLES = Path(__file__).parents[2] / "examples"
PARK = EXAMPLES / "people" / "park.jpg"
PEOPLE = [[318, 92, 56, 151], [384, 129, 50, 135], [-30, -20, 200, 300]]
FACES = [[210, 60, 110, 130], [0, 0, 60, 60]]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Exports shipped weights with decoding, once for each set of options."""
    folder = tmp_path_factory.mktemp("exported")
    made = {}

    def make(name, **options):
        key = (name, *sorted(options.items()))
        if key not in made:
            made[key] = folder / f"{len(made)}.onnx"
            export(load_weights(find_weights(name)), made[key], options=ExportOptions(decode=True, **options))
        return made[key]

    return make


def check_keypoints(path):
    expected = Predictor.from_pretrained("cmsa_n_pose_32x24")(PARK, PEOPLE)
    edge = EdgePredictor(path, threads=1)
    found = edge(PARK, np.array(PEOPLE), batch_size=2)
    assert edge.skipped == {}
    assert [value.box for value in found] == [Box(*box) for box in PEOPLE]
    for value, wanted in zip(found, expected, strict=True):
        assert value.names == wanted.names
        sure = wanted.scores > 0.3
        assert crop_pixels(value.xy - wanted.xy, wanted.box)[sure].max(initial=0) < 0.02
        assert abs(value.scores - wanted.scores).max() < 0.005


def crop_pixels(distances, box):
    """Lengths of distances (K, 2) in pixels of the network's input."""
    return np.linalg.norm(distances, axis=1) / (1.25 * max(box.height / 32, box.width / 24))


def test_keypoints(exported):
    check_keypoints(exported("cmsa_n_pose_32x24", normalise=True))


def test_keypoints_of_a_fixed_batch_normalised_here(exported):
    check_keypoints(exported("cmsa_n_pose_32x24", batch=2))


def test_head_pose(exported):
    photo = EXAMPLES / "people" / "astronaut.jpg"
    expected = Predictor.from_pretrained("cmsa_n_head_pose_32x32")(photo, FACES)
    found = EdgePredictor(exported("cmsa_n_head_pose_32x32", normalise=True))(photo, FACES)
    for value, wanted in zip(found, expected, strict=True):
        assert [value.yaw, value.pitch, value.roll] == pytest.approx([wanted.yaw, wanted.pitch, wanted.roll], abs=0.05)


def test_classes_of_a_whole_picture(exported):
    photo = EXAMPLES / "things" / "rocket.jpg"
    (expected,) = Predictor.from_pretrained("cmsa_n_classification_32x32")(photo)
    (found,) = EdgePredictor(exported("cmsa_n_classification_32x32", normalise=True))(photo)
    assert found.names == expected.names
    assert found.top(1)[0][0] == expected.top(1)[0][0]
    assert found.probabilities == pytest.approx(expected.probabilities, abs=0.002)


def told(caplog):
    """What it logged; the export logs too."""
    return [record.getMessage() for record in caplog.records if record.name == "cmsa.edge.predictor"]


def test_what_cannot_be_used(exported, caplog):
    path = exported("cmsa_n_pose_32x24", normalise=True)
    edge = EdgePredictor(path)
    assert repr(edge) == f"EdgePredictor({path}: cmsa_n, pose at 32x24 (HxW) pixels)"
    assert len(edge(PARK, [[318, 92, 56, 151], [5000, 0, 9, 9], [0, 0, 0, 5]])) == 1
    assert set(edge.skipped) == {1, 2}
    assert told(caplog) == [f"box {place} left out: {edge.skipped[place]}" for place in (1, 2)]
    assert "outside the picture" in edge.skipped[1]
    caplog.clear()
    edge(PARK, [[5000, 0, 9, 9]] * 13)
    assert len(told(caplog)) == 11
    assert told(caplog)[-1] == "and 3 more, see EdgePredictor.skipped"
    assert edge(PARK, []) == []
    with pytest.raises(ImageError, match=r"none\.jpg"):
        edge("none.jpg")
    with pytest.raises(ValueError, match="batch_size must be at least 1, got 0"):
        edge(PARK, batch_size=0)


@pytest.mark.parametrize("threads", ["a", 0, -1, 1.5, True])
def test_threads_that_there_are_not(threads):
    with pytest.raises(
        ValueError, match=f"threads must be a whole number from 1, or None for all cores, got {threads!r}"
    ):
        EdgePredictor("none.onnx", threads=threads)


def test_the_example_says_what_is_wrong(exported, tmp_path):
    path = exported("cmsa_n_pose_32x24", normalise=True)
    (tmp_path / "broken.onnx").write_bytes(b"x")
    (tmp_path / "broken.jpg").write_bytes(b"x")
    box = ["260", "15", "106", "215"]
    cases = [
        ([], "usage: deploy_onnx.py FILE.onnx PHOTO X Y WIDTH HEIGHT"),
        ([path, PARK, *box[:3], "wide"], "usage: deploy_onnx.py FILE.onnx PHOTO X Y WIDTH HEIGHT"),
        ([tmp_path / "none.onnx", PARK, *box], f"{tmp_path / 'none.onnx'}: there is no such file"),
        ([path, tmp_path / "none.jpg", *box], f"{tmp_path / 'none.jpg'}: there is no such file"),
        ([path, tmp_path / "broken.jpg", *box], f"{tmp_path / 'broken.jpg'}: cannot be read"),
        ([tmp_path / "broken.onnx", PARK, *box], f"{tmp_path / 'broken.onnx'}: cannot be read"),
    ]
    for words, told in cases:
        command = [sys.executable, EXAMPLES / "deploy_onnx.py", *words]
        done = subprocess.run(list(map(str, command)), capture_output=True, text=True, check=False)
        assert done.returncode == 1
        assert done.stderr.strip().startswith(told)
        assert "Traceback" not in done.stderr
        assert "\n" not in done.stderr.strip()


def test_files_that_it_cannot_run(exported, tmp_path):
    with pytest.raises(FileNotFoundError, match=r"no exported file .*none\.onnx"):
        EdgePredictor(tmp_path / "none.onnx")
    (tmp_path / "broken.onnx").write_bytes(b"x")
    with pytest.raises(ValueError, match="it may be damaged"):
        EdgePredictor(tmp_path / "broken.onnx")
    model = onnx.load(exported("cmsa_n_pose_32x24", normalise=True))
    (entry,) = model.metadata_props
    entry.value = entry.value.replace('"decoded_in_graph": true', '"decoded_in_graph": false')
    onnx.save(model, tmp_path / "plain.onnx")
    with pytest.raises(ValueError, match="export it with --decode"):
        EdgePredictor(tmp_path / "plain.onnx")
    del model.metadata_props[:]
    onnx.save(model, tmp_path / "foreign.onnx")
    with pytest.raises(ValueError, match="this is not a file of cmsa export"):
        EdgePredictor(tmp_path / "foreign.onnx")


def test_without_anything_heavy(exported):
    code = (
        "import json, sys\n"
        "for name in ('torch', 'torchvision', 'timm', 'cv2', 'lightning', 'scipy', 'rich', 'onnx'):\n"
        "    sys.modules[name] = None\n"
        "from cmsa.edge import EdgePredictor\n"
        "people = EdgePredictor(sys.argv[1], threads=1)(sys.argv[2], json.loads(sys.argv[3]))\n"
        "print(json.dumps([[person.xy.tolist(), person.scores.tolist()] for person in people]))\n"
    )
    path = exported("cmsa_n_pose_32x24", normalise=True)
    words = [str(path), str(PARK), json.dumps(PEOPLE)]
    done = subprocess.run([sys.executable, "-c", code, *words], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    here = EdgePredictor(path, threads=1)(PARK, PEOPLE)
    for (xy, scores), value in zip(json.loads(done.stdout), here, strict=True):
        assert xy == pytest.approx(value.xy)
        assert scores == pytest.approx(value.scores)


def test_the_example_says_the_same(exported):
    path = exported("cmsa_n_pose_32x24", normalise=True)
    code = (
        "import runpy, sys\n"
        "for name in ('cmsa', 'torch', 'cv2'):\n"
        "    sys.modules[name] = None\n"
        "sys.argv = sys.argv[1:]\n"
        "runpy.run_path(sys.argv[0], run_name='__main__')\n"
    )
    words = [EXAMPLES / "deploy_onnx.py", path, PARK, *PEOPLE[0]]
    done = subprocess.run([sys.executable, "-c", code, *map(str, words)], capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    (value,) = EdgePredictor(path)(PARK, PEOPLE[:1])
    rows = [line.split() for line in done.stdout.splitlines()]
    assert tuple(row[0] for row in rows) == value.names
    found = np.array([[float(number) for number in row[1:]] for row in rows])
    # It does not round the samples before it averages them.
    sure = value.scores > 0.3
    assert crop_pixels(found[:, :2] - value.xy, value.box)[sure].max() < 0.1
    assert abs(found[:, 2] - value.scores).max() < 0.02


def test_int8(tmp_path):
    """A file that computes in int8 is read as others are: whole pictures of the input's size reach it untouched."""
    torch.manual_seed(0)
    model = create_model("cmsa_n", "classification", (16, 16), depths=(1, 1, 1), num_classes=10).eval()
    pixels = random_pixels(model, 32)
    options = ExportOptions(normalise=True, decode=True, calibration=pixels)
    path = export(model, tmp_path / "int8.onnx", options=options).path
    edge = EdgePredictor(path)
    assert edge.constants["precision"] == "int8"
    (expected,) = open_exported(path, threads=1).run(pixels[:4])
    found = [edge(picture)[0].probabilities for picture in pixels[:4].numpy()]
    np.testing.assert_allclose(found, expected.numpy(), atol=1e-6)
