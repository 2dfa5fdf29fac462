"""Networks made node by node, whose keypoints are known."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
import torch

from cmsa.structures import COCO
from cmsa.tasks.pose.foreign import ForeignOptions, ForeignPose
from cmsa.tasks.pose.task import PoseTask
from cmsa.tasks.pose.trained import open_pose

onnx = pytest.importorskip("onnx")
pytest.importorskip("onnxruntime")
FLOAT, INT32, INT64 = 1, 6, 7


def save(
    path: Path, nodes: list, shape: list, output: list, kind: int = FLOAT, constants: tuple = (), more: tuple = ()
) -> Path:
    helper = onnx.helper
    graph = helper.make_graph(
        nodes,
        "made",
        [helper.make_tensor_value_info("images", kind, shape), *more],
        [helper.make_tensor_value_info("output", FLOAT, output)],
        list(constants),
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=9)
    onnx.save(model, path)
    return path


def brightness_maps(path: Path, batch: int | str, stride: int = 4, size: tuple[int, int] = (128, 96)) -> Path:
    """Two heatmaps: the red and the green channel, averaged over cells of stride x stride pixels."""
    make = onnx.helper.make_node
    wide = onnx.helper.make_tensor("ends", 7, [1], [2])
    begin, axes = onnx.helper.make_tensor("begin", 7, [1], [0]), onnx.helper.make_tensor("axes", 7, [1], [1])
    nodes = [
        make("AveragePool", ["images"], ["pooled"], kernel_shape=[stride, stride], strides=[stride, stride]),
        make("Slice", ["pooled", "begin", "ends", "axes"], ["two"]),
        make("Relu", ["two"], ["output"]),
    ]
    maps = [batch, 2, size[0] // stride, size[1] // stride]
    return save(path, nodes, [batch, 3, *size], maps, constants=(wide, begin, axes))


def blobs(points: list[tuple[float, float]], size: tuple[int, int], sigma: float) -> np.ndarray:
    """A crop (H, W, 3) whose channel c is a bell around point c (x, y)."""
    rows, columns = np.mgrid[: size[0], : size[1]]
    image = np.zeros((*size, 3))
    for channel, (x, y) in enumerate(points):
        image[..., channel] = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return image.round().astype(np.uint8)


@pytest.mark.parametrize("batch", [1, 2, "batch"])
def test_peaks_of_heatmaps_come_back_to_the_crop(tmp_path, batch):
    # Means over cells are maps whose pixels lie at the cells' centres.
    plain = ForeignOptions(anchor="center", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    network = ForeignPose(brightness_maps(tmp_path / "maps.onnx", batch), plain)
    assert network.input_size == (128, 96)
    points = [[(30.0, 70.5), (60.25, 40.0)], [(50.0, 90.0), (33.0, 33.0)], [(44.0, 64.0), (71.0, 100.0)]]
    crops = np.stack([blobs(pair, (128, 96), sigma=8) for pair in points])
    xy, scores = network(crops)
    np.testing.assert_allclose(xy, np.array(points), atol=0.2)
    assert (scores > 0.85).all()


def test_a_small_crop_is_enlarged_and_its_keypoints_are_in_its_own_pixels(tmp_path):
    plain = ForeignOptions(anchor="center", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    network = ForeignPose(brightness_maps(tmp_path / "maps.onnx", 1), plain)
    points = [(8.0, 20.5), (15.0, 10.0)]
    xy, _ = network(blobs(points, (32, 24), sigma=2)[None])
    np.testing.assert_allclose(xy[0], points, atol=0.1)


def test_the_corner_anchor_lies_one_and_a_half_pixels_before_the_centre(tmp_path):
    path = brightness_maps(tmp_path / "maps.onnx", 1)
    crops = blobs([(40.0, 64.0), (50.0, 30.0)], (128, 96), sigma=8)[None]
    normal = {"mean": (0.0, 0.0, 0.0), "std": (1.0, 1.0, 1.0)}
    corner, _ = ForeignPose(path, ForeignOptions("corner", **normal))(crops)
    center, _ = ForeignPose(path, ForeignOptions("center", **normal))(crops)
    np.testing.assert_allclose(center - corner, 1.5)


def test_the_flip_test_of_a_symmetric_network_changes_nothing(tmp_path):
    """The network sees no left or right, so without pairs the mirrored crop says the same."""
    plain = ForeignOptions(anchor="center", mean=(0.0, 0.0, 0.0), std=(1.0, 1.0, 1.0))
    network = ForeignPose(brightness_maps(tmp_path / "maps.onnx", 1), plain)
    crops = blobs([(30.0, 70.0), (60.0, 40.0)], (128, 96), sigma=8)[None]
    once, _ = network(crops)
    twice, _ = network(crops, flip_index=[0, 1])
    np.testing.assert_allclose(twice, once, atol=1e-4)


def test_points_are_fractions_of_a_square_input(tmp_path):
    """MoveNet's kind: pixels 0..255 as they are, a crop padded to a square, (y, x, score)."""
    value = np.array([[[[0.5, 0.25, 0.9], [0.75, 0.5, 0.4]]]], dtype=np.float32)
    make = onnx.helper.make_node
    constant = onnx.numpy_helper.from_array(value, "value")
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    nodes = [
        make("Cast", ["images"], ["floats"], to=FLOAT),
        make("ReduceMean", ["floats"], ["mean"], keepdims=0),
        make("Mul", ["mean", "zero"], ["nothing"]),
        make("Add", ["value", "nothing"], ["output"]),
    ]
    path = save(tmp_path / "points.onnx", nodes, [1, 64, 64, 3], [1, 1, 2, 3], INT32, (constant, zero))
    xy, scores = ForeignPose(path)(np.zeros((1, 32, 24, 3), np.uint8))
    # The crop takes 48 of 64 columns, from column 8 on, two pixels to each of its own.
    expected = [((0.25 * 64 - 8) / 2 - 0.5, 0.5 * 64 / 2 - 0.5), ((0.5 * 64 - 8) / 2 - 0.5, 0.75 * 64 / 2 - 0.5)]
    np.testing.assert_allclose(xy[0], expected, atol=1e-6)
    np.testing.assert_allclose(scores[0], [0.9, 0.4], atol=1e-6)


