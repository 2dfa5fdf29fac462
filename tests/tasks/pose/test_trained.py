from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from tiny_people import SIZE, tiny_weights

from cmsa.structures import COCO
from cmsa.tasks.pose.trained import TrainedPose, open_pose, resample


@pytest.fixture
def weights(tmp_path: Path) -> Path:
    return tiny_weights(tmp_path / "tiny.safetensors")


@pytest.mark.parametrize("size", [(8, 6), (16, 12), (40, 31)])
def test_resampling_keeps_edges_on_edges(size):
    ramp = np.broadcast_to(np.linspace(0, 200, 24).astype(np.uint8)[None, :, None], (32, 24, 3))
    again = resample(np.ascontiguousarray(ramp), size)
    assert again.shape == (*size, 3)
    assert abs(float(again.mean()) - float(ramp.mean())) < 2
    assert resample(again, size) is again


def test_weights_see_another_resolution_in_their_own_input(weights):
    run = open_pose(weights)
    assert isinstance(run, TrainedPose)
    assert run.input_size == SIZE
    crops = np.random.default_rng(0).integers(0, 255, (3, 32, 24, 3), dtype=np.uint8)
    shrunk = np.stack([resample(crop, SIZE) for crop in crops])
    large, scores = run(crops)
    small, same = run(shrunk)
    np.testing.assert_allclose(large, (small + 0.5) * 2 - 0.5)
    np.testing.assert_allclose(scores, same)


def test_weights_of_another_number_of_keypoints_are_refused(weights):
    assert open_pose(weights, keypoints=17).keypoints == 17
    with pytest.raises(ValueError, match=r"tiny\.safetensors: puts out 17 keypoints, 14 are asked for"):
        open_pose(weights, keypoints=14)


def test_the_predictor_says_the_same(weights):
    from cmsa import Predictor

    crop = np.random.default_rng(0).integers(0, 255, (*SIZE, 3), dtype=np.uint8)
    xy, scores = open_pose(weights)(crop[None], COCO.flip_index)
    predictor = Predictor.from_pretrained(weights)
    # Without its padding the whole picture is the crop.
    predictor.spec = type(predictor.spec).for_evaluation(SIZE, padding=1.0)
    (said,) = predictor(crop, flip_test=True)
    np.testing.assert_allclose(xy[0], said.xy, atol=1e-4)
    np.testing.assert_allclose(scores[0], said.scores, atol=1e-5)


def test_a_name_that_is_neither_is_refused(tmp_path):
    with pytest.raises(FileNotFoundError, match=r"nothing\.onnx"):
        open_pose(tmp_path / "nothing.onnx")
    with pytest.raises(FileNotFoundError, match="no weights"):
        open_pose("no-such-name")
