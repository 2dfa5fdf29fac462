"""Exported files compute what the models compute."""

from __future__ import annotations

import re
from dataclasses import replace

import pytest
import torch

from cmsa.export import ExportError, export
from cmsa.export import run as export_run
from cmsa.export.compare import network_input, random_pixels
from cmsa.export.formats import read_constants
from cmsa.export.graph import ExportedGraph
from cmsa.export.run import ExportOptions, export_formats
from cmsa.models import create_model
from cmsa.models.variants import VARIANTS
from cmsa.runtime.sessions import open_exported
from cmsa.tasks import task_of

SUFFIXES = {"onnx": ".onnx", "openvino": ".xml", "torch": ".pt2"}
SIZES = {
    "pose": [(32, 24), (64, 48), (128, 96)],
    "head_pose": [(32, 32), (64, 64)],
    "classification": [(32, 32)],
}


def paths(folder, name="model"):
    return {format: folder / f"{name}{suffix}" for format, suffix in SUFFIXES.items()}


@pytest.fixture(scope="module")
def pose(small, tmp_path_factory):
    """A pose model, and its three files."""
    model = small("pose")
    return model, export_formats(model, paths(tmp_path_factory.mktemp("pose")))


def test_every_format_gives_the_same_numbers_and_the_same_keypoints(pose):
    _, written = pose
    for exported in written:
        assert exported.path.is_file()
        assert exported.difference.raw < 1e-4
        assert exported.difference.decoded < 1e-2
        assert exported.difference.what.name == "keypoints"
        left_out = re.match(r"(\d+) keypoints without a clear peak left out", exported.difference.remark)
        assert left_out is None or int(left_out[1]) < 5


@pytest.mark.parametrize("count", [1, 3])
def test_any_number_of_images(pose, count):
    model, written = pose
    images = network_input(model, random_pixels(model, count))
    with torch.no_grad():
        expected = model(images)
    for exported in written:
        found = open_exported(exported.path, threads=1)(images)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * expected.abs().max().item())


def test_each_file_says_how_it_is_fed_and_read(pose):
    _, written = pose
    for exported in written:
        entries = read_constants(exported.path)
        assert entries["model"]["name"] == "cmsa_n"
        assert entries["input"]["layout"] == "NCHW"
        assert (entries["input"]["height"], entries["input"]["width"]) == (16, 24)
        assert entries["input"]["mean"] == [0.485, 0.456, 0.406]
        assert entries["input"]["batch"] == "dynamic"
        assert entries["crop"]["padding"] == 1.25
        assert entries["decoding"]["codec"] == "UDP"
        assert len(entries["decoding"]["names"]) == 17
        assert list(entries["outputs"]) == ["heatmaps"]


def test_the_axis_of_images_has_a_name(pose):
    import onnx

    _, written = pose
    graph = onnx.load(str(written[0].path)).graph
    for value in (*graph.input, *graph.output):
        assert value.type.tensor_type.shape.dim[0].dim_param == "batch"


def test_one_onnx_file_without_traces_of_this_machine(pose):
    import onnx

    _, written = pose
    folder = written[0].path.parent
    assert sorted(path.name for path in folder.iterdir()) == ["model.bin", "model.onnx", "model.pt2", "model.xml"]
    model = onnx.load(str(written[0].path))
    onnx.checker.check_model(model)
    assert b"site-packages" not in written[0].path.read_bytes()
    assert b".py" not in written[0].path.read_bytes()


@pytest.mark.parametrize(
    "task",
    [
        "pose",
        pytest.param("head_pose", marks=pytest.mark.exhaustive),
        pytest.param("classification", marks=pytest.mark.exhaustive),
    ],
)
def test_pixels_in_and_values_out(task, small, tmp_path):
    """What a program without Python gets is what the library's own pre- and post-processing gives."""
    model = small(task)
    options = ExportOptions(normalise=True, decode=True)
    exported = export(model, tmp_path / "whole.onnx", options=options)
    pixels = random_pixels(model, 4)
    outputs = open_exported(exported.path, threads=1).run(pixels)
    mean, std = torch.tensor(model.description.mean), torch.tensor(model.description.std)
    images = ((pixels / 255 - mean) / std).permute(0, 3, 1, 2)
    with torch.no_grad():
        raw = model(images)
    expected = task_of(model).decode(raw)
    tolerances = {"pose": (0.02, 1e-3), "head_pose": (1e-2,), "classification": (1e-5,)}[task]
    for found, wanted, tolerance in zip(outputs, expected, tolerances, strict=True):
        torch.testing.assert_close(found, wanted, rtol=0, atol=tolerance)
    entries = read_constants(exported.path)
    assert entries["input"]["layout"] == "NHWC"
    assert entries["input"]["type"] == "uint8"
    assert entries["decoded_in_graph"]
    assert exported.difference.raw is None


@pytest.mark.slow
@pytest.mark.parametrize("head", ["bins", "rotation_6d"])
def test_angles_of_the_other_heads_in_the_graph(head, small, tmp_path):
    exported = export(small("head_pose", head=head), tmp_path / "angles.onnx", options=ExportOptions(decode=True))
    assert exported.difference.decoded < 1e-2