def test_a_network_that_takes_no_picture_is_named_with_its_shape(tmp_path):
    node = onnx.helper.make_node("Relu", ["images"], ["output"])
    path = save(tmp_path / "flat.onnx", [node], [1, 7], [1, 7])
    with pytest.raises(ValueError, match=r"flat\.onnx: the input must be .* it is \(1, 7\)"):
        ForeignPose(path)


def test_an_output_of_another_kind_is_named_with_its_shape(tmp_path):
    make = onnx.helper.make_node
    path = save(
        tmp_path / "other.onnx", [make("GlobalAveragePool", ["images"], ["output"])], [1, 3, 8, 8], [1, 3, 1, 1]
    )
    with pytest.raises(ValueError, match=r"other\.onnx: the output \(1, 3, 1, 1\)"):
        ForeignPose(path)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_another_number_of_keypoints_is_told_when_the_file_is_opened(tmp_path, runtime):
    path = brightness_maps(tmp_path / "maps.onnx", "batch")
    assert ForeignPose(path, runtime=runtime).keypoints == 2
    assert open_pose(path, keypoints=2).input_size == (128, 96)
    with pytest.raises(ValueError, match=r"maps\.onnx: puts out 2 keypoints, 17 are asked for"):
        open_pose(path, keypoints=17)
    with pytest.raises(ValueError, match=r"maps\.onnx: puts out 2 keypoints, 17 are asked for"):
        PoseTask((32, 24), (32, 24)).open_foreign(path)


