import cv2
import numpy as np
import pytest
import torch
from torch import Tensor

from cmsa.data.transforms.degradation import Degradation, compress, discrete_cosines, gaussian_blur


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def photos(batch: int, height: int, width: int, seed: int = 0) -> Tensor:
    """(B, 3, H, W) in 0..1, in steps of 1/255: coloured shapes of several sizes, as in a photo."""
    image = sum(
        torch.nn.functional.interpolate(
            torch.rand(batch, 3, 2 + height // size, 2 + width // size, generator=generator(seed + size)),
            (height, width),
            mode="bicubic",
        )
        * size
        for size in (2, 4, 8, 16)
    )
    return ((image / 30).clamp(0, 1) * 255).round() / 255


@pytest.mark.parametrize("quality", [20, 49, 50, 75, 95])
@pytest.mark.parametrize("size", [(64, 48), (32, 24), (37, 29)])
def test_compress_gives_what_a_jpeg_file_gives(quality: int, size: tuple[int, int]) -> None:
    images = photos(4, *size)
    degradation = Degradation(1)
    ours = compress(images, torch.full((4,), float(quality)), degradation.steps, degradation.cosines) * 255
    for image, mine in zip(images, ours, strict=True):
        pixels = (image * 255).permute(1, 2, 0).numpy().astype(np.uint8)
        sampling = [cv2.IMWRITE_JPEG_QUALITY, quality, cv2.IMWRITE_JPEG_SAMPLING_FACTOR, 0x221111]
        _, written = cv2.imencode(".jpg", pixels[..., ::-1], sampling)
        theirs = torch.from_numpy(cv2.imdecode(written, cv2.IMREAD_COLOR)[..., ::-1].copy()).permute(2, 0, 1).float()
        # libjpeg computes in whole numbers: values round otherwise here and there, now and then a coefficient does.
        lost = (theirs - image * 255).abs().mean()
        assert (mine - theirs).abs().mean() < 0.1 * lost + 1


def test_discrete_cosines_are_orthonormal() -> None:
    cosines = discrete_cosines().double()
    torch.testing.assert_close(cosines @ cosines.T, torch.eye(8, dtype=torch.float64), atol=1e-6, rtol=0)
    block = np.random.default_rng(0).random((8, 8))
    torch.testing.assert_close(cosines @ torch.from_numpy(block) @ cosines.T, torch.from_numpy(cv2.dct(block)))


def test_each_image_is_blurred_by_its_own_sigma() -> None:
    images = photos(3, 33, 21)
    sigma = torch.tensor([0.0, 0.6, 1.5])
    blurred = gaussian_blur(images, sigma, 1.5)
    torch.testing.assert_close(blurred[0], images[0])
    for place in (1, 2):
        pixels = images[place].permute(1, 2, 0).numpy()
        expected = cv2.GaussianBlur(pixels, (11, 11), float(sigma[place]), borderType=cv2.BORDER_REFLECT_101)
        torch.testing.assert_close(blurred[place].permute(1, 2, 0), torch.from_numpy(expected), atol=2e-4, rtol=0)


def test_a_blur_that_reaches_further_than_the_image() -> None:
    images = photos(2, 5, 3)
    assert gaussian_blur(images, torch.tensor([4.0, 0.0]), 4.0).shape == images.shape


def test_noise_has_the_deviation_that_was_drawn() -> None:
    images = torch.full((400, 3, 16, 12), 0.5)
    noisy = Degradation(0.5, noise=20)(images, generator()) * 255
    deviation = (noisy - 127.5).flatten(1).std(dim=1)
    clean = deviation < 1e-3
    assert 0.4 < clean.float().mean() < 0.6
    # Uniform from 0 to 20.
    assert deviation[~clean].mean() == pytest.approx(10, abs=1)
    assert 18.5 < deviation.max() < 21.5


def test_jpeg_is_done_to_its_share_of_the_images() -> None:
    images = photos(400, 16, 16)
    written = Degradation(0.25, jpeg=30)(images, generator())
    changed = (written != images).flatten(1).any(dim=1)
    assert 0.19 < changed.float().mean() < 0.31


def test_a_switch_does_not_change_what_another_does() -> None:
    images = photos(8, 24, 16)
    blurred = Degradation(0.5, blur=1)(images, generator())
    unlike = (blurred != images).flatten(1).any(dim=1)
    both = Degradation(0.5, blur=1, jpeg=60)(images, generator())
    jpeg = Degradation(0.5, jpeg=60)(images, generator())
    untouched = (jpeg == images).flatten(1).all(dim=1)
    assert (unlike & untouched).any()
    torch.testing.assert_close(both[untouched], blurred[untouched])


def test_the_same_seed_gives_the_same_images() -> None:
    images, degradation = photos(8, 24, 16), Degradation(0.5, blur=1, noise=20, jpeg=40)
    first, second, other = (degradation(images, generator(seed)) for seed in (1, 1, 2))
    assert torch.equal(first, second)
    assert not torch.equal(first, other)
    assert first.min() >= 0
    assert first.max() <= 1
