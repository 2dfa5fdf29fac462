import numpy as np
import pytest
import torch
from torch import Tensor

from cmsa.data.transforms.affine import AffineRange, sample_affine, to_images, transform_keypoints, warp
from cmsa.data.transforms.augment import Augmentation
from cmsa.data.transforms.degradation import Degradation
from cmsa.data.transforms.photometric import color_jitter, random_erasing
from cmsa.data.transforms.preprocess import Preprocess
from cmsa.geometry.affine import apply_affine
from cmsa.geometry.crops import crop_affine

STORE, SIZE, DENSITY = (90, 76), (40, 28), 1.5
FLIP_INDEX = (0, 2, 1, 4, 3, 6, 5, 8, 7, 10, 9)
UPPER = (0, 1, 2, 3, 4, 5, 6)

CASES = {
    "still": AffineRange.still(),
    "scale": AffineRange(rotation_probability=0, flip_probability=0, half_body_probability=0),
    "rotation": AffineRange(scale_std=0, rotation_probability=1, flip_probability=0, half_body_probability=0),
    "flip": AffineRange(scale_std=0, rotation_probability=0, flip_probability=1, half_body_probability=0),
    "translation": AffineRange(
        scale_std=0, rotation_probability=0, flip_probability=0, half_body_probability=0, translation=0.1
    ),
    "half body": AffineRange(scale_std=0, rotation_probability=0, flip_probability=0, half_body_probability=1),
    "pose": AffineRange(),
    "head pose": AffineRange(
        scale_std=0.1,
        scale_limits=(0.8, 1.2),
        rotation_std=15,
        rotation_limit=30,
        rotation_probability=0.5,
        half_body_probability=0,
        translation=0.06,
    ),
    "classification": AffineRange(
        scale_std=0, rotation_probability=0, half_body_probability=0, translation=4 / 32, whole_pixels=True
    ),
}


def generator(seed: int = 0) -> torch.Generator:
    return torch.Generator().manual_seed(seed)


def joints(batch: int, store: tuple[int, int] = STORE, seed: int = 1) -> Tensor:
    """(B, 11, 3) visible joints in the middle of the store crop, the upper ones above the lower ones."""
    middle = torch.tensor([store[1], store[0]]) / 2
    xy = middle + (torch.rand(batch, 11, 2, generator=generator(seed)) - 0.5) * torch.tensor([20.0, 24.0])
    return torch.cat([xy, torch.ones(batch, 11, 1)], dim=-1)


def blobs(points: Tensor, sigma: float, size: tuple[int, int] = STORE) -> Tensor:
    """(B, H, W, 3) uint8: a round gaussian spot at each point (B, 2)."""
    x = torch.arange(size[1]) - points[:, 0, None]
    y = torch.arange(size[0]) - points[:, 1, None]
    spot = torch.exp(-(y[:, :, None] ** 2 + x[:, None, :] ** 2) / (2 * sigma**2))
    return (spot * 255).round().to(torch.uint8)[..., None].expand(-1, -1, -1, 3).contiguous()


def centroids(images: Tensor) -> Tensor:
    """(B, 2) centre of brightness of (B, 3, H, W)."""
    weight = images.mean(dim=1).double()
    total = weight.sum(dim=(1, 2))
    x = (weight * torch.arange(weight.shape[2])).sum(dim=(1, 2)) / total
    y = (weight * torch.arange(weight.shape[1])[:, None]).sum(dim=(1, 2)) / total
    return torch.stack([x, y], dim=-1).float()


@pytest.mark.parametrize("supersample", [1, 2, 3])
@pytest.mark.parametrize("name", CASES)
def test_image_and_label_move_together(name: str, supersample: int) -> None:
    keypoints = joints(256)
    sample = sample_affine(256, STORE, SIZE, DENSITY, CASES[name], generator(), keypoints, UPPER)
    points = keypoints[:, 3, :2]
    step = 1 / torch.linalg.det(sample.matrices[:, :, :2]).abs().sqrt()
    expected = apply_affine(sample.matrices, points[:, None])[:, 0]
    # Spots are wide enough that even one bilinear sample per 2 store pixels finds their centroid.
    sigma = 1.6
    images = warp(blobs(points, sigma), sample.matrices, SIZE, supersample)
    # Only spots that lie wholly inside the output have their centroid at their centre.
    reach = (4 * sigma / step)[:, None] + 0.5
    inside = ((expected - reach >= 0) & (expected + reach <= torch.tensor([SIZE[1] - 1, SIZE[0] - 1]))).all(dim=1)
    assert inside.sum() >= 10
    assert (centroids(images) - expected)[inside].abs().max() < 0.05