@pytest.mark.parametrize("flip_index", [None, COCO.flip_index])
@pytest.mark.parametrize("answer", [[1, 16, 8, 6], [1, 1, 16, 3]], ids=["maps", "points"])
def test_another_number_of_keypoints_is_told_by_the_first_answer_if_the_file_does_not(tmp_path, answer, flip_index):
    """A mirrored answer would be sorted by places that are not there."""
    value = onnx.numpy_helper.from_array(np.ones(1, np.float32), "value")
    zero = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "zero")
    shape = onnx.numpy_helper.from_array(np.array(answer), "shape")
    make = onnx.helper.make_node
    # Of a shape that depends on pixels the runtime knows nothing before.
    nodes = [
        make("ReduceMean", ["images"], ["mean"], keepdims=0),
        make("Mul", ["mean", "zero"], ["nothing"]),
        make("Cast", ["nothing"], ["whole"], to=INT64),
        make("Add", ["shape", "whole"], ["sides"]),
        make("Expand", ["value", "sides"], ["output"]),
    ]
    unknown = ["batch", "one", "two", "three"]
    path = save(tmp_path / "sixteen.onnx", nodes, [1, 3, 8, 6], unknown, constants=(value, zero, shape))
    crops = np.zeros((2, 8, 6, 3), np.uint8)
    assert open_pose(path)(crops)[0].shape == (2, 16, 2)
    network = open_pose(path, keypoints=17)
    with pytest.raises(ValueError, match=r"sixteen\.onnx: puts out 16 keypoints, 17 are asked for"):
        network(crops, flip_index)
    taught = PoseTask((32, 24), (32, 24)).open_foreign(path)
    with pytest.raises(ValueError, match=r"sixteen\.onnx: puts out 16 keypoints, 17 are asked for"):
        taught(torch.from_numpy(crops))


@pytest.mark.parametrize(
    ("shape", "keypoints"),
    [
        ([1, 1, 5, 3], 5),
        (["batch", 1, "people", 3], None),
        (["batch", 5, "rows", "columns"], 5),
        (["batch", 1, "rows", "columns"], None),
        (["batch", "keypoints", 32, 24], None),
        (["batch", 1, 32, 24], 1),
    ],
)
def test_how_many_keypoints_a_shape_tells(tmp_path, shape, keypoints):
    """What it does not tell the first answer does; one map of any width may yet be points."""
    value = onnx.numpy_helper.from_array(np.zeros(1, np.float32), "value")
    # Of a shape that could be given, nothing is known but what the file says.
    sides = onnx.helper.make_tensor_value_info("sides", 7, [4])
    usual = onnx.helper.make_tensor("sides", 7, [4], [1, 1, 5, 3])
    nodes = [onnx.helper.make_node("Expand", ["value", "sides"], ["output"])]
    path = save(tmp_path / "shape.onnx", nodes, [1, 3, 8, 6], shape, constants=(value, usual), more=(sides,))
    assert ForeignPose(path).keypoints == keypoints


BFLOAT16, BOOL = 16, 9
MAPS = [1, 2, 16, 12]


def pooled(path: Path, *after: object, kind: int = FLOAT, output: list | None = None, **given: tuple) -> Path:
    """Maps of an image (1, 3, 64, 48), and what is done with them."""
    make = onnx.helper.make_node
    ends = [onnx.helper.make_tensor(name, INT64, [1], [value]) for name, value in (("zero", 0), ("one", 1), ("two", 2))]
    last = "output" if not after else "maps"
    nodes = [
        make("Cast", ["images"], ["numbers"], to=FLOAT),
        make("AveragePool", ["numbers"], ["all"], kernel_shape=[4, 4], strides=[4, 4]),
        make("Slice", ["all", "zero", "two", "one"], [last]),
        *after,
    ]
    batch = given.pop("batch", 1)
    constants = (*ends, *given.pop("constants", ()))
    return save(path, nodes, [batch, 3, 64, 48], output or MAPS, kind=kind, constants=constants, **given)


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_file_of_two_inputs_is_refused(runtime: str, tmp_path: Path) -> None:
    more = (onnx.helper.make_tensor_value_info("scale", FLOAT, [1]),)
    path = pooled(tmp_path / "two.onnx", onnx.helper.make_node("Mul", ["maps", "scale"], ["output"]), more=more)
    with pytest.raises(ValueError, match=r"two\.onnx: must have one input, it has 2: images, scale"):
        ForeignPose(path, runtime=runtime)


