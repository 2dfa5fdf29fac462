import cv2
import numpy as np
from hypothesis import given
from hypothesis import strategies as st

from cmsa.data.crops import CropSpec, cut_crop
from cmsa.edge.crops import Samples, cut_upright_crop


def picture(height: int, width: int) -> np.ndarray:
    """Noise on a slope: every pixel and its neighbours differ."""
    noise = np.random.default_rng(7).integers(0, 120, (height, width, 3))
    return (noise + np.linspace(0, 130, width)[None, :, None]).astype(np.uint8)


@given(
    st.floats(-30, 150),
    st.floats(-30, 100),
    st.floats(4, 200),
    st.floats(4, 200),
    st.sampled_from(["pixel", "udp", "hrnet"]),
    st.booleans(),
)
def test_crops_are_those_of_opencv_but_for_rounding(x, y, width, height, convention, antialias):
    spec = CropSpec.for_evaluation((32, 24), convention=convention, antialias=antialias)
    matrix = spec.base_matrix((x, y), (width, height))
    photo = picture(90, 130)
    expected = cut_crop(photo, matrix, spec.size, antialias=antialias).astype(int)
    found = cut_upright_crop(photo, matrix, spec.size, antialias=antialias).astype(int)
    # OpenCV 4 samples at 32nds of a pixel, OpenCV 5 exactly.
    assert abs(found - expected).max() <= (1 if cv2.__version__ >= "5" else 4)
    assert cv2.__version__ < "5" or (found != expected).mean() < 0.15


def test_a_crop_beside_the_picture_is_black():
    matrix = CropSpec.for_evaluation((8, 6)).base_matrix((-500, 40), (20, 30))
    assert not cut_upright_crop(picture(90, 130), matrix, (8, 6)).any()


def test_samples_are_parts_of_two_pixels():
    # Two samples for each of three crop pixels over six of the picture fall on pixel centres.
    exact = Samples.along(0.5, -0.25, 3, 6, 2)
    assert np.array_equal(exact.of(np.arange(6.0)[:, None], 0)[:, 0], np.arange(6))
    # Half a pixel to the left of the picture, where it is black.
    halves = Samples.along(1.0, 0.5, 3, 3, 1)
    assert np.array_equal(halves.of(np.array([[2.0], [4.0], [8.0]]), 0)[:, 0], [1, 3, 6])