def test_each_draw_has_the_stated_effect() -> None:
    limits = AffineRange(translation=0.1)
    keypoints = joints(256)
    keypoints[::2, :, 2] = 0
    sample = sample_affine(256, STORE, SIZE, DENSITY, limits, generator(), keypoints, UPPER)
    assert not sample.half_body[::2].any()
    plain = ~sample.half_body
    point = torch.tensor([[[50.0, 40.0]]]).expand(256, 1, 2)
    got = apply_affine(sample.matrices, point)[:, 0]
    offset = (point[:, 0] - torch.tensor([37.5, 44.5])) / (DENSITY * sample.scale[:, None])
    angle = torch.deg2rad(sample.rotation)
    # Clockwise in the image: what points right (+x) turns towards the bottom (+y).
    turned = torch.stack(
        [
            offset[:, 0] * angle.cos() - offset[:, 1] * angle.sin(),
            offset[:, 0] * angle.sin() + offset[:, 1] * angle.cos(),
        ],
        dim=1,
    )
    moved = turned + sample.shift
    moved[:, 0] = torch.where(sample.flipped, -moved[:, 0], moved[:, 0])
    expected = moved + torch.tensor([13.5, 19.5])
    torch.testing.assert_close(got[plain], expected[plain], atol=1e-4, rtol=0)


def test_the_draws_follow_hrnet() -> None:
    keypoints = joints(20000)
    sample = sample_affine(20000, STORE, SIZE, DENSITY, AffineRange(), generator(), keypoints, UPPER)
    assert sample.scale.min() == pytest.approx(0.65)
    assert sample.scale.max() == pytest.approx(1.35)
    assert sample.scale.mean() == pytest.approx(1, abs=0.01)
    assert sample.rotation.abs().max() == 90
    turned = sample.rotation != 0
    assert turned.float().mean() == pytest.approx(0.6, abs=0.02)
    assert sample.rotation[turned].std() == pytest.approx(43, abs=1)
    assert sample.flipped.float().mean() == pytest.approx(0.5, abs=0.02)
    assert sample.half_body.float().mean() == pytest.approx(0.3, abs=0.02)
    assert (sample.shift == 0).all()


def test_half_body_needs_more_than_eight_joints() -> None:
    limits = AffineRange(half_body_probability=1)
    keypoints = joints(32)
    keypoints[:, 8:, 2] = 0
    sample = sample_affine(32, STORE, SIZE, DENSITY, limits, generator(), keypoints, UPPER)
    assert not sample.half_body.any()
    keypoints[:, 8, 2] = 1
    sample = sample_affine(32, STORE, SIZE, DENSITY, limits, generator(), keypoints, UPPER)
    assert sample.half_body.all()


@pytest.mark.parametrize("upper", [True, False])
def test_half_body_region_is_hrnets(upper: bool) -> None:
    limits = AffineRange(
        scale_std=0,
        rotation_probability=0,
        flip_probability=0,
        half_body_probability=1,
        upper_body_probability=float(upper),
    )
    keypoints = joints(16)
    keypoints[:, -1] = torch.tensor([10.0, 60.0, 1.0])
    keypoints[:, 0] = torch.tensor([50.0, 10.0, 1.0])
    sample = sample_affine(16, STORE, SIZE, DENSITY, limits, generator(), keypoints, UPPER)
    chosen = [index for index in range(11) if (index in UPPER) == upper]
    for matrix, person in zip(sample.matrices, keypoints[:, chosen, :2].double(), strict=True):
        width, height = (person.amax(0) - person.amin(0)).tolist()
        aspect = SIZE[1] / SIZE[0]
        width, height = max(width, height * aspect) * 1.5, max(height, width / aspect) * 1.5
        expected = crop_affine(tuple(person.mean(0).tolist()), (width, height), SIZE)
        np.testing.assert_allclose(matrix.numpy(), expected, atol=1e-3)


