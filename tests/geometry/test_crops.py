import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from cmsa.geometry.affine import apply_affine, invert_affine
from cmsa.geometry.crops import crop_affine, extend_to_aspect, region_center
from cmsa.structures import Box

BOX = Box(10, 20, 30, 60)
SIZE = (32, 24)


def test_a_tall_box_is_widened_and_a_wide_one_heightened():
    assert extend_to_aspect(Box(0, 0, 30, 80), SIZE, padding=1) == (60, 80)
    assert extend_to_aspect(Box(0, 0, 90, 60), SIZE, padding=1) == (90, 120)
    assert extend_to_aspect(Box(0, 0, 60, 80), SIZE) == (75, 100)


def test_the_centre_is_the_middle_of_the_pixels_and_hrnets_half_a_pixel_on():
    assert region_center(BOX, "pixel") == region_center(BOX, "udp") == (24.5, 49.5)
    assert region_center(BOX, "hrnet") == (25, 50)


@pytest.mark.parametrize(
    ("convention", "picture", "crop"),
    [
        # The region's edges, at -0.5 and 47.5 of the picture, on the crop's, at -0.5 and 23.5.
        ("pixel", [[-0.5, -0.5], [47.5, 63.5]], [[-0.5, -0.5], [23.5, 31.5]]),
        # The region's edges on the centres of the border pixels.
        ("udp", [[-0.5, -0.5], [47.5, 63.5]], [[0, 0], [23, 31]]),
        # The centre half a pixel right and below of the crop's.
        ("hrnet", [[23.5, 31.5]], [[12, 16]]),
    ],
)
def test_what_each_convention_maps_where(convention, picture, crop):
    matrix = crop_affine((23.5, 31.5), (48, 64), SIZE, convention=convention)
    np.testing.assert_allclose(apply_affine(matrix, np.array(picture)), crop, atol=1e-12)


def test_a_region_turned_clockwise_shows_its_content_turned_the_other_way():
    matrix = crop_affine((50, 60), (24, 32), SIZE, rotation=90)
    # What lies below the centre in the picture is to the right in the crop.
    np.testing.assert_allclose(apply_affine(matrix, np.array([50.0, 65.0])), [11.5 + 5, 15.5], atol=1e-12)


@given(
    st.tuples(st.floats(-100, 100), st.floats(-100, 100)),
    st.tuples(st.floats(1, 500), st.floats(1, 500)),
    st.floats(-180, 180),
    st.sampled_from(["pixel", "udp", "hrnet"]),
)
def test_there_and_back(center, extent, rotation, convention):
    matrix = crop_affine(center, extent, SIZE, rotation, convention)
    points = np.array([[0.0, 0.0], [13.0, -7.0], [200.0, 90.0]])
    np.testing.assert_allclose(apply_affine(invert_affine(matrix), apply_affine(matrix, points)), points, atol=1e-7)


@pytest.mark.parametrize("convention", ["pixel", "udp", "hrnet"])
def test_the_whole_matrix_of_a_turned_region(convention):
    """Crop pixel (u, v) is centre + turn . ((u, v) - anchor) * step, for a size whose sides differ."""
    size, center, extent, turn = (20, 12), (40.0, 70.0), (36.0, 50.0), 30.0
    steps = np.array(extent) / (np.array([11, 19]) if convention == "udp" else np.array([12, 20]))
    anchor = np.array([6, 10]) if convention == "hrnet" else np.array([5.5, 9.5])
    cosine, sine = np.cos(np.pi / 6), np.sin(np.pi / 6)
    crop = np.array([[0.0, 0.0], [11.0, 0.0], [3.0, 17.0]])
    picture = center + (crop - anchor) * steps @ np.array([[cosine, -sine], [sine, cosine]]).T
    matrix = crop_affine(center, extent, size, turn, convention)
    np.testing.assert_allclose(apply_affine(matrix, picture), crop, atol=1e-12)
    assert crop_affine(center, extent, size).tolist() == crop_affine(center, extent, size, 0.0, "pixel").tolist()
