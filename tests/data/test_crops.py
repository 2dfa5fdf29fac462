from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st
from numpy.typing import NDArray
from torch.nn import functional

from cmsa.data.crops import CropSpec, cut_crop
from cmsa.geometry.affine import apply_affine
from cmsa.geometry.crops import CropConvention, crop_affine


def psnr(first: NDArray[np.generic], second: NDArray[np.generic]) -> float:
    return float(10 * np.log10(255**2 / np.mean((first.astype(float) - second.astype(float)) ** 2)))


@pytest.fixture(scope="module")
def picture() -> NDArray[np.uint8]:
    """240 x 320 with the spectrum of a photo: smooth shapes, fine texture, sharp edges."""
    noise = np.random.default_rng(2).standard_normal((3, 240, 320))
    rows, columns = np.fft.fftfreq(240)[:, None], np.fft.fftfreq(320)[None]
    spectrum = np.fft.fft2(noise) / np.maximum(np.hypot(rows, columns), 1 / 320)
    smooth = np.fft.ifft2(spectrum).real.transpose(1, 2, 0)
    smooth = 128 + 48 * smooth / smooth.std()
    smooth[60:180, 100:140:4] += 90
    return smooth.clip(0, 255).astype(np.uint8)


def whole(picture: NDArray[np.uint8], size: tuple[int, int]) -> NDArray[np.float64]:
    height, width = picture.shape[:2]
    return crop_affine(((width - 1) / 2, (height - 1) / 2), (width, height), size)


def test_at_an_integer_ratio_the_crop_is_the_mean_of_blocks(picture: NDArray[np.uint8]) -> None:
    crop = cut_crop(picture, whole(picture, (24, 32)), (24, 32))
    means = picture.reshape(24, 10, 32, 10, 3).mean(axis=(1, 3))
    assert crop.shape == (24, 32, 3)
    assert np.abs(crop - means).max() <= 0.5 + 1e-9


@pytest.mark.parametrize("size", [(24, 32), (30, 44), (32, 24), (17, 50)])
def test_antialiasing_agrees_with_torch(picture: NDArray[np.uint8], size: tuple[int, int]) -> None:
    images = torch.from_numpy(picture).permute(2, 0, 1)[None].float()
    reference = functional.interpolate(images, size, mode="bilinear", antialias=True, align_corners=False)
    expected = reference[0].permute(1, 2, 0).numpy()
    averaged = psnr(cut_crop(picture, whole(picture, size), size), expected)
    sampled = psnr(cut_crop(picture, whole(picture, size), size, antialias=False), expected)
    assert averaged > 32
    assert averaged > sampled + 6


def test_enlarging_is_bilinear(picture: NDArray[np.uint8]) -> None:
    small = picture[:12, :16]
    matrix = crop_affine((7.5, 5.5), (16, 12), (36, 48))
    expected = functional.interpolate(
        torch.from_numpy(small).permute(2, 0, 1)[None].float(), (36, 48), mode="bilinear", align_corners=False
    )[0].permute(1, 2, 0)
    inside = (slice(3, -3), slice(3, -3))
    for antialias in (True, False):
        crop = cut_crop(small, matrix, (36, 48), antialias=antialias)
        # OpenCV places samples on a grid of 1/32 pixel.
        assert np.abs(crop[inside] - expected[inside].numpy()).max() < 5


def test_outside_of_the_picture_is_black() -> None:
    white = np.full((40, 60, 3), 255, np.uint8)
    crop = cut_crop(white, crop_affine((0.0, 19.5), (40, 40), (10, 10)), (10, 10))
    np.testing.assert_array_equal(crop[:, :4], 0)
    np.testing.assert_array_equal(crop[:, 6:], 255)


def test_a_region_far_larger_than_the_picture_stays_cheap() -> None:
    crop = cut_crop(np.full((20, 30, 3), 255, np.uint8), crop_affine((15, 10), (1e7, 1e7), (32, 24)), (32, 24))
    assert crop.shape == (32, 24, 3)