def test_coinciding_joints_do_not_magnify_without_end() -> None:
    limits = AffineRange(scale_std=0, half_body_probability=1)
    keypoints = torch.ones(8, 11, 3) * 40
    sample = sample_affine(8, STORE, SIZE, DENSITY, limits, generator(), keypoints, UPPER)
    assert torch.isfinite(sample.matrices).all()
    torch.testing.assert_close(torch.linalg.det(sample.matrices[:, :, :2]).abs(), torch.full((8,), (4 / DENSITY) ** 2))


def test_left_and_right_change_places_in_mirrored_samples() -> None:
    keypoints = joints(64)
    keypoints[:, :, 2] = torch.arange(11.0)
    sample = sample_affine(64, STORE, SIZE, DENSITY, AffineRange(), generator(), keypoints, UPPER)
    got = transform_keypoints(keypoints, sample, FLIP_INDEX)
    plain = apply_affine(sample.matrices, keypoints[..., :2])
    for person in range(64):
        order = list(FLIP_INDEX) if sample.flipped[person] else list(range(11))
        torch.testing.assert_close(got[person, :, :2], plain[person, order])
        assert got[person, :, 2].tolist() == order


def test_classification_shifts_by_whole_pixels_and_keeps_them_exact() -> None:
    crops = torch.randint(0, 256, (64, 20, 32, 3), dtype=torch.uint8, generator=generator())
    sample = sample_affine(64, (20, 32), (20, 32), 1.0, CASES["classification"], generator())
    images = warp(crops, sample.matrices, (20, 32), supersample=1)
    reach = torch.tensor([4.0, 2.0])
    assert (sample.shift.amin(0) == -reach).all()
    assert (sample.shift.amax(0) == reach).all()
    padded = torch.nn.functional.pad(to_images(crops), (4, 4, 2, 2))
    for index in range(64):
        x, y = (int(value) for value in sample.shift[index])
        expected = padded[index, :, 2 - y : 22 - y, 4 - x : 36 - x]
        expected = expected.flip(-1) if sample.flipped[index] else expected
        torch.testing.assert_close(images[index], expected, atol=1e-4, rtol=0)


def test_warp_keeps_levels_and_is_black_outside() -> None:
    crops = torch.full((2, 30, 20, 3), 255, dtype=torch.uint8)
    eye = torch.tensor([[1.0, 0, 10], [0, 1, 0]]).expand(2, 2, 3)
    images = warp(crops, eye, (30, 20), supersample=1)
    assert images.shape == (2, 3, 30, 20)
    assert (images[..., :9] == 0).all()
    assert images[..., 11:].min() == pytest.approx(1, abs=1e-5)


def test_supersampling_averages_what_a_plain_sample_misses() -> None:
    crops = torch.zeros(1, 64, 48, 3, dtype=torch.uint8)
    crops[:, ::2] = 200
    halve = torch.tensor([[[0.5, 0, -0.25], [0, 0.5, -0.25]]])
    images = warp(crops, halve, (32, 24), supersample=2)
    torch.testing.assert_close(images, torch.full_like(images, 100 / 255), atol=1e-4, rtol=0)


def test_color_jitter_changes_one_thing_at_a_time() -> None:
    images = torch.rand(8, 3, 10, 14, generator=generator()) * 0.4 + 0.3
    torch.testing.assert_close(color_jitter(images, 0, 0, 0, generator()), images)
    bright = color_jitter(images, 0.2, 0, 0, generator()) / images
    assert bright.std(dim=(1, 2, 3)).max() < 1e-5
    assert 0.8 <= bright.min() < bright.max() <= 1.2 + 1e-5
    weights = torch.tensor([0.299, 0.587, 0.114]).view(3, 1, 1)
    vivid = color_jitter(images, 0, 0, 0.5, generator())
    torch.testing.assert_close((vivid * weights).sum(1), (images * weights).sum(1))
    assert (vivid - images).abs().max() > 0.01
    steep = color_jitter(images, 0, 0.5, 0, generator())
    torch.testing.assert_close((steep * weights).sum(1).mean((1, 2)), (images * weights).sum(1).mean((1, 2)))
    assert color_jitter(images, 3, 3, 3, generator()).min() >= 0
    assert color_jitter(images, 3, 3, 3, generator()).max() <= 1