@pytest.mark.parametrize(("kind", "name"), [(BFLOAT16, "bfloat16"), (BOOL, "bool")])
def test_numbers_that_no_pixel_is_of_are_refused(kind: int, name: str, tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=rf"odd\.onnx: takes {name}, and must take one of float16, .*uint8"):
        ForeignPose(pooled(tmp_path / "odd.onnx", kind=kind))


@pytest.mark.parametrize("runtime", ["onnxruntime", "openvino"])
def test_a_file_that_answers_otherwise_than_it_was_asked_is_named(runtime: str, tmp_path: Path) -> None:
    make = onnx.helper.make_node
    mean = pooled(tmp_path / "mean.onnx", make("ReduceMean", ["maps"], ["output"], axes=[0]), batch="batch")
    none = pooled(tmp_path / "none.onnx", make("Slice", ["maps", "zero", "zero"], ["output"]), output=[0, *MAPS[1:]])
    crops = np.zeros((3, 64, 48, 3), np.uint8)
    with pytest.raises(ValueError, match=r"mean\.onnx: must answer each image of a batch, .* 3 images with \(1, 2, 16"):
        ForeignPose(mean, runtime=runtime)(crops)
    with pytest.raises(ValueError, match=r"none\.onnx: must answer each image of a batch, .* 1 image with \(0, 2, 16"):
        ForeignPose(none, runtime=runtime)(crops[:1])


def test_a_file_that_cannot_be_computed_or_gives_no_numbers_is_named(tmp_path: Path) -> None:
    make, seven = onnx.helper.make_node, onnx.helper.make_tensor("seven", INT64, [1], [7])
    after = (
        make("ReduceMean", ["maps"], ["mean"], keepdims=0),
        make("Cast", ["mean"], ["whole"], to=INT64),
        make("Unsqueeze", ["whole", "zero"], ["row"]),
        make("Add", ["row", "seven"], ["wrong"]),
        make("Gather", ["maps", "wrong"], ["output"]),
    )
    failing = pooled(tmp_path / "failing.onnx", *after, constants=(seven,))
    with pytest.raises(ValueError, match=r"failing\.onnx: cannot be computed for float32 \(1, 3, 64, 48\) \(.*Gather"):
        ForeignPose(failing)(np.zeros((1, 64, 48, 3), np.uint8))
    zero = pooled(tmp_path / "nan.onnx", make("Log", ["less"], ["output"]), constants=(seven,))
    content = onnx.load(zero)
    content.graph.node.insert(3, make("Sub", ["maps", "large"], ["less"]))
    content.graph.initializer.append(onnx.helper.make_tensor("large", FLOAT, [1], [1e6]))
    onnx.save(content, zero)
    with pytest.raises(ValueError, match=r"nan\.onnx: its answer is not finite"):
        ForeignPose(zero)(np.zeros((1, 64, 48, 3), np.uint8))


def test_what_openvino_says_of_a_file_is_told_without_its_sources(tmp_path: Path) -> None:
    pytest.importorskip("openvino")
    (tmp_path / "a.xml").write_text("<net/>")
    with pytest.raises(ValueError, match=r"a\.xml: cannot be opened, it may be damaged \(Unable to read the model"):
        ForeignPose(tmp_path / "a.xml")
