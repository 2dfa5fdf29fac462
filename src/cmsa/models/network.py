"""The CMSA network: stem, three stages, and a head on all three maps (CMSA, section 3.1)."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.models.attention import CascadedMultiScaleAttention, FusedWindowAttention, WindowAttention, to_nchw, to_nhwc
from cmsa.models.attention_parts import AttentionKind, AttentionParts
from cmsa.models.base import BaseNetwork, Size
from cmsa.models.layers import DropPath, Mlp
from cmsa.models.memory import physical_memory
from cmsa.models.reparam import RepConv
from cmsa.models.resizing import fit_bias_tables
from cmsa.models.windows import Window, ceil_divide

SMALLEST_SIDE = 8
"""Below this the third stage's map would be a single pixel."""
LARGEST_UNSTRIDED_SIDE = 64
"""Inputs with a longer side get a stem of stride 2 (the paper keeps stage 1 at 64x48 for 128x96)."""


class Embedding(nn.Module):
    """Depth-wise 3x3 RepConv, GELU, 1x1 RepConv; no activation after. (B, C, H, W)."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.depthwise = RepConv(in_channels, in_channels, 3, stride, groups=in_channels)
        self.pointwise = RepConv(in_channels, out_channels, 1)

    def forward(self, x: Tensor) -> Tensor:
        """(B, C, H, W) -> (B, C', H/stride, W/stride)."""
        return self.pointwise(F.gelu(self.depthwise(x)))  # type: ignore[no-any-return]


class Stem(nn.Module):
    """Two embeddings, each followed by GELU: 3 -> C1/2 -> C1 channels."""

    def __init__(self, in_channels: int, out_channels: int, stride: int) -> None:
        super().__init__()
        self.embedding1 = Embedding(in_channels, out_channels // 2, 1)
        self.embedding2 = Embedding(out_channels // 2, out_channels, stride)

    def forward(self, x: Tensor) -> Tensor:
        """(B, in, H, W) -> (B, out, H/stride, W/stride)."""
        return F.gelu(self.embedding2(F.gelu(self.embedding1(x))))


class Block(nn.Module):
    """x = GELU(PE(x)); x = x + Attention(BN(x)); x = x + MLP(LN(x)). (B, H, W, C)."""

    def __init__(self, dim: int, attention: CascadedMultiScaleAttention, mlp_ratio: float, drop_path: float) -> None:
        super().__init__()
        self.position = RepConv(dim, dim, 3, groups=dim)
        self.norm1: nn.Module = nn.BatchNorm2d(dim)
        self.attention = attention
        self.norm2 = nn.LayerNorm(dim, eps=1e-6)
        self.mlp = Mlp(dim, int(dim * mlp_ratio))
        self.drop_path = DropPath(drop_path) if drop_path else nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        """(B, H, W, C) -> (B, H, W, C)."""
        first = F.gelu(self.position(to_nchw(x)))
        x = to_nhwc(first)
        x = x + self.drop_path(self.attention(to_nhwc(self.norm1(first))))
        return x + self.drop_path(self.mlp(self.norm2(x)))  # type: ignore[no-any-return]


class CMSA(BaseNetwork):
    """Stem and stages, then a head on the maps of all stages.

    Args:
        dims: channels of each stage.
        depths: blocks of each stage.
        heads: per stage, heads of each group.
        kv_strides: per stage, the stride by which each group pools its keys and values.
        input_size: (H, W) of the image, each at least 8. Attention within the whole map bounds it above: four times as
            many pixels take 16 times the memory.
        windows: per stage and group, (s, t); by default stage 1 attends in (1, 1/2, 1/4) of the map, stage 2 in
            (1, 1/2), stage 3 in (1, 1) as the paper has it.
        key_dim: channels of a key; value_ratio: value channels per key channel.
        mlp_ratio: hidden over input channels of the MLP.
        drop_path_rate: of the last block, growing linearly from 0.
        in_chans: image channels.
        attention: which parts it has: a row of the paper's Table 5 by name (``standard``, ``grouped``, ``cascade``,
            ``channel_fusion``, ``cmsa``), or options of ``AttentionParts``, e.g. ``{"cascade": "additive"}``. Mind
            that ``standard`` attends to unpooled keys and the other rows to pooled ones.
        stem_stride: 1 or 2; by default 2 where a side of the input exceeds 64.
        num_classes: classes of the default classification head; 0 for none.

    ``forward`` takes images (B, in_chans, H, W), normalised, and returns what ``head`` makes of the three maps.

    Examples:
        >>> import torch
        >>> from cmsa import create_model
        >>> model = create_model("cmsa_s", "pose", (32, 24))  # with a head; the class itself has none
        >>> [tuple(maps.shape) for maps in model.forward_maps(torch.zeros(1, 3, 32, 24))]
        [(1, 96, 32, 24), (1, 160, 16, 12), (1, 224, 8, 6)]
    """

    def __init__(
        self,
        dims: Sequence[int],
        depths: Sequence[int],
        heads: Sequence[Sequence[int]],
        kv_strides: Sequence[Sequence[int]],
        input_size: Size = (32, 32),
        windows: Sequence[Sequence[Size]] | None = None,
        key_dim: int = 16,
        value_ratio: int = 2,
        mlp_ratio: float = 4,
        drop_path_rate: float = 0.0,
        in_chans: int = 3,
        attention: AttentionKind | Mapping[str, Any] | AttentionParts = "cmsa",
        stem_stride: int | None = None,
        num_classes: int = 0,
    ) -> None:
        super().__init__()
        self.attention = AttentionParts.of(attention)
        if not self.attention.groups:
            heads = [[sum(groups)] for groups in heads]
            kv_strides = [strides[:1] for strides in kv_strides]
            windows = None if windows is None else [sizes[:1] for sizes in windows]
        if not self.attention.key_pooling:
            kv_strides = [[1] * len(strides) for strides in kv_strides]
        stages = {"dims": dims, "depths": depths, "heads": heads, "kv_strides": kv_strides}
        if len(set(map(len, stages.values()))) > 1:
            counts = ", ".join(f"{name} {len(entries)}" for name, entries in stages.items())
            raise ValueError(f"each stage has an entry in each of them, got {counts}")
        if not 0 <= drop_path_rate < 1:
            raise ValueError(f"drop_path_rate must be at least 0 and below 1, got {drop_path_rate}")
        self.dims, self.depths, self.heads = tuple(dims), tuple(depths), heads
        self.kv_strides, self.windows = kv_strides, windows
        for stage, (groups, strides) in enumerate(zip(heads, kv_strides, strict=True), start=1):
            if len(groups) != len(strides):
                raise ValueError(f"stage {stage}: {len(groups)} groups of heads but {len(strides)} key strides")
        self.stem_stride = stem_stride
        self.num_classes, self.num_features = num_classes, dims[-1]
        self.grad_checkpointing = False
        self._set_sizes(input_size)
        rates = torch.linspace(0, drop_path_rate, sum(depths), device="cpu").tolist()
        self.stem = Stem(in_chans, dims[0], self.reduction)
        self.downsample = nn.ModuleList(Embedding(narrow, wide, 2) for narrow, wide in pairwise(dims))
        self.stages = nn.ModuleList()
        for stage, (dim, depth) in enumerate(zip(dims, depths, strict=True)):
            blocks = [
                Block(
                    dim,
                    CascadedMultiScaleAttention(
                        dim, heads[stage], self.stage_windows[stage], key_dim, value_ratio, self.attention
                    ),
                    mlp_ratio,
                    rates.pop(0),
                )
                for _ in range(depth)
            ]
            self.stages.append(nn.Sequential(*blocks))
        self.feature_info = [
            {"num_chs": dim, "reduction": self.reduction * 2**stage, "module": f"stages.{stage}"}
            for stage, dim in enumerate(dims)
        ]
        self.apply(_initialise)
        self.reset_classifier(num_classes)
        self.register_load_state_dict_pre_hook(fit_bias_tables)  # type: ignore[no-untyped-call]

    def _set_sizes(self, input_size: Size) -> None:
        height, width = input_size
        if min(height, width) < SMALLEST_SIDE:
            raise ValueError(
                f"input size {height}x{width} (HxW) is too small: each side must be at least {SMALLEST_SIDE}"
            )
        reduction = self.stem_stride or (2 if max(height, width) > LARGEST_UNSTRIDED_SIDE else 1)
        stage_windows: list[list[Window]] = []
        map_sizes: list[Size] = []
        size = (ceil_divide(height, reduction), ceil_divide(width, reduction))
        for stage, strides in enumerate(self.kv_strides):
            if self.windows is not None:
                wanted = list(self.windows[stage])
            else:
                wanted = [default_window(size, stage, group) for group in range(len(strides))]
            stage_windows.append(
                [Window.fit(size, window, stride) for window, stride in zip(wanted, strides, strict=True)]
            )
            map_sizes.append(size)
            size = (ceil_divide(size[0], 2), ceil_divide(size[1], 2))
        needed = sum(
            depth * window.index_bytes
            for depth, windows in zip(self.depths, stage_windows, strict=True)
            for window in windows
        )
        if needed > (there := physical_memory()):  # PyTorch would fail at some number of bytes, or the system end it
            raise ValueError(
                f"input size {height}x{width} (HxW) is too large: to attend from each pixel of its windows to each "
                f"other takes {needed / 1e9:,.0f} GB and more, and this machine has {there / 1e9:,.0f} GB"
            )
        self.input_size, self.reduction = (height, width), reduction
        self.stage_windows, self.map_sizes = stage_windows, tuple(map_sizes)

    def set_input_size(self, input_size: Size) -> None:
        """Take images of another (H, W): windows follow, bias tables are resized bilinearly, the stem keeps its stride.

        Raises:
            ValueError: a side is below 8, the windows need more memory than there is, the network is fused, or the head
                is made for one size.
        """
        if any(isinstance(part, FusedWindowAttention) for part in self.modules()):
            raise ValueError("a fused network keeps its input size: call set_input_size before fuse")
        before = self.input_size
        self.stem_stride = self.reduction
        self._set_sizes(input_size)
        if before == self.input_size:
            return
        self._head_follows(before)
        for stage, windows in zip(self.stages, self.stage_windows, strict=True):
            for block in stage.children():
                assert isinstance(block, Block)
                for group, window in zip(block.attention.groups, windows, strict=True):
                    assert isinstance(group, WindowAttention)
                    group.resize(window)

    def forward_maps(self, x: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) -> the maps of the three stages, (B, C_i, H_i, W_i)."""
        self.check_images(x)
        maps: list[Tensor] = []
        x = self.stem(x.contiguous(memory_format=torch.channels_last))
        for index, stage in enumerate(self.stages):
            if index:
                x = self.downsample[index - 1](x)
            last = to_nhwc(x)
            for block in stage.children():
                last = (
                    torch.utils.checkpoint.checkpoint(block, last, use_reentrant=False)
                    if self.grad_checkpointing and self.training
                    else block(last)
                )
            x = to_nchw(last)
            maps.append(x)
        return maps

    def no_weight_decay(self) -> set[str]:
        """The attention's bias tables."""
        return {f"{name}.table" for name, module in self.named_modules() if isinstance(module, WindowAttention)}

    @property
    def _ddp_params_and_buffers_to_ignore(self) -> list[str]:
        """What DistributedDataParallel need not send from process to process before each step: constants."""
        return constant_buffers(self)

    def set_grad_checkpointing(self, enable: bool = True) -> None:
        """Trade time for memory: recompute each block in the backward pass."""
        self.grad_checkpointing = enable


def default_window(size: Size, stage: int, group: int) -> Size:
    """The paper's window: stage 1 halves from group to group, stage 2 once, stage 3 never."""
    parts = 2 ** min(group, 2 - stage)
    return ceil_divide(size[0], parts), ceil_divide(size[1], parts)


def constant_buffers(network: nn.Module) -> list[str]:
    """Names of the buffers that no state dict holds: they are computed, never learned or counted."""
    kept = network.state_dict(keep_vars=True)
    return [name for name, _ in network.named_buffers() if name not in kept]


def _initialise(module: nn.Module) -> None:
    if isinstance(module, nn.Linear):
        nn.init.trunc_normal_(module.weight, std=0.02)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
    elif isinstance(module, nn.Conv2d):
        fan_out = module.kernel_size[0] * module.kernel_size[1] * module.out_channels // module.groups
        nn.init.normal_(module.weight, std=(2.0 / fan_out) ** 0.5)
        if module.bias is not None:
            nn.init.zeros_(module.bias)