def test_erasing_overwrites_one_rectangle_with_noise() -> None:
    images = torch.full((2000, 3, 32, 24), 9.0)
    got = random_erasing(images, 0.4, generator())
    changed = (got != 9).all(dim=1)
    assert (changed == (got != 9).any(dim=1)).all()
    erased = changed.any(dim=(1, 2))
    assert erased.float().mean() == pytest.approx(0.4, abs=0.03)
    rows, columns = changed.any(dim=2).sum(dim=1), changed.any(dim=1).sum(dim=1)
    count = changed.sum(dim=(1, 2))
    assert (count == rows * columns).all()
    share, aspect = count[erased] / (32 * 24), rows[erased] / columns[erased]
    assert 0.015 < share.min() < 0.03
    assert 0.3 < share.max() < 0.36
    assert 0.25 < aspect.min() < 0.4
    assert 2.5 < aspect.max() <= 4
    values = got[changed[:, None].expand_as(got)]
    assert values.mean() == pytest.approx(0, abs=0.02)
    assert values.std() == pytest.approx(1, abs=0.02)
    assert (random_erasing(images, 0.0, generator()) == 9).all()


def test_augmentation_is_one_call_and_repeats_with_the_seed() -> None:
    crops = torch.randint(0, 256, (16, *STORE, 3), dtype=torch.uint8, generator=generator())
    augment = Augmentation(SIZE, DENSITY, brightness=0.2, contrast=0.2, saturation=0.2, erasing_probability=0.5)
    images, sample = augment(crops, generator(3), joints(16), UPPER)
    assert images.shape == (16, 3, *SIZE)
    assert images.dtype == torch.float32
    again, _ = augment(crops, generator(3), joints(16), UPPER)
    other, _ = augment(crops, generator(4), joints(16), UPPER)
    assert torch.equal(images, again)
    assert not torch.equal(images, other)
    assert sample.matrices.shape == (16, 2, 3)
    plain, _ = Augmentation(SIZE, DENSITY, AffineRange.still())(crops, generator())
    still = sample_affine(16, STORE, SIZE, DENSITY, AffineRange.still(), generator())
    torch.testing.assert_close(plain, Preprocess().normalize(warp(crops, still.matrices, SIZE)))


@pytest.mark.parametrize("crops", [torch.zeros(2, 3, 8, 8, dtype=torch.uint8), torch.zeros(2, 8, 8, 3)])
def test_wrong_crops_are_named(crops: Tensor) -> None:
    with pytest.raises(ValueError, match=r"\(B, H, W, 3\) uint8, got \(2"):
        Augmentation(SIZE)(crops, generator())


def test_wrong_ranges_are_named() -> None:
    with pytest.raises(ValueError, match="scale_limits"):
        AffineRange(scale_limits=(1.1, 1.3))
    with pytest.raises(ValueError, match="flip_probability"):
        AffineRange(flip_probability=1.5)


def test_images_are_degraded_before_they_are_normalised() -> None:
    crops = torch.randint(0, 256, (8, *STORE, 3), generator=generator(), dtype=torch.uint8)
    still = {"size": SIZE, "density": DENSITY, "affine": AffineRange.still()}
    clean, _ = Augmentation(**still)(crops, generator())
    degradation = Degradation(1, noise=20)
    noisy, _ = Augmentation(**still, degradation=degradation)(crops, generator())
    changed = (noisy - clean) * Preprocess().std * 255
    # As strong as in 0..1: standard deviations up to 20 of 255.
    assert 2 < changed.std() < 20
    assert changed.flatten(1).std(dim=1).max() < 21