@pytest.mark.slow
def test_simcc_as_bins_and_as_keypoints(small, tmp_path):
    model = small("pose", head="simcc")
    model.description = replace(model.description, decoding={"codec": "simcc", "loss": "cross_entropy"})
    pixels = random_pixels(model, 4)
    raw = export(model, tmp_path / "bins.onnx", options=ExportOptions(pixels=pixels))
    assert raw.difference.raw < 1e-4
    assert raw.difference.decoded < 1e-2
    entries = read_constants(raw.path)
    assert entries["outputs"] == {"bins": "(B, keypoints, bins of x + bins of y): logits"}
    decoding = entries["decoding"]
    assert (decoding["codec"], decoding["split"], decoding["bins_x"], decoding["bins_y"]) == ("SimCC", 2, 48, 32)
    whole = export(model, tmp_path / "points.onnx", options=ExportOptions(normalise=True, decode=True, pixels=pixels))
    assert list(read_constants(whole.path)["outputs"]) == ["keypoints", "scores"]
    xy, scores = open_exported(whole.path, threads=1).run(pixels)
    task = task_of(model)
    with torch.no_grad():
        expected = task.decode(model(network_input(model, pixels)))
    torch.testing.assert_close(xy, expected[0], rtol=0, atol=0.02)
    torch.testing.assert_close(scores, expected[1], rtol=1e-3, atol=1e-3)


def test_a_wrong_file_is_refused_and_not_written(small, tmp_path, monkeypatch):
    """The negative control: the graph of another model."""
    model, other = small("pose"), small("pose")
    for parameter in other.head.parameters():
        parameter.data.mul_(1.1)
    monkeypatch.setattr(export_run, "ExportedGraph", lambda _, **options: ExportedGraph(other, **options))
    with pytest.raises(ExportError, match=r"wrong\.pt2 was not written: the output differs"):
        export(model, tmp_path / "wrong.pt2")
    assert not list(tmp_path.iterdir())


def test_a_fixed_batch_takes_any_number_of_images_by_parts(small, tmp_path):
    model = small("classification")
    exported = export(model, tmp_path / "fixed.onnx", options=ExportOptions(batch=3))
    assert read_constants(exported.path)["input"]["batch"] == 3
    assert exported.difference.count == 8
    images = network_input(model, random_pixels(model, 7))
    network = open_exported(exported.path, threads=1)
    with torch.no_grad():
        expected = model(images)
    for count in (1, 3, 7):
        torch.testing.assert_close(network(images[:count]), expected[:count], rtol=0, atol=1e-4)


@pytest.mark.slow
def test_a_batch_larger_than_the_crops_that_are_compared(small, tmp_path):
    exported = export(small("classification"), tmp_path / "large.pt2", options=ExportOptions(batch=16))
    assert exported.difference.count == 8


@pytest.mark.parametrize(
    ("name", "format", "message"),
    [
        ("model.tflite", None, r"must end in one of \.onnx, \.xml, \.pt2"),
        ("model.onnx", "tflite", "no format 'tflite'"),
        ("model.onnx", "openvino", r"ends in \.xml"),
    ],
)
def test_unknown_formats(name, format, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        export(create_model("cmsa_n"), tmp_path / name, format)


def test_files_of_others_are_told_apart(tmp_path):
    import onnx

    path = tmp_path / "other.onnx"
    onnx.save_model(onnx.ModelProto(), str(path))
    with pytest.raises(ValueError, match="not a file of cmsa export"):
        read_constants(path)
    with pytest.raises(FileNotFoundError, match="no exported file"):
        read_constants(tmp_path / "none.onnx")
    for name in ("broken.onnx", "broken.xml", "broken.pt2"):
        for content in (b"", b"x", b"PK\x03\x04 half an archive"):
            (tmp_path / name).write_bytes(content)
            with pytest.raises(ValueError, match=rf"{name}: (cannot be read, it may be damaged|no 'cmsa' entry)"):
                read_constants(tmp_path / name)
    with pytest.raises(FileNotFoundError, match="no exported file"):
        open_exported(tmp_path / "none.onnx")


@pytest.mark.exhaustive
@pytest.mark.parametrize(("task", "size"), [(task, size) for task, sizes in SIZES.items() for size in sizes])
@pytest.mark.parametrize("variant", VARIANTS)
def test_every_variant_task_and_size(variant, task, size, trained_like, tmp_path):
    torch.manual_seed(0)
    model = trained_like(create_model(variant, task, size))
    pixels = random_pixels(model, 2)
    images = network_input(model, random_pixels(model, 3))
    with torch.no_grad():
        expected = model(images)
    for exported in export_formats(model, paths(tmp_path), ExportOptions(pixels=pixels)):
        assert exported.difference.raw < 1e-3
        # In a batch of another size than the one that was compared.
        found = open_exported(exported.path, threads=1)(images)
        torch.testing.assert_close(found, expected, rtol=0, atol=2e-3 * expected.abs().max().item())


@pytest.mark.slow
def test_a_size_that_no_window_divides(small, tmp_path):
    model = small("pose", (19, 13))
    exported = export(model, tmp_path / "odd.onnx")
    assert exported.difference.raw < 1e-4
    for count in (1, 3):
        images = network_input(model, random_pixels(model, count))
        with torch.no_grad():
            expected = model(images)
        found = open_exported(exported.path, threads=1)(images)
        torch.testing.assert_close(found, expected, rtol=0, atol=1e-3 * expected.abs().max().item())
