import io
import json
import logging
import math
from dataclasses import replace
from types import SimpleNamespace

import numpy as np
import pytest
import torch
from PIL import Image

from cmsa.data.boxes import BoxesError, DetectionFile
from cmsa.data.image import ImageError
from cmsa.inference.detectors import DetectorError, given_boxes
from cmsa.inference.predictor import Predictor, Skipped
from cmsa.models.create import create_model, load_weights
from cmsa.models.network import CMSA
from cmsa.models.weights import save_weights
from cmsa.structures import Box

HEIGHT, WIDTH = 90, 140
BOX = [10, 20, 48, 64]
"""Of the crop's aspect; enlarged by 1.25 one pixel of the 32x24 crop is 2.5 pixels of the picture."""


@pytest.fixture(scope="module")
def weights(tmp_path_factory):
    """A weights file of a randomly initialised model."""
    torch.manual_seed(0)
    path = tmp_path_factory.mktemp("weights") / "model.safetensors"
    save_weights(path, create_model("cmsa_n", "pose", (32, 24)))
    return path


@pytest.fixture
def predictor(weights):
    return Predictor.from_pretrained(weights)


@pytest.fixture
def seeing(predictor):
    """A predictor whose network's heatmaps are the image's red channel: it finds bright dots."""
    predictor.network = lambda images: (images[:, :1] * 0.229 + 0.485).repeat(1, 17, 1, 1)
    return predictor


@pytest.fixture
def noise():
    return np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)


def dot(x, y, height=HEIGHT, width=WIDTH, sigma=6):
    """A picture with one bright dot."""
    rows, columns = np.mgrid[:height, :width]
    bright = 255 * np.exp(-((columns - x) ** 2 + (rows - y) ** 2) / (2 * sigma**2))
    return np.repeat(np.rint(bright).astype(np.uint8)[:, :, None], 3, axis=2)


def image_file(path, picture, **options):
    Image.fromarray(picture).save(path, **options)
    return path


def same(first, second):
    return len(first) == len(second) and all(
        np.allclose(a.xy, b.xy, atol=1e-3) for a, b in zip(first, second, strict=True)
    )


def test_a_peak_of_the_heatmap_is_where_geometry_says(predictor):
    def network(images):
        maps = torch.zeros(len(images), 17, 32, 24)
        maps[:, :, 4, 20] = 0.5
        return maps

    predictor.network = network
    person = predictor(np.zeros((HEIGHT, WIDTH, 3), np.uint8), [BOX])[0]
    # The box's centre is (33.5, 51.5), the crop's (11.5, 15.5).
    np.testing.assert_allclose(person.xy, np.tile([33.5 + 8.5 * 2.5, 51.5 - 11.5 * 2.5], (17, 1)), atol=1e-4)
    np.testing.assert_allclose(person.scores, 0.5)
    assert person.box == Box(*BOX)


@pytest.mark.parametrize("convention", ["pixel", "udp", "hrnet"])
@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize(
    ("box", "place"),
    [
        (BOX, (40, 50)),
        ([10, 20, 20, 64], (25, 66)),  # too narrow for the crop's aspect
        ([20, 30, 100, 20], (90, 35)),  # too wide
        ([-30, -20, 80, 90], (12, 20)),  # partly outside of the picture
        (None, (100, 30)),
    ],
)
def test_a_dot_is_found_in_the_full_picture(weights, convention, antialias, box, place):
    model = load_weights(weights)
    crop = {"padding": 1.25, "convention": convention, "antialias": antialias}
    model.description = replace(model.description, crop=crop)
    predictor = Predictor(model)
    predictor.network = lambda images: (images[:, :1] * 0.229 + 0.485).repeat(1, 17, 1, 1)
    person = predictor(dot(*place), box if box is None else [box])[0]
    np.testing.assert_allclose(person.xy, np.tile(place, (17, 1)), atol=0.3)


def test_boxes_of_exif_pictures_are_in_the_turned_picture(seeing, tmp_path):
    turned = dot(40, 50)
    stored = np.ascontiguousarray(np.rot90(turned))  # 6: to be turned clockwise
    exif = Image.Exif()
    exif[274] = 6
    path = image_file(tmp_path / "turned.jpg", stored, exif=exif, quality=98)
    assert Image.open(path).size == (HEIGHT, WIDTH)
    np.testing.assert_allclose(seeing(path, [BOX])[0].xy[0], (40, 50), atol=0.3)


