"""Batched RandAugment against timm's on PIL pictures."""

import numpy as np
import pytest
import torch
from PIL import Image
from timm.data import auto_augment

from cmsa.data.transforms.randaugment import OPERATIONS, RandAugment, apply_operations

FILL = (0.4, 0.5, 0.6)
TIMM = {
    "autocontrast": "AutoContrast",
    "equalize": "Equalize",
    "invert": "Invert",
    "posterize": "PosterizeIncreasing",
    "solarize": "SolarizeIncreasing",
    "solarize_add": "SolarizeAdd",
    "color": "ColorIncreasing",
    "contrast": "ContrastIncreasing",
    "brightness": "BrightnessIncreasing",
    "sharpness": "SharpnessIncreasing",
    "rotate": "Rotate",
    "shear_x": "ShearX",
    "shear_y": "ShearY",
    "translate_x": "TranslateXRel",
    "translate_y": "TranslateYRel",
}


@pytest.fixture
def pixels(generator: torch.Generator) -> torch.Tensor:
    """A smooth picture with some noise, not square, its channels of different ranges."""
    rows, columns = torch.meshgrid(torch.linspace(0, 1, 20), torch.linspace(0, 1, 28), indexing="ij")
    picture = torch.stack([120 + 90 * rows, 30 + 200 * columns, 250 - 150 * rows * columns])
    return (picture + 6 * torch.randn(picture.shape, generator=generator)).clamp(5, 250).round()[None]


def ours(pixels: torch.Tensor, name: str, level: float, sign: float) -> torch.Tensor:
    chosen = torch.tensor([OPERATIONS.index(name)])
    return apply_operations(pixels, chosen, torch.tensor([level]), torch.tensor([sign]), FILL)


def of_timm(pixels: torch.Tensor, name: str, level: float, sign: float, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(auto_augment.random, "random", lambda: 0.0 if sign < 0 else 1.0)
    # timm negates where the draw is above a half.
    monkeypatch.setattr(auto_augment, "_randomly_negate", lambda value: sign * value)
    options = {
        "fillcolor": tuple(round(255 * value) for value in FILL),
        "resample": Image.Resampling.BILINEAR,
    }
    picture = Image.fromarray(pixels[0].permute(1, 2, 0).byte().numpy())
    level_to_arg, operation = auto_augment.LEVEL_TO_ARG[TIMM[name]], auto_augment.NAME_TO_OP[TIMM[name]]
    arguments = level_to_arg(10 * level, {"translate_pct": 0.45}) if level_to_arg else ()
    if name == "posterize" and arguments == (0,):
        # Earlier versions of Pillow keep none of the bits, version 13 refuses to.
        return torch.zeros_like(pixels)
    changed = np.asarray(operation(picture, *arguments, **options))
    return torch.from_numpy(changed.copy()).permute(2, 0, 1)[None].float()


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("name", OPERATIONS[:10])
def test_colours_change_as_timm_changes_them(name, sign, pixels, monkeypatch) -> None:
    for level in (0.35, 0.9, 1.0):
        expected = of_timm(pixels, name, level, sign, monkeypatch)
        assert (expected != pixels).any()
        assert (ours(pixels, name, level, sign) - expected).abs().max() <= 1


@pytest.mark.parametrize("sign", [-1.0, 1.0])
@pytest.mark.parametrize("name", OPERATIONS[10:])
def test_pixels_move_as_timm_moves_them(name, sign, pixels, monkeypatch) -> None:
    expected = of_timm(pixels, name, 0.7, sign, monkeypatch)
    assert (expected - pixels).abs().mean() > 3
    # Bilinear borders are blended with what is outside here, and are not there.
    assert (ours(pixels, name, 0.7, sign) - expected).abs().median() <= 1
    inside = (expected - torch.tensor([102.0, 128.0, 153.0])[:, None, None]).abs().amin(dim=1, keepdim=True) > 3
    inside = torch.nn.functional.avg_pool2d(inside.float(), 3, 1, 1) == 1
    assert ((ours(pixels, name, 0.7, sign) - expected).abs() * inside).max() <= 2


def test_every_image_takes_what_it_drew(generator: torch.Generator) -> None:
    images = torch.rand(3000, 3, 6, 8, generator=generator)
    changed = RandAugment(9, fill=FILL)(images, generator)
    assert changed.shape == images.shape
    assert changed.min() >= 0
    assert changed.max() <= 1
    same = ((changed - images).abs() < 0.5 / 255 + 1e-6).flatten(1).all(1).float().mean()
    # Two layers, each left out half of the time; some operations leave some noise as it is.
    assert same.item() == pytest.approx(0.25, abs=0.04)
    generator.manual_seed(3)
    once = RandAugment(9)(images[:5], generator)
    generator.manual_seed(3)
    assert torch.equal(once, RandAugment(9)(images[:5], generator))


def test_the_operations_are_timm_s() -> None:
    assert list(TIMM) == list(OPERATIONS)
    assert sorted(TIMM.values()) == sorted(auto_augment._RAND_INCREASING_TRANSFORMS)
