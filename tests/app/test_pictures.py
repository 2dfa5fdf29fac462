from __future__ import annotations

import numpy as np
import pytest
import torch

from cmsa.app.pictures import (
    CHOSEN,
    SHOWN_SIDE,
    looks_at,
    show_attention,
    show_crop,
    show_head,
    show_heatmaps,
    show_picture,
)
from cmsa.app.tiles import MARK, heat_over, lay_tiles, outline
from cmsa.models.attention_maps import watch_attention
from cmsa.structures import COCO, Box, HeadPose, Keypoints
from cmsa.visualization.head_pose import DOWN_COLOR


@pytest.fixture
def grey():
    return np.full((32, 24, 3), 120, np.uint8)


def has(picture, color) -> int:
    return int((picture == np.array(color, np.uint8)).all(axis=2).sum())


def test_heat_is_laid_where_it_is(grey):
    heat = np.zeros((16, 12))
    heat[3, 5] = 1
    drawn = heat_over(grey, heat, 4)
    assert drawn.shape == (128, 96, 3)
    hot = drawn.sum(axis=2) > 400
    expected = np.zeros((16, 12), bool)
    expected[3, 5] = True
    np.testing.assert_array_equal(hot, expected.repeat(8, 0).repeat(8, 1))
    assert (drawn[~hot] == round(120 * 0.55)).all()


def test_tiles_lie_in_rows(grey):
    laid = lay_tiles([[(grey, "a"), (grey + 50, "b")], [(grey + 100, "c")]])
    places = [np.nonzero((laid == tone).all(axis=2)) for tone in (120, 170, 220)]
    assert all(len(rows) >= 32 * 24 for rows, _ in places)
    assert np.median(places[1][1]) > np.median(places[0][1]) + 24
    assert np.median(places[2][0]) > np.median(places[0][0]) + 32


def test_a_rectangle_stays_inside_and_the_picture_as_it_was(grey):
    drawn = outline(grey, (4, 5, 14, 25), MARK, 1)
    rows, columns = np.nonzero((drawn == np.array(MARK)).all(axis=2))
    assert (rows.min(), rows.max(), columns.min(), columns.max()) == (5, 24, 4, 13)
    assert has(grey, MARK) == 0


def test_the_clicked_pixel_is_framed(grey):
    drawn = show_crop(grey, (5, 7))
    factor = drawn.shape[0] // 32
    rows, columns = np.nonzero((drawn == np.array(MARK)).all(axis=2))
    # A line is drawn about its middle.
    np.testing.assert_allclose([rows.min(), rows.max() + 1], [7 * factor, 8 * factor], atol=2)
    np.testing.assert_allclose([columns.min(), columns.max() + 1], [5 * factor, 6 * factor], atol=2)
    assert has(show_crop(grey), MARK) == 0


def test_the_chosen_box_is_orange_and_large_pictures_are_reduced():
    photo = np.full((1500, 2000, 3), 60, np.uint8)
    shown = show_picture(photo, (1500, 2000), [Box(100, 100, 300, 300), Box(900, 200, 400, 800)], ["1", "2"], 1, None)
    assert shown.shape == (720, SHOWN_SIDE, 3)
    orange = np.abs(shown.astype(int) - np.array(CHOSEN)).sum(axis=2) < 30
    columns = np.nonzero(orange)[1]
    np.testing.assert_allclose([columns.min(), columns.max()], [900 * 0.48, 1300 * 0.48], atol=4)


def test_the_first_corner_is_marked():
    photo = np.full((300, 400, 3), 60, np.uint8)
    shown = show_picture(photo, (300, 400), [], [], 0, (50, 80))
    rows, columns = np.nonzero((shown != 60).any(axis=2))
    assert abs(rows.mean() - 80) < 1.5
    assert abs(columns.mean() - 50) < 1.5


def test_each_keypoint_has_a_tile_of_its_own_peak(grey):
    maps = np.zeros((17, 32, 24))
    for place in range(17):
        maps[place, 5, place] = 0.1 / (place + 1)
    person = Keypoints(np.zeros((17, 2)), np.full(17, 0.1), COCO.names, Box(0, 0, 9, 9))
    shown = show_heatmaps(grey, maps, person).astype(int)
    hottest = shown.reshape(-1, 3)[shown.sum(axis=2).argmax()]
    # One tile for each, and one of all, whose peak is that of the strongest.
    assert (np.abs(shown - hottest).sum(axis=2) < 6).sum() == 18 * 5 * 5


def test_a_head_turned_far_has_a_long_scale(grey):
    matrix = np.array([[0.1, 0, 0], [0, 0.1, 0]])
    lengths = [
        has(show_head(grey, matrix, HeadPose(yaw, 0, 0, Box(50, 50, 100, 100)))[:, 216:], DOWN_COLOR)
        for yaw in (10, 60, -60)
    ]
    assert lengths[0] * 4 < lengths[1]
    assert abs(lengths[1] - lengths[2]) < lengths[1] * 0.1


@pytest.fixture
def maps(network, images):
    model = network("cmsa_n", (32, 24))
    with torch.no_grad(), watch_attention(model) as found:
        model(images(2, (32, 24)))
    return found


def test_attention_has_a_tile_for_each_group_of_each_stage(maps, grey):
    shown = show_attention(grey, maps, (12, 16))
    assert shown.shape[1] > 7 * 24 * 5
    frames = (shown == np.array(MARK)).all(axis=2).any(axis=0)
    # Along the row of tiles, the frames about the pixel begin seven times.
    assert (np.diff(frames.astype(int)) == 1).sum() >= 7
    others = [((3, 4), "last", 0), ((12, 16), "first", 0), ((12, 16), "mean", 0), ((12, 16), "last", 1)]
    for pixel, blocks, image in others:
        assert not np.array_equal(shown, show_attention(grey, maps, pixel, blocks, image))


def test_the_mean_of_what_heads_look_at_sums_to_one(maps):
    of_stage = [one for one in maps if one.stage == 0 and one.group == 1]
    seen = looks_at(of_stage, 20, 3, image=1)
    assert seen.shape == of_stage[0].window.key_map_size
    assert seen.sum() == pytest.approx(1)
    expected = sum(one.at(20, 3, 1).double().mean(0) for one in of_stage) / len(of_stage)
    np.testing.assert_allclose(seen, expected.numpy(), atol=1e-9)