@given(
    center=st.tuples(st.floats(-50, 500), st.floats(-50, 500)),
    extent=st.tuples(st.floats(1, 400), st.floats(1, 400)),
    convention=st.sampled_from(["pixel", "udp", "hrnet"]),
    size=st.sampled_from([(32, 24), (24, 32), (64, 48), (16, 40)]),
    density=st.sampled_from([1.0, 1.5, 2.0]),
)
def test_the_base_crop_lies_in_the_middle_of_the_store_crop(
    center: tuple[float, float],
    extent: tuple[float, float],
    convention: CropConvention,
    size: tuple[int, int],
    density: float,
) -> None:
    spec = CropSpec.for_training(size, density=density, convention=convention)
    points = np.array([[0.0, 0.0], [100.0, 30.0], center])
    base = apply_affine(spec.base_matrix(center, extent), points)
    middle, store_middle = (np.array(sides[::-1]) / 2 - 0.5 for sides in (spec.size, spec.store_size))
    expected = store_middle + density * (base - middle)
    found = apply_affine(spec.store_matrix(center, extent), points)
    np.testing.assert_allclose(found, expected, atol=1e-8 * max(1, np.abs(expected).max()))


def test_a_store_for_evaluation_is_the_base_crop() -> None:
    spec = CropSpec.for_evaluation((32, 24), convention="hrnet")
    assert spec.store_size == (32, 24)
    np.testing.assert_allclose(spec.base_to_store, [[1, 0, 0], [0, 1, 0]])
    np.testing.assert_allclose(spec.store_matrix((50, 40), (20, 60)), spec.base_matrix((50, 40), (20, 60)))


def test_the_region_gets_the_aspect_and_the_padding() -> None:
    spec = CropSpec.for_evaluation((32, 24))
    # 20 x 60 becomes 45 x 60 at 3:4, and 56.25 x 75 with the padding.
    corners = apply_affine(spec.base_matrix((50, 40), (20, 60)), np.array([[50 - 28.125, 40 - 37.5], [50, 40]]))
    np.testing.assert_allclose(corners, [[-0.5, -0.5], [11.5, 15.5]])


@pytest.mark.parametrize("size", [(32, 24), (24, 32), (64, 64), (10, 50)])
@pytest.mark.parametrize("max_rotation", [0.0, 20.0, 45.0, 90.0])
def test_the_store_holds_every_augmented_region_and_no_more(size: tuple[int, int], max_rotation: float) -> None:
    spec = CropSpec.for_training(size, 1.35, max_rotation, 1.5)
    height, width = size
    corners = 1.5 * 1.35 * np.array([[width, height], [width, -height]]) / 2
    reach = np.zeros(2)
    for degrees in np.linspace(-max_rotation, max_rotation, 721):
        cosine, sine = math.cos(math.radians(degrees)), math.sin(math.radians(degrees))
        reach = np.maximum(reach, np.abs(corners @ np.array([[cosine, sine], [-sine, cosine]])).max(axis=0))
    slack = np.array(spec.store_size[::-1]) / 2 - reach
    assert (slack >= -1e-3).all()
    assert (slack < 0.5 + 1e-3).all()


def test_default_store_of_the_smallest_preset() -> None:
    assert CropSpec.for_training((32, 24)).store_size == (81, 81)


def test_sampled_crops_are_kept_pixel_on_pixel() -> None:
    for size in ((32, 24), (15, 11), (16, 9)):
        spec = CropSpec.for_training(size, antialias=False)
        corner = apply_affine(spec.base_to_store, np.zeros((1, 2)))
        np.testing.assert_array_equal(corner, corner.round())
    with pytest.raises(ValueError, match=r"density of 1, 3, 5 \.\.\., not 1\.5"):
        CropSpec.for_training((32, 24), density=1.5, antialias=False)


@pytest.mark.parametrize("changes", [{"size": (0, 24)}, {"store_size": (32, -1)}, {"density": 0.0}, {"padding": -1.0}])
def test_specifications_without_sense_are_refused(changes: dict[str, object]) -> None:
    fields: dict[str, object] = {"size": (32, 24), "store_size": (32, 24)}
    with pytest.raises(ValueError, match="must be positive"):
        CropSpec(**(fields | changes))  # type: ignore[arg-type]
