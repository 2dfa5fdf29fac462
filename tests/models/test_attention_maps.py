from __future__ import annotations

import pytest
import torch
from torch import nn

from cmsa.models.attention_maps import watch_attention
from cmsa.models.fuse import fuse
from cmsa.models.windows import window_partition, window_reverse


def attention_maps(network, images):
    with torch.no_grad(), watch_attention(network) as maps:
        network(images)
    return maps


@pytest.fixture
def small(network, randomised):
    # 20x12 maps do not divide into quarters: some windows hold padding.
    return randomised(network("cmsa_n", (20, 12)))


@pytest.fixture
def maps(small, images):
    return attention_maps(small, images(2, (20, 12), torch.float64))


def test_there_is_one_for_each_group_of_each_block(maps, small):
    expected = [
        (stage, block, group)
        for stage, blocks in enumerate(small.stages)
        for block in range(len(blocks))
        for group in range(len(small.heads[stage]))
    ]
    assert [(found.stage, found.block, found.group) for found in maps] == expected


def test_rows_sum_to_one_and_padded_keys_have_no_weight(maps):
    assert any(found.window.padded for found in maps)
    for found in maps:
        mask = found.window.key_mask()[:, :, 0].expand(-1, found.weights.shape[2], -1)
        queries = window_partition(torch.ones(1, *found.window.map_size, 1), found.window.grid, found.window.size, 1)
        real = queries[:, 0, :, 0].bool()
        for weights in found.weights:
            torch.testing.assert_close(weights.sum(-1), torch.ones_like(weights[..., 0]))
            hidden = weights.masked_fill(mask[:, :, None], 0)
            assert hidden.transpose(1, 2)[real].abs().max() < 1e-12


def test_weights_times_values_are_what_the_network_computes(small, images):
    """Against the outputs of the groups themselves."""
    outputs, given = [], []
    modules = [group for blocks in small.stages for block in blocks for group in block.attention.groups]

    def keep(module, inputs, output):
        given.append(inputs[1])
        outputs.append(output)

    hooks = [module.register_forward_hook(keep) for module in modules]
    batch = images(2, (20, 12), torch.float64)
    with torch.no_grad():
        small(batch)
    for hook in hooks:
        hook.remove()
    found = attention_maps(small, batch)
    assert len(found) == len(outputs)
    for one, module, kv, output in zip(found, modules, given, outputs, strict=True):
        window = one.window
        value = window_partition(kv, window.grid, window.key_size, module.heads)[..., module.key_dim :]
        attended = one.weights.flatten(0, 1) @ value
        computed = window_reverse(attended, window.grid, window.size, window.map_size)
        torch.testing.assert_close(computed, output, rtol=1e-9, atol=1e-9)


def test_a_fused_network_looks_at_the_same(maps, small, images):
    torch.manual_seed(0)
    batch = images(1, (20, 12), torch.float64)
    for one, other in zip(attention_maps(small, batch), attention_maps(fuse(small), batch), strict=True):
        torch.testing.assert_close(one.weights, other.weights, rtol=1e-7, atol=1e-9)


def test_a_pixel_looks_within_its_window(maps):
    for found in maps:
        height, width = found.window.map_size
        stride = found.window.stride
        for row, column in ((0, 0), (height - 1, width - 1), (height // 2, width // 3)):
            top, left, bottom, right = found.limits(row, column)
            assert top <= row < bottom
            assert left <= column < right
            seen = found.at(row, column, image=1)
            (rows, columns), (key_rows, key_columns) = found.window.size, found.window.key_size
            number = row // rows * found.window.grid[1] + column // columns
            row_of_weights = found.weights[1, number, :, row % rows * columns + column % columns]
            corner = row // rows * key_rows, column // columns * key_columns
            part = seen[:, corner[0] : corner[0] + key_rows, corner[1] : corner[1] + key_columns]
            torch.testing.assert_close(
                part, row_of_weights.reshape(-1, key_rows, key_columns)[:, : part.shape[1], : part.shape[2]]
            )
            assert tuple(seen.shape[1:]) == found.window.key_map_size
            inside = seen[:, top // stride : -(-bottom // stride), left // stride : -(-right // stride)]
            torch.testing.assert_close(seen.sum((1, 2)), inside.sum((1, 2)))
            torch.testing.assert_close(seen.sum((1, 2)), torch.ones(len(seen), dtype=seen.dtype))


def test_a_window_is_a_part_of_the_map(maps):
    first = [found for found in maps if found.stage == 0 and found.block == 0]
    assert first[0].limits(3, 5) == (0, 0, 20, 12)
    assert first[1].limits(13, 5) == (10, 0, 20, 6)
    assert first[2].limits(13, 5) == (10, 3, 15, 6)


def test_a_pixel_beyond_the_map_is_told(maps):
    with pytest.raises(IndexError, match=r"\(20, 0\) does not lie on the map of 20x12"):
        maps[0].at(20, 0)


def test_of_other_networks_nothing_is_kept():
    assert attention_maps(nn.Conv2d(3, 3, 1), torch.zeros(1, 3, 4, 4)) == []


def test_nothing_is_left_behind(small, images):
    attention_maps(small, images(1, (20, 12), torch.float64))
    assert not any(module._forward_hooks for module in small.modules())