def test_every_kind_of_image_gives_the_same(predictor, tmp_path, noise):
    path = image_file(tmp_path / "bäume 木.png", noise)
    expected = predictor(noise, [BOX])
    encoded = io.BytesIO()
    Image.fromarray(noise).save(encoded, format="PNG")
    for image in (path, str(path), encoded.getvalue(), Image.fromarray(noise), noise.astype(np.float32) / 255):
        assert same(predictor(image, [BOX]), expected)


def test_every_kind_of_boxes_gives_the_same(predictor, tmp_path, noise):
    boxes = [BOX, [30, 5, 20, 70.5]]
    path = image_file(tmp_path / "crowd.png", noise)
    entries = [{"file_name": "crowd.png", "image_id": 1, "category_id": 1, "bbox": box} for box in boxes]
    entries.insert(1, {"file_name": "crowd.png", "image_id": 1, "category_id": 18, "bbox": [0, 0, 5, 5]})
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps(entries))
    expected = predictor(path, boxes)
    for given in (np.array(boxes), [Box(*box) for box in boxes], tuple(map(tuple, boxes)), file, str(file)):
        people = predictor(path, given)
        assert same(people, expected)
        assert [person.box.xywh for person in people] == [tuple(box) for box in boxes]
    assert same(predictor(noise, file), expected)
    assert same(predictor(path, DetectionFile.read(file, category=1)), expected)
    assert same(predictor(path, BOX), expected[:1])


def test_a_detection_file_of_several_pictures_needs_a_path(predictor, tmp_path, noise, caplog):
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps([{"file_name": name, "bbox": BOX} for name in ("a.png", "b.png")]))
    with pytest.raises(BoxesError, match=r"names 2 pictures \(a.png, b.png\).*give its path"):
        predictor(noise, file)
    with caplog.at_level(logging.WARNING):
        assert predictor(image_file(tmp_path / "c.png", noise), file) == []
    assert "names no box for" in caplog.text


def test_no_boxes_mean_the_whole_picture(predictor, noise):
    whole = predictor(noise)
    assert whole[0].box == Box(0, 0, WIDTH, HEIGHT)
    assert same(whole, predictor(noise, [[0, 0, WIDTH, HEIGHT]]))


def test_an_empty_list_of_boxes_gives_an_empty_list(predictor, noise):
    assert predictor(noise, []) == []
    assert predictor(noise, np.zeros((0, 4))) == []
    assert predictor.skipped == []


def test_bad_boxes_are_named_and_left_out(predictor, noise, caplog):
    bad = [[5, 5, 0, 0], [float("nan"), 5, 10, 10], [500, 500, 10, 10], [1, 2, 3]]
    with caplog.at_level(logging.WARNING):
        people = predictor(noise, [BOX, *bad, [30, 5, 20, 70]])
    assert same(people, predictor(noise, [BOX, [30, 5, 20, 70]]))
    with caplog.at_level(logging.WARNING):
        assert predictor(noise, bad) == []
    assert [(left.item, left.box) for left in predictor.skipped] == [(0, 0), (0, 1), (0, 2), (0, 3)]
    assert predictor.skipped[0] == Skipped(0, 0, "box (5.0, 5.0, 0.0, 0.0): width and height must be positive")
    assert "picture 0, box 3 left out: box (500.0, 500.0, 10.0, 10.0) lies outside the picture" in caplog.text
    predictor(noise, [BOX])
    assert predictor.skipped == []


