from __future__ import annotations

import numpy as np
import pytest
import torch

from cmsa.app.viewer import resized_matrix, viewers_by_task
from cmsa.data.crops import cut_crop
from cmsa.geometry.affine import apply_affine
from cmsa.structures import Box

PEOPLE = [Box(318, 92, 56, 151), Box(384, 129, 50, 135)]


def test_at_the_size_of_the_weights_it_is_what_the_predictor_says(viewers, park):
    viewer = viewers["pose"]
    expected = viewer.predictor(park, PEOPLE)
    for sight, person, (crop, matrix) in zip(
        viewer.look(park, PEOPLE, 32), expected, viewer.predictor.crops(park, PEOPLE), strict=True
    ):
        np.testing.assert_array_equal(sight.given, crop)
        np.testing.assert_array_equal(sight.crop, crop)
        np.testing.assert_allclose(sight.matrix, matrix)
        np.testing.assert_allclose(sight.value.xy, person.xy, atol=1e-3)
        np.testing.assert_allclose(sight.value.scores, person.scores, atol=1e-5)
        assert sight.box == person.box


def test_without_a_box_the_whole_picture_is_looked_at(viewers, park):
    (sight,) = viewers["classification"].look(park, [], 32)
    expected = viewers["classification"].predictor(park)[0]
    assert sight.box == Box(0, 0, 774, 516)
    np.testing.assert_allclose(sight.value.probabilities, expected.probabilities, rtol=1e-5)


@pytest.mark.parametrize("height", [16, 32, 128])
def test_crops_have_the_height_that_was_asked_for(viewers, park, height):
    sight, _ = viewers["pose"].look(park, PEOPLE, height)
    assert sight.crop.shape == (height, height * 3 // 4, 3)
    assert sight.given.shape == (32, 24, 3)
    # The crops are of one region, whatever their resolution.
    usual = viewers["pose"].look(park, PEOPLE, 32)[0]
    np.testing.assert_allclose(sight.given.mean((0, 1)), usual.given.mean((0, 1)), atol=3)
    np.testing.assert_allclose(sight.matrix, usual.matrix)


def test_twice_the_resolution_leaves_the_keypoints_about_where_they_are(viewers, park):
    usual, fine = (viewers["pose"].look(park, PEOPLE[1:], height)[0] for height in (32, 64))
    assert np.median(np.linalg.norm(fine.value.xy - usual.value.xy, axis=1)) < 8


def test_a_resized_map_goes_from_edges_to_edges():
    matrix = np.array([[0.1, 0, -3.0], [0, 0.2, 4.0]])
    smaller = resized_matrix(matrix, (32, 24), (16, 6))
    points = np.random.default_rng(0).uniform(0, 300, (5, 2))
    expected = (apply_affine(matrix, points) + 0.5) * [6 / 24, 16 / 32] - 0.5
    np.testing.assert_allclose(apply_affine(smaller, points), expected)


def test_a_crop_of_half_the_size_is_the_mean_of_its_pixels(park):
    matrix = np.array([[0.125, 0, -30.0], [0, 0.125, -2.0]])
    full = cut_crop(park, matrix, (32, 24)).astype(float)
    half = cut_crop(park, resized_matrix(matrix, (32, 24), (16, 12)), (16, 12))
    np.testing.assert_allclose(half, full.reshape(16, 2, 12, 2, 3).mean((1, 3)), atol=1.5)


def test_heatmaps_peak_where_the_keypoints_are(viewers, park):
    (sight,) = viewers["pose"].look(park, PEOPLE[:1], 32)
    maps = viewers["pose"].task.codec.heatmaps(sight.output)[0].numpy()
    assert maps.shape == (17, 32, 24)
    np.testing.assert_allclose(maps.max((1, 2)), sight.value.scores, rtol=1e-4)
    places = np.array([np.unravel_index(heat.argmax(), heat.shape)[::-1] for heat in maps])
    assert np.abs(places - apply_affine(sight.matrix, sight.value.xy)).max() < 2


def test_attention_is_of_each_box(viewers, park):
    first, second = viewers["pose"].look(park, PEOPLE, 32)
    assert (first.place, second.place) == (0, 1)
    alone = viewers["pose"].look(park, PEOPLE[1:], 32)[0]
    for one, other in zip(second.attention, alone.attention, strict=True):
        torch.testing.assert_close(one.at(3, 2, image=1), other.at(3, 2), rtol=1e-3, atol=1e-5)


def test_a_box_that_cannot_be_used_is_told(viewers, park):
    with pytest.raises(ValueError, match="outside the picture"):
        viewers["pose"].look(park, [Box(2000, 0, 5, 5)], 32)


def test_weights_are_found_by_task_and_once():
    found = viewers_by_task(["cmsa_n_pose_32x24", "cmsa_n_head_pose_32x32", "cmsa_n_pose_32x24"])
    assert {task: list(named) for task, named in found.items()} == {
        "pose": ["cmsa_n_pose_32x24"],
        "head_pose": ["cmsa_n_head_pose_32x32"],
    }
