"""Heads for heatmaps: shapes on even and odd maps, values by hand, fusion."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F

from cmsa.models.heads.heatmap import LinearFusion, MixerFusion, TransposeNorm, crop_to

DIMS = (4, 6, 8)


@pytest.mark.parametrize("head", [MixerFusion(DIMS, 5), LinearFusion(DIMS, 5)], ids=["mixer", "linear"])
def test_heatmaps_have_the_size_of_the_first_map(head, maps):
    assert head(maps).shape == (2, 5, *maps[0].shape[2:])


def test_an_enlarged_map_lies_over_the_pixels_that_it_came_from(generator):
    enlarge = TransposeNorm(2, 4).eval()
    enlarge.conv.weight.data.fill_(1.0)
    enlarge.conv.bias.data.zero_()
    x = torch.randn(1, 2, 3, 2, generator=generator)
    repeated = x.repeat_interleave(4, 2).repeat_interleave(4, 3)
    torch.testing.assert_close(enlarge(x), repeated * (1 + 1e-5) ** -0.5)
    like = torch.zeros(1, 1, 9, 7)
    assert torch.equal(crop_to(repeated, like), repeated[:, :, :9, :7])


@pytest.mark.parametrize("scale", [2, 4])
def test_enlarging_by_products_is_the_transposed_convolution(scale, randomised, generator):
    enlarge = randomised(TransposeNorm(5, scale))
    x = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64, requires_grad=True)
    out = torch.randn(2, 5, 3 * scale, 4 * scale, generator=generator, dtype=torch.float64)
    inputs = (x, enlarge.conv.weight, enlarge.conv.bias)
    found, expected = enlarge._enlarged(x), enlarge.conv(x)
    torch.testing.assert_close(found, expected, rtol=0, atol=1e-12)
    for one, other in zip(
        torch.autograd.grad(found, inputs, out), torch.autograd.grad(expected, inputs, out), strict=True
    ):
        torch.testing.assert_close(one, other, rtol=0, atol=1e-12)


def test_transpose_norm_fuses(randomised, generator):
    enlarge = randomised(TransposeNorm(5, 4))
    x = torch.randn(2, 5, 3, 4, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        fused, plain = enlarge.fuse(), enlarge(x)
        assert not torch.allclose(enlarge.conv(x), plain, atol=0.1)
        torch.testing.assert_close(fused(x), plain, rtol=0, atol=1e-12)


def test_mixer_starts_with_small_heatmaps(maps):
    head = MixerFusion(DIMS, 5)
    assert head(maps).std() < 0.1


def test_linear_fusion_by_hand(maps):
    head = LinearFusion(DIMS, 5)
    expected = sum(
        F.interpolate(score(x), size=maps[0].shape[2:], mode="bilinear", align_corners=False)
        for score, x in zip(head.score, maps, strict=True)
    )
    torch.testing.assert_close(head(maps), expected)
    assert sum(parameter.numel() for parameter in head.parameters()) == 5 * (sum(DIMS) + 3)