def test_a_loop_of_calls_logs_a_few_bad_boxes_only(predictor, noise, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in range(40):
            assert predictor(noise, [[500, 500, 10, 10]]) == []
            assert predictor.skipped_count == 1
    assert [record.getMessage().count("left out:") for record in caplog.records] == [1] * 20 + [0]


def test_unreadable_picture_and_boxes_are_errors(predictor, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    with pytest.raises(ImageError, match=r"bad.jpg: cannot be decoded"):
        predictor(tmp_path / "bad.jpg")
    with pytest.raises(BoxesError, match="boxes are a list or an array"):
        predictor(np.zeros((9, 9, 3), np.uint8), 4)


def test_order_and_values_do_not_depend_on_the_batch(predictor, noise):
    boxes = [[3 * index, 2 * index, 20 + index, 40] for index in range(7)]
    expected = predictor(noise, boxes)
    for size in (1, 3, 7):
        assert same(predictor(noise, boxes, batch_size=size), expected)
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1, got 0"):
        predictor(noise, boxes, batch_size=0)


def test_flip_test_averages(predictor, noise):
    assert not same(predictor(noise, [BOX], flip_test=True), predictor(noise, [BOX]))


def test_crops_are_what_the_network_sees(predictor, noise):
    seen = []
    network = predictor.network

    def watch(images):
        seen.append(images)
        return network(images)

    predictor.network = watch
    boxes = [BOX, [0, 0, 0, 0], [30, 5, 20, 70]]
    people = predictor(noise, boxes)
    crops = predictor.crops(noise, boxes)
    assert len(crops) == len(people) == 2
    for (crop, matrix), image in zip(crops, seen[0], strict=True):
        assert crop.shape == (32, 24, 3)
        assert crop.dtype == np.uint8
        assert matrix.shape == (2, 3)
        mean, std = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
        np.testing.assert_allclose(image.permute(1, 2, 0).numpy() * std + mean, crop / 255, atol=1e-5)


def test_stream_equals_calls_and_goes_on_after_a_bad_picture(predictor, noise, tmp_path):
    (tmp_path / "bad.jpg").write_bytes(b"no picture")
    other = np.ascontiguousarray(noise[::-1])
    items = [
        (noise, [BOX, [30, 5, 20, 70]]),
        tmp_path / "bad.jpg",
        other,
        (noise, []),
        (other, [[0, 0, 0, 0], BOX]),
    ]
    expected = [predictor(noise, [BOX, [30, 5, 20, 70]]), [], predictor(other), [], predictor(other, [BOX])]
    for size in (1, 2, 32):
        streamed = list(predictor.stream(items, batch_size=size))
        assert len(streamed) == 5
        assert all(same(first, second) for first, second in zip(streamed, expected, strict=True))
        assert [(left.item, left.box) for left in predictor.skipped] == [(1, None), (4, 0)]


@pytest.mark.parametrize("boxes", [None, []])
@pytest.mark.parametrize(("size", "ahead"), [(1, 1), (4, 4)])
def test_stream_reads_no_more_than_a_batch_ahead(predictor, noise, boxes, size, ahead):
    read = []

    def camera():
        for index in range(100):
            read.append(index)
            # The last picture of a batch without boxes must not wait for one with.
            yield noise, BOX if index == 0 else boxes

    stream = predictor.stream(camera(), batch_size=size)
    for done in range(10):
        next(stream)
        assert len(read) <= done + ahead


def test_model_itself_is_left_alone(weights):
    torch.manual_seed(0)
    model = create_model("cmsa_n", "pose", (32, 24)).train()
    keys = set(model.state_dict())
    predictor = Predictor(model)
    assert model.training
    assert set(model.state_dict()) == keys
    assert not any(isinstance(module, torch.nn.BatchNorm2d) for module in predictor.network.modules())


def test_non_square_heatmaps_of_a_strided_stem(noise):
    torch.manual_seed(0)
    model = create_model("cmsa_n", "pose", (66, 24), dims=(16, 16, 16))
    predictor = Predictor(model)
    assert predictor.task.codec.heatmap_size == (33, 12)
    assert predictor(noise, [BOX])[0].xy.shape == (17, 2)


@pytest.mark.parametrize("task", ["head_pose", "classification"])
def test_other_tasks_crop_the_box_itself(noise, task):
    torch.manual_seed(0)
    predictor = Predictor(create_model("cmsa_n", task, (32, 32), dims=(16, 16, 16)))
    (crop, matrix), values = predictor.crops(noise, [[8, 12, 32, 32]])[0], predictor(noise, [[8, 12, 32, 32]] * 2)
    np.testing.assert_allclose(matrix, [[1, 0, -8], [0, 1, -12]], atol=1e-9)
    np.testing.assert_array_equal(crop, noise[12:44, 8:40])
    assert len(values) == 2
    assert values[0].box == Box(8, 12, 32, 32)


def test_a_model_without_description_is_refused():
    with pytest.raises(ValueError, match="no description"):
        Predictor(CMSA((16, 16, 16), (1, 1, 1), ((1,), (1,), (1,)), ((1,), (1,), (1,))))


def test_folder_of_weights(weights, noise):
    assert same(Predictor.from_pretrained(weights.parent)(noise), Predictor.from_pretrained(str(weights))(noise))


def test_a_detector_finds_the_boxes_of_pictures_without(predictor, weights, noise, tmp_path):
    path = image_file(tmp_path / "crowd.png", noise)
    file = tmp_path / "boxes.json"
    file.write_text(json.dumps([{"file_name": "crowd.png", "category_id": 1, "bbox": BOX}]))
    detecting = Predictor.from_pretrained(weights, detector=str(file))
    assert same(detecting(path), predictor(noise, [BOX]))
    assert same(detecting(path, [[30, 5, 20, 70]]), predictor(noise, [[30, 5, 20, 70]]))
    assert Predictor.from_pretrained(weights, detector="motion")(noise) == []


def test_what_is_left_out_for_hours_is_counted_and_not_kept(predictor, noise, caplog):
    with caplog.at_level(logging.WARNING):
        for _ in predictor.stream((noise, [[500, 500, 10, 10]]) for _ in range(3000)):
            pass
    assert predictor.skipped_count == 3000
    assert len(predictor.skipped) == 1000
    assert predictor.skipped[-1].item == 2999
    assert len(caplog.records) == 21
    assert "not logged" in caplog.records[-1].message


def test_a_whole_picture_taken_as_one_person_is_said_once(predictor, noise, caplog):
    with caplog.at_level(logging.INFO):
        predictor(noise)
        predictor(noise)
    assert caplog.text.count("taken as one person") == 1


def test_boxes_as_people_have_them(predictor, noise):
    expected = predictor(noise, [BOX])[0]
    left, top, width, height = BOX
    corners = np.array([[left, top, left + width, top + height]])
    corners_and_more = SimpleNamespace(xyxy=corners, confidence=np.array([0.5]), class_id=np.array([0]))
    ways = [
        predictor(noise, corners, box_format="xyxy"),
        predictor(noise, np.array([[*BOX, 0.75]])),
        predictor(noise, [[*BOX, 0.75, 3]]),
        predictor(noise, np.array([[*corners[0], 0.75, 3]]), box_format="xyxy"),
        predictor(noise, corners_and_more),
        predictor(noise, given_boxes([BOX])),
        next(predictor.stream([(noise, corners)], box_format="xyxy")),
    ]
    for people in ways:
        assert [person.box for person in people] == [expected.box]
        np.testing.assert_array_equal(people[0].xy, expected.xy)
    np.testing.assert_array_equal(
        predictor.crops(noise, corners, box_format="xyxy")[0][0], predictor.crops(noise, [BOX])[0][0]
    )


def test_corners_are_not_taken_for_widths(predictor, noise):
    corners = [[70, 30, 120, 80], [10, 20, 60, 85]]
    with pytest.raises(BoxesError, match=r"box 0, \[70, 30, 120, 80\].*leaves the picture of 90x140.*say xyxy"):
        predictor(noise, corners)
    assert len(predictor(noise, corners, box_format="xyxy")) == 2
    with pytest.raises(BoxesError, match=r"box 0, xyxy \[100, 50, 30, 35\], and every other: has no area.*say xywh"):
        predictor(noise, [[100, 50, 30, 35]], box_format="xyxy")
    with pytest.raises(BoxesError, match="xywh or xyxy, got 'cxcywh'"):
        predictor(noise, [BOX], box_format="cxcywh")
    # One that cannot be used does not cost the others.
    assert len(predictor(noise, [*corners, [5, 5, 5, 9], "x"], box_format="xyxy")) == 2
    assert [skipped.box for skipped in predictor.skipped] == [2, 3]


def test_a_predictor_says_what_it_is(weights):
    text = "Predictor(cmsa_n, pose at 32x24 (HxW) pixels, torch on cpu in float32, no detector)"
    assert repr(Predictor.from_pretrained(weights)) == text
    moved = Predictor.from_pretrained(weights, runtime="onnxruntime", detector="motion")
    assert repr(moved).endswith("onnxruntime in float32, detector motion)")


@pytest.mark.parametrize("device", ["foo", "meta", "cuda:99", "cpu:x"])
def test_a_device_that_is_not_here_is_told_in_our_words(weights, device):
    with pytest.raises(ValueError, match=f"device '{device}' cannot be used; PyTorch finds here: cpu"):
        Predictor.from_pretrained(weights, device=device)


@pytest.mark.parametrize("detector", [3, b"motion", max])
def test_what_is_no_detector_is_told(weights, detector):
    with pytest.raises(DetectorError, match=r"a detector takes \(picture, name\) .* or is named by text: .*; got"):
        Predictor.from_pretrained(weights, detector=detector)


def test_bf16_moves_keypoints_little(weights, noise):
    exact, half = Predictor.from_pretrained(weights), Predictor.from_pretrained(weights, precision="bf16")
    with torch.inference_mode():
        images = torch.randn(2, 3, 32, 24)
        one, other = exact.network(images), half.network(images)
    assert other.dtype == torch.float32
    assert 0 < (one - other).abs().max() < 0.05 * one.abs().max()
    assert len(half(noise, [BOX])) == 1
    with pytest.raises(ValueError, match=r"no precision 'int8'; there are float32, bf16: .*cmsa export --int8"):
        Predictor.from_pretrained(weights, precision="int8")
    with pytest.raises(ValueError, match="onnxruntime does not compute in bf16"):
        Predictor.from_pretrained(weights, runtime="onnxruntime", precision="bf16")


@pytest.mark.parametrize("task", ["pose", "head_pose", "classification"])
def test_weights_that_are_no_numbers_are_told(task):
    options = {"num_classes": 3} if task == "classification" else {}
    model = create_model("cmsa_n", task, (32, 32), dims=(16, 16, 16), **options)
    with torch.no_grad():
        for value in model.head.parameters():
            value.fill_(math.nan)
    with pytest.raises(ValueError, match=r"what the network says is not finite: the weights or the exported file are"):
        Predictor(model)(np.zeros((40, 30, 3), np.uint8))


@pytest.mark.parametrize(
    ("items", "told"),
    [
        ("a.png", "got str"),
        (b"\x89PNG", "got bytes"),
        (np.zeros((9, 8, 3), np.uint8), "got ndarray"),
        (np.zeros((9, 8), np.uint8), "got ndarray"),
        (Image.new("RGB", (8, 9)), "got Image"),
        (3, "got int"),
        ([(np.zeros((9, 8, 3), np.uint8), None, 3)], "item 0 of the stream is a picture or .*, got 3 values"),
    ],
)
def test_one_picture_is_no_stream_of_its_rows_or_letters(predictor, items, told):
    with pytest.raises(ValueError, match=told):
        next(predictor.stream(items))


def test_a_stack_of_pictures_is_a_stream(predictor):
    pictures = np.random.default_rng(0).integers(0, 256, (2, 40, 30, 3), dtype=np.uint8)
    found = list(predictor.stream(pictures))
    assert [len(people) for people in found] == [1, 1]
    np.testing.assert_allclose(found[1][0].xy, predictor(pictures[1])[0].xy, atol=1e-3)


@pytest.mark.parametrize("size", [0, 1.5, None, "2"])
def test_a_batch_is_a_whole_number(predictor, size):
    with pytest.raises(ValueError, match="batch_size must be a whole number of at least 1"):
        predictor(np.zeros((9, 8, 3), np.uint8), batch_size=size)
    assert len(predictor(np.zeros((9, 8, 3), np.uint8), batch_size=np.int64(2))) == 1


def test_a_single_box_may_have_a_score(predictor):
    pixels = np.random.default_rng(0).integers(0, 256, (HEIGHT, WIDTH, 3), dtype=np.uint8)
    (alone,), (scored,) = predictor(pixels, BOX), predictor(pixels, [*BOX, 0.5])
    assert np.array_equal(alone.xy, scored.xy)
    with pytest.raises(BoxesError, match="list of lists of four numbers each, got a list of 8 numbers"):
        predictor(pixels, [*BOX, *BOX])
