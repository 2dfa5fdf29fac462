"""int8: calibration crops, and what becomes of a model."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
import torch

from cmsa.data.crops import CropSpec
from cmsa.data.store import CropStore
from cmsa.export import export
from cmsa.export.compare import random_pixels
from cmsa.export.formats import read_constants
from cmsa.export.quantize import calibration_pixels, check_calibration, comparison_pixels, stay_in_float
from cmsa.export.run import ExportOptions, export_formats
from cmsa.models import create_model


def store(spec, crops, tmp_path):
    return CropStore(tmp_path, crops, {}, spec, {})


def ramp(count, height, width):
    """Crops whose red is the column and whose green is the row."""
    rows, columns = np.mgrid[:height, :width]
    crop = np.stack([columns, rows, np.zeros_like(rows)], axis=2).astype(np.uint8)
    return np.repeat(crop[None], count, axis=0)


def test_evaluation_crops_are_taken_as_they_are(tmp_path):
    crops = np.random.default_rng(0).integers(0, 256, (10, 16, 24, 3), dtype=np.uint8)
    found = calibration_pixels(store(CropSpec.for_evaluation((16, 24)), crops, tmp_path), (16, 24), 4)
    np.testing.assert_array_equal(found.numpy(), crops[[0, 3, 5, 9]])


@pytest.mark.parametrize("count", [2, 7, 8, 100])
def test_what_is_compared_is_never_calibrated_on(count, tmp_path):
    crops = np.arange(count, dtype=np.uint8)[:, None, None, None] * np.ones((1, 16, 24, 3), np.uint8)
    kept = store(CropSpec.for_evaluation((16, 24)), crops, tmp_path)
    calibrated, compared = (
        {int(crop[0, 0, 0]) for crop in pixels(kept, (16, 24))} for pixels in (calibration_pixels, comparison_pixels)
    )
    assert compared
    assert not calibrated & compared
    assert calibrated | compared == set(range(count))


@pytest.mark.parametrize(
    ("crops", "told"),
    [
        (torch.zeros(0, 16, 24, 3), "got none"),
        (torch.zeros(9, 16, 24, 3), "values of 0 to 0"),
        (torch.full((9, 16, 24, 3), 200) + torch.arange(3), "values of 200 to 202"),
        (torch.arange(144).reshape(1, 8, 6, 3).expand(5, 8, 6, 3), "all 5 calibration crops are the same"),
    ],
)
def test_crops_that_tell_no_ranges_are_refused(crops, told):
    with pytest.raises(ValueError, match=told):
        check_calibration(crops.to(torch.uint8))


def test_training_crops_are_cut_back_to_what_the_network_sees(tmp_path):
    spec = CropSpec.for_training((16, 24), density=2.0)
    height, width = spec.store_size
    found = calibration_pixels(store(spec, ramp(3, height, width), tmp_path), (16, 24))
    assert found.shape == (2, 16, 24, 3)
    columns = (width - 1) / 2 + 2 * (np.arange(24) - 11.5)
    rows = (height - 1) / 2 + 2 * (np.arange(16) - 7.5)
    np.testing.assert_allclose(found[0, 0, :, 0], columns, atol=0.51)
    np.testing.assert_allclose(found[0, :, 0, 1], rows, atol=0.51)


def test_a_store_of_another_size_is_refused(tmp_path):
    crops = np.zeros((2, 16, 24, 3), np.uint8)
    with pytest.raises(ValueError, match=r"crops for an input of \(16, 24\)"):
        calibration_pixels(store(CropSpec.for_evaluation((16, 24)), crops, tmp_path), (32, 24))
    with pytest.raises(ValueError, match="1 crop, but one is needed to calibrate on and one to compare on"):
        calibration_pixels(store(CropSpec.for_evaluation((16, 24)), crops[:1], tmp_path), (16, 24))


def test_products_of_activations_and_depthwise_convolutions_stay_in_float():
    def node(name, kind, inputs, **attributes):
        return onnx.helper.make_node(kind, inputs, [f"{name}_out"], name=name, **attributes)

    weight = onnx.numpy_helper.from_array(np.zeros((4, 4), np.float32), "weight")
    nodes = [
        node("linear", "MatMul", ["x", "weight"]),
        node("attention", "MatMul", ["x", "linear_out"]),
        node("depthwise", "Conv", ["x", "weight"], group=4),
        node("convolution", "Conv", ["x", "weight"], group=1),
        node("add", "Add", ["x", "attention_out"]),
    ]
    graph = onnx.helper.make_graph(nodes, "graph", [], [], [weight])
    assert stay_in_float(onnx.helper.make_model(graph)) == ["attention", "depthwise"]


@pytest.mark.slow
@pytest.mark.parametrize("suffix", [".onnx", ".xml"])
def test_int8_stays_near_float32(suffix, tmp_path):
    torch.manual_seed(0)
    model = create_model("cmsa_n", "classification", (16, 16), depths=(1, 1, 1), num_classes=10).eval()
    pixels = random_pixels(model, 32)
    plain = export(model, tmp_path / f"plain{suffix}")
    options = ExportOptions(calibration=pixels)
    small = export(model, tmp_path / f"int8{suffix}", options=options)
    assert read_constants(small.path)["precision"] == "int8"
    assert 1e-6 < small.difference.mean < 0.02
    assert small.difference.raw > plain.difference.raw
    weights = {".onnx": ".onnx", ".xml": ".bin"}[suffix]
    assert small.path.with_suffix(weights).stat().st_size < 0.6 * plain.path.with_suffix(weights).stat().st_size


def test_int8_is_not_for_torch(tmp_path):
    model = create_model("cmsa_n", "classification", (16, 16))
    with pytest.raises(ValueError, match="not for torch"):
        export_formats(model, {"torch": tmp_path / "m.pt2"}, ExportOptions(calibration=random_pixels(model)))
