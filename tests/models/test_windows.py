"""Windows: sizes, cutting and joining, bias offsets, masks, resized tables."""

from __future__ import annotations

import pytest
import torch
from hypothesis import given
from hypothesis import strategies as st

from cmsa.models.windows import Window, ceil_divide, resize_bias, window_partition, window_reverse

side = st.integers(1, 13)
windows = st.builds(Window.fit, st.tuples(side, side), st.tuples(side, side), st.sampled_from([1, 2, 4]))


@given(window=windows, heads=st.integers(1, 3), batch=st.integers(1, 2))
def test_reverse_undoes_partition(window, heads, batch):
    x = torch.arange(batch * window.map_size[0] * window.map_size[1] * heads * 2).float()
    x = x.reshape(batch, *window.map_size, heads * 2)
    pieces = window_partition(x, window.grid, window.size, heads)
    many = window.grid[0] * window.grid[1]
    assert pieces.shape == (batch * many, heads, window.size[0] * window.size[1], 2)
    assert torch.equal(window_reverse(pieces, window.grid, window.size, window.map_size), x)


def test_partition_is_row_major_in_windows_pixels_and_heads():
    x = torch.arange(4 * 6 * 2).reshape(1, 4, 6, 2)
    pieces = window_partition(x, (2, 2), (2, 3), heads=2)
    # The window at the bottom left, second head: rows 2 and 3, columns 0 to 2, channel 1.
    assert pieces[2, 1, :, 0].tolist() == x[0, 2:, :3, 1].flatten().tolist()


@given(window=windows)
def test_windows_cover_the_map_in_multiples_of_the_stride(window):
    for axis in range(2):
        assert window.size[axis] % window.stride == 0
        assert window.size[axis] * window.grid[axis] >= window.map_size[axis]
        assert window.size[axis] * (window.grid[axis] - 1) < window.map_size[axis]
        assert window.key_size[axis] * window.stride == window.size[axis]
        assert window.key_map_size[axis] == ceil_divide(window.map_size[axis], window.stride)


@given(window=windows)
def test_relative_position_index_against_brute_force(window):
    index = window.relative_position_index()
    (rows, columns), (key_rows, key_columns) = window.size, window.key_size
    expected = [
        [
            abs(row - key_row) * columns + abs(column - key_column)
            for key_row in range(key_rows)
            for key_column in range(key_columns)
        ]
        for row in range(rows)
        for column in range(columns)
    ]
    assert index.tolist() == expected
    # Every offset of the table is used, so every number in it is trained.
    assert index.unique().numel() == rows * columns


@given(window=windows)
def test_key_mask_is_true_where_keys_lie_on_the_map(window):
    mask = window.key_mask()
    (down, across), (rows, columns) = window.grid, window.key_size
    expected = [
        [
            down_index * rows + row < window.key_map_size[0]
            and across_index * columns + column < window.key_map_size[1]
            for row in range(rows)
            for column in range(columns)
        ]
        for down_index in range(down)
        for across_index in range(across)
    ]
    assert mask.shape == (down * across, 1, 1, rows * columns)
    assert mask[:, 0, 0].tolist() == expected
    assert mask.any(-1).all(), "a window without any key would have no softmax"
    assert window.padded == (not mask.all())


@pytest.mark.parametrize(
    ("map_size", "wanted", "stride", "size", "grid"),
    [
        ((32, 24), (32, 24), 2, (32, 24), (1, 1)),
        ((32, 24), (8, 6), 1, (8, 6), (4, 4)),
        ((33, 21), (33, 21), 2, (34, 22), (1, 1)),
        ((33, 21), (17, 11), 2, (18, 12), (2, 2)),
        ((8, 6), (40, 3), 2, (8, 4), (1, 2)),
    ],
)
def test_fit(map_size, wanted, stride, size, grid):
    window = Window.fit(map_size, wanted, stride)
    assert (window.size, window.grid) == (size, grid)


def test_a_resized_table_keeps_what_is_linear_in_the_offset():
    def table(rows: int, columns: int) -> torch.Tensor:
        return 2 * torch.linspace(0, 1, rows)[:, None] - 3 * torch.linspace(0, 1, columns) + torch.zeros(2, 1, 1)

    torch.testing.assert_close(resize_bias(table(8, 6), (17, 11)), table(17, 11))
    torch.testing.assert_close(resize_bias(table(17, 11), (8, 6)), table(8, 6))


def test_a_table_of_the_right_size_is_left_alone():
    table = torch.randn(2, 4, 3)
    assert resize_bias(table, (4, 3)) is table
