"""The attention against its formula written as loops, padding, and the ablation switches."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F
from torch import nn

import cmsa.models.attention
import cmsa.models.windows
from cmsa.models.attention import MASKED, CascadedMultiScaleAttention, KeyPool, SpatialFusion, WindowAttention, attend
from cmsa.models.attention_parts import TABLE_5, AttentionParts
from cmsa.models.windows import Window

DIM, KEY, VALUE = 6, 2, 4


def attention(map_size, sizes, strides, heads, kind="cmsa"):
    windows = [Window.fit(map_size, size, stride) for size, stride in zip(sizes, strides, strict=True)]
    return CascadedMultiScaleAttention(DIM, heads, windows, KEY, VALUE // KEY, AttentionParts.of(kind))


@pytest.fixture
def small(randomised):
    """Two groups on a 4x6 map: a full window with pooled keys and two heads, then four windows and one head."""
    module = attention((4, 6), ((4, 6), (2, 3)), (2, 1), (2, 1))
    for linear in (module.q, module.kv, module.out):
        nn.init.normal_(linear.weight)
        nn.init.normal_(linear.bias)
    return randomised(module)


def norm(x: torch.Tensor, layer: nn.BatchNorm2d) -> torch.Tensor:
    return (x - layer.running_mean) / torch.sqrt(layer.running_var + layer.eps) * layer.weight + layer.bias


def conv_norm(x: torch.Tensor, layer: nn.Module) -> torch.Tensor:
    """A 1x1 convolution and norm, pixel by pixel; maps are (H, W, C)."""
    return norm(x @ layer.conv.weight[:, :, 0, 0].T, layer.norm)


def depthwise_norm(x: torch.Tensor, layer: nn.Module) -> torch.Tensor:
    height, width, _ = x.shape
    out = torch.zeros_like(x)
    for row in range(height):
        for column in range(width):
            for down in (-1, 0, 1):
                for right in (-1, 0, 1):
                    if 0 <= row + down < height and 0 <= column + right < width:
                        out[row, column] += x[row + down, column + right] * layer.conv.weight[:, 0, down + 1, right + 1]
    return norm(out, layer.norm)


def gelu(x: torch.Tensor) -> torch.Tensor:
    return 0.5 * x * (1 + torch.erf(x / math.sqrt(2)))


def pooled(x: torch.Tensor, stride: int) -> torch.Tensor:
    out = torch.zeros(x.shape[0] // stride, x.shape[1] // stride, x.shape[2], dtype=x.dtype)
    for row in range(x.shape[0]):
        for column in range(x.shape[1]):
            out[row // stride, column // stride] += x[row, column] / stride**2
    return out


def attend_by_loops(q: torch.Tensor, kv: torch.Tensor, group: WindowAttention) -> torch.Tensor:
    """Each query of each head visits each key of its window."""
    (height, width), stride, (rows, columns) = q.shape[:2], group.window.stride, group.window.size
    out = torch.zeros(height, width, group.heads * VALUE, dtype=q.dtype)
    for head in range(group.heads):
        for row in range(height):
            for column in range(width):
                query = q[row, column, head * KEY : (head + 1) * KEY]
                top, left = row // rows * rows, column // columns * columns
                scores, values = [], []
                for key_row in range(rows // stride):
                    for key_column in range(columns // stride):
                        channels = kv[top // stride + key_row, left // stride + key_column]
                        key, value = channels[head * (KEY + VALUE) : (head + 1) * (KEY + VALUE)].split([KEY, VALUE])
                        bias = group.table[head, abs(row - top - key_row), abs(column - left - key_column)]
                        scores.append(query @ key / math.sqrt(KEY) + bias)
                        values.append(value)
                weights = torch.stack(scores).exp()
                total = sum(weight * value for weight, value in zip(weights, values, strict=True))
                out[row, column, head * VALUE : (head + 1) * VALUE] = total / weights.sum()
    return out


def by_loops(module: CascadedMultiScaleAttention, x: torch.Tensor) -> torch.Tensor:
    """The formula for one map (H, W, C)."""
    queries = (x @ module.q.weight.T + module.q.bias).split(module.query_channels, dim=2)
    kvs = (x @ module.kv.weight.T + module.kv.bias).split(module.kv_channels, dim=2)
    outs: list[torch.Tensor] = []
    for index, group in enumerate(module.groups):
        kv = kvs[index]
        if index:
            kv = conv_norm(torch.cat([kv, outs[-1]], dim=2), module.channel_fusion[index - 1])
        fusion = module.spatial_fusion[index]
        kv = conv_norm(gelu(kv + depthwise_norm(kv, fusion.depthwise.branch)), fusion.pointwise)
        outs.append(attend_by_loops(queries[index], pooled(kv, group.window.stride), group))
    return torch.cat(outs, dim=2) @ module.out.weight.T + module.out.bias


@torch.no_grad()
def test_attention_is_the_formula(small, generator):
    x = torch.randn(2, 4, 6, DIM, generator=generator, dtype=torch.float64)
    expected = torch.stack([by_loops(small, one) for one in x])
    torch.testing.assert_close(small(x), expected, rtol=0, atol=1e-11)
    # The loops must tell: another numbering of the offsets is seen.
    small.groups[0].table.data = small.groups[0].table.flip(1).clone()
    assert (small(x) - expected).abs().max() > 1e-2


def test_with_and_without_gradients_the_numbers_are_the_same(small, generator):
    x = torch.randn(2, 4, 6, DIM, generator=generator, dtype=torch.float64)
    with torch.no_grad():
        expected = small(x)
    torch.testing.assert_close(small(x), expected, rtol=0, atol=1e-12)


@pytest.mark.parametrize("mask", [False, True])
def test_both_paths_of_attend_are_equal(mask, generator):
    def random(*shape: int) -> torch.Tensor:
        return torch.randn(*shape, generator=generator, dtype=torch.float64)

    query, key, value, bias = random(3, 2, 5, 16), random(3, 2, 7, 16), random(3, 2, 7, 32), random(1, 2, 5, 7)
    if mask:
        bias[..., 4:] = MASKED
    expected = (query @ key.transpose(2, 3) / 4 + bias).softmax(-1) @ value
    torch.testing.assert_close(attend(query, key, value, bias), expected)
    torch.testing.assert_close(attend(query, key, value, bias.requires_grad_()), expected)


@torch.no_grad()
@pytest.mark.parametrize("map_size", [(5, 7), (7, 6), (4, 9)])
def test_what_padding_holds_does_not_matter(map_size, randomised, generator, monkeypatch):
    module = randomised(attention(map_size, ((4, 4), (4, 3)), (2, 1), (2, 1)))
    x = torch.randn(2, *map_size, DIM, generator=generator, dtype=torch.float64)
    expected = module(x)
    assert any(group.window.padded for group in module.groups)

    def pad_with_hundreds(x, height, width):
        return F.pad(x, (0, 0, 0, width - x.shape[2], 0, height - x.shape[1]), value=100.0)

    monkeypatch.setattr(cmsa.models.windows, "pad_map", pad_with_hundreds)
    assert torch.equal(module(x), expected)
    # Without the mask it does matter.
    monkeypatch.setattr(cmsa.models.attention, "MASKED", 0.0)
    assert (module(x) - expected).abs().max() > 1e-3


@torch.no_grad()
def test_padded_windows_attend_to_their_own_keys_only(randomised, generator):
    module = randomised(attention((5, 4), ((4, 4),), (2,), (1,), kind="grouped"))
    x = torch.randn(1, 5, 4, DIM, generator=generator, dtype=torch.float64)
    expected = module(x)
    x[:, :4] += 1
    changed = module(x)
    assert torch.equal(changed[:, 4], expected[:, 4])
    assert (changed[:, :4] - expected[:, :4]).abs().min() > 0


def test_pooling_cut_by_the_border_averages_what_is_there():
    x = torch.tensor([[1.0, 2.0, 3.0], [5.0, 6.0, 7.0], [9.0, 10.0, 11.0]])[None, None]
    assert KeyPool(2)(x)[0, 0].tolist() == [[3.5, 5.0], [9.5, 11.0]]


@torch.no_grad()
@pytest.mark.parametrize("map_size", [(4, 6), (5, 7)])
def test_the_mask_has_the_four_dimensions_of_the_fast_kernel(map_size, generator, monkeypatch):
    """With three dimensions, or one that must be repeated, PyTorch falls back to the plain product on a CPU."""
    seen = []
    inner = torch.nn.functional.scaled_dot_product_attention

    def watched(query, key, value, attn_mask, scale):
        seen.append((query.shape, attn_mask.shape, query.shape[-1] == value.shape[-1]))
        return inner(query, key, value, attn_mask=attn_mask, scale=scale)

    monkeypatch.setattr(torch.nn.functional, "scaled_dot_product_attention", watched)
    module = attention(map_size, ((4, 4), (2, 3)), (2, 1), (2, 1)).eval()
    module(torch.randn(3, *map_size, DIM, generator=generator))
    assert len(seen) == 2
    for query, mask, equally_wide in seen:
        assert equally_wide
        assert len(mask) == 4
        assert (mask[0], mask[1], mask[2]) == (1, query[1], query[2])


@torch.no_grad()
@pytest.mark.parametrize("dtype", [torch.float16, torch.bfloat16])
@pytest.mark.parametrize("fused", [False, True])
def test_padded_windows_in_half_precision(dtype, fused, randomised, generator):
    """The number that masks a key is finite in every precision, before and after the bias is laid out."""
    module = randomised(attention((5, 7), ((4, 4), (4, 3)), (2, 1), (2, 1)))
    x = torch.randn(2, 5, 7, DIM, generator=generator, dtype=torch.float64)
    expected = module(x)
    if fused:
        module.groups = nn.ModuleList(group.fuse() for group in module.groups)
    module.to(dtype)
    biases = [group.bias if fused else group.relative_position_bias() for group in module.groups]
    assert all(bias.isfinite().all() and bias.min() < -1e4 for bias in biases)
    assert (module(x.to(dtype)).double() - expected).abs().max() < 0.05 * expected.abs().max()


def test_index_and_mask_are_not_in_the_state_dict():
    state = attention((5, 7), ((4, 4), (4, 3)), (2, 1), (2, 1)).state_dict()
    assert not any("index" in name or "mask" in name for name in state)
    assert "groups.1.table" in state


def count(module: nn.Module) -> int:
    return sum(parameter.numel() for parameter in module.parameters())


def test_each_step_of_the_ablation_adds_its_parameters(generator):
    heads, sizes, strides = (2, 2, 1), ((8, 4), (4, 2), (2, 1)), (1, 1, 1)
    kv, out = [h * (KEY + VALUE) for h in heads], [h * VALUE for h in heads]
    counts = {}
    x = torch.randn(2, 8, 4, DIM, generator=generator)
    for kind in TABLE_5:
        module = attention((8, 4), sizes, strides, heads, kind)
        module(x).square().mean().backward()
        assert all(parameter.grad is not None for parameter in module.parameters()), kind
        counts[kind] = count(module)
    assert counts["grouped"] == counts["standard"]
    projected = sum(wide * narrow for narrow, wide in zip(out[:-1], kv[1:], strict=True))
    assert counts["cascade"] - counts["grouped"] == projected
    assert counts["channel_fusion"] - counts["cascade"] == sum(wide * wide + 2 * wide for wide in kv[1:])
    assert counts["cmsa"] - counts["channel_fusion"] == sum(9 * c + 2 * c + c * c + 2 * c for c in kv)


@torch.no_grad()
@pytest.mark.parametrize(("kind", "feeds"), [("grouped", False), ("cascade", True), ("channel_fusion", True)])
def test_only_a_cascade_feeds_the_next_group(kind, feeds, randomised, generator):
    module = randomised(attention((4, 4), ((4, 4), (2, 2)), (1, 1), (1, 1), kind))
    module.out = nn.Identity()
    x = torch.randn(1, 4, 4, DIM, generator=generator, dtype=torch.float64)
    before = module(x)
    module.groups[0].table.data.normal_(generator=generator)
    after = module.eval()(x)
    assert not torch.equal(before[..., :VALUE], after[..., :VALUE])
    assert torch.equal(before[..., VALUE:], after[..., VALUE:]) != feeds


@torch.no_grad()
@pytest.mark.parametrize("stride", [1, 2])
@pytest.mark.parametrize("size", [(6, 4), (7, 5)])
def test_spatial_fusion_fuses(stride, size, randomised, generator):
    fusion = randomised(SpatialFusion(6, stride))
    x = torch.randn(2, 6, *size, generator=generator, dtype=torch.float64)
    torch.testing.assert_close(fusion.fuse()(x), fusion(x), rtol=0, atol=1e-12)


def test_resizing_the_window_resizes_the_table(generator):
    group = WindowAttention(2, KEY, Window((8, 6), (8, 6), 2)).eval()
    group.table.data.normal_(generator=generator)
    corners = group.table[:, [0, 0, -1, -1], [0, -1, 0, -1]].clone()
    group.resize(Window((12, 10), (12, 10), 2))
    assert group.table.shape == (2, 12, 10)
    assert group.relative_position_bias().shape == (1, 2, 120, 30)
    torch.testing.assert_close(group.table[:, [0, 0, -1, -1], [0, -1, 0, -1]], corners)


@torch.no_grad()
def test_a_resized_window_attends_alike(generator):
    """A map of twice the size, enlarged from a small one, gets the enlarged result; a table of its own does not."""

    def enlarge(x: torch.Tensor) -> torch.Tensor:
        return x.repeat_interleave(2, 1).repeat_interleave(2, 2)

    group = WindowAttention(1, KEY, Window((8, 6), (8, 6), 1))
    group.table.data = -torch.linspace(0, 5, 8)[:, None] - torch.linspace(0, 3, 6)[None]
    group.table.data = group.table.data[None]
    q, kv = torch.randn(1, 8, 6, KEY, generator=generator), torch.randn(1, 8, 6, KEY + VALUE, generator=generator)
    small = enlarge(group.eval()(q, kv))
    group.resize(Window((16, 12), (16, 12), 1))
    alike = (group(enlarge(q), enlarge(kv)) - small).square().mean().sqrt() / small.std()
    group.table.data = group.table.flip(1, 2)
    unlike = (group.eval()(enlarge(q), enlarge(kv)) - small).square().mean().sqrt() / small.std()
    assert alike < 0.3 < 1 < unlike


def test_errors_name_what_is_wrong():
    with pytest.raises(ValueError, match="2 groups of heads but 1 windows"):
        CascadedMultiScaleAttention(DIM, (1, 1), [Window((4, 4), (4, 4), 1)])
