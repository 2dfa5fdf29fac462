"""A larger CMSA network that begins where a smaller one has come to (after Net2Net, arXiv 1511.05641).

Every channel, head and hidden unit of the larger network is a copy of one of the smaller. What reads several copies
of the same weighs each with a part of what the one had; the parts are drawn for every reader, so that copies get
different gradients and part ways.

A block that the smaller network has not comes before the others of its stage and lets its input pass: its position
encoding adds ``SHIFT``, where GELU is the identity almost everywhere, and the MLP's bias takes it away again. What its
attention and its MLP put out begins at zero.

One thing is not exact: a LayerNorm takes the mean and variance over channels, some of which now count twice. Where all
of them do, it is.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from cmsa.models.attention import AdditiveCascade, SpatialFusion
from cmsa.models.heads.classifier import ClassificationHead
from cmsa.models.heads.head_pose import BinsHead, Rotation6DHead, SoftStagewiseHead
from cmsa.models.heads.heatmap import LinearFusion, MixerFusion
from cmsa.models.network import CMSA
from cmsa.models.reparam import RepConv
from cmsa.models.windows import resize_bias

SHIFT = 4.0
"""GELU(x + SHIFT) - SHIFT differs from x by less than 0.05 where x is above -2."""
LEAST_PART = 0.2
"""Parts are drawn from here to 1, before they are brought to a sum of 1."""
HEADS = (LinearFusion, MixerFusion, ClassificationHead, SoftStagewiseHead, BinsHead, Rotation6DHead)


@dataclass(frozen=True, eq=False)
class Copies:
    """Which of ``old`` channels each new one copies, (new,) indices."""

    source: Tensor
    old: int

    def of_each(self, channels: int) -> Copies:
        """For things, heads for instance, that are ``channels`` channels each."""
        return Copies((self.source[:, None] * channels + torch.arange(channels)).flatten(), self.old * channels)


def joined(parts: Sequence[Copies]) -> Copies:
    """Of channels one after the other."""
    sources, before = [], 0
    for part in parts:
        sources.append(part.source + before)
        before += part.old
    return Copies(torch.cat(sources), before)


def can_grow(large: nn.Module, small: nn.Module) -> bool:
    """Whether ``large`` has all that ``small`` has, nowhere less and somewhere more.

    Stages, groups of heads, channels of a head, parts of the attention and the kind of head must be the same.
    """
    if not (isinstance(large, CMSA) and isinstance(small, CMSA)) or large.attention != small.attention:
        return False
    if type(large.head) is not type(small.head) or not isinstance(large.head, HEADS):
        return False
    if _image_channels(large) != _image_channels(small) or len(large.dims) != len(small.dims):
        return False
    sizes = [*zip(large.dims, small.dims, strict=True)]
    for new, old in zip(large.stages, small.stages, strict=True):
        blocks: list[Any] = list(new.children())
        old_blocks: list[Any] = list(old.children())
        first, old_first = blocks[0].attention, old_blocks[0].attention
        if _of_a_head(first) != _of_a_head(old_first) or len(first.heads) != len(old_first.heads):
            return False
        sizes += [(len(blocks), len(old_blocks)), *zip(first.heads, old_first.heads, strict=True)]
        sizes += [(blocks[0].mlp.fc1.out_features, old_blocks[0].mlp.fc1.out_features)]
    return all(new >= old for new, old in sizes) and any(new > old for new, old in sizes)


def _image_channels(network: CMSA) -> int:
    return network.stem.embedding1.depthwise.conv.conv.in_channels


def _of_a_head(attention: Any) -> tuple[int, int]:
    return attention.key_dim, attention.value_dim


def grow(large: CMSA, small: CMSA, seed: int = 0) -> None:
    """Give ``large`` the function of ``small``, in place; windows are resized to the larger network's input.

    Args:
        large: of at least as many channels, heads and blocks, see ``can_grow``.
        small: a trained network that is not fused. It is brought to the larger network's input size.
        seed: draws which channels have one copy more than others, and the parts.

    Raises:
        ValueError: it cannot grow from this one.

    Examples:
        >>> import torch
        >>> from cmsa import create_model
        >>> small = create_model("cmsa_n", "pose", (32, 24), fusion="linear")
        >>> large = create_model("cmsa_s", "pose", (32, 24), fusion="linear")
        >>> grow(large, small)
    """
    if not can_grow(large, small):
        raise ValueError(
            f"a network of {large.dims} channels cannot grow from one of {small.dims}: stages, groups of heads, parts "
            "and head must be the same, channels, heads and blocks nowhere fewer and somewhere more"
        )
    small.set_input_size(large.input_size)
    with torch.no_grad():
        Growth(torch.Generator().manual_seed(seed)).network(large, small)


class Growth:
    """Copies parameters and running statistics, from an old module to a new one of the same kind.

    Modules are ``Any``: PyTorch has no types for what they hold.
    """

    def __init__(self, generator: torch.Generator) -> None:
        self.generator = generator

    def copies(self, new: int, old: int) -> Copies:
        """All old ones in their order, then again some, drawn: each as often as any other, or once more."""
        again = [torch.randperm(old, generator=self.generator) for _ in range(new // old)]
        return Copies(torch.cat([torch.arange(old), *again])[:new], old)

    def network(self, new: Any, old: Any) -> None:
        """All of it."""
        image = self.copies(_image_channels(new), _image_channels(old))
        middle = self.copies(new.dims[0] // 2, old.dims[0] // 2)
        streams = [self.copies(*dims) for dims in zip(new.dims, old.dims, strict=True)]
        self.embedding(new.stem.embedding1, old.stem.embedding1, image, middle)
        self.embedding(new.stem.embedding2, old.stem.embedding2, middle, streams[0])
        for index, (down, old_down) in enumerate(zip(new.downsample, old.downsample, strict=True)):
            self.embedding(down, old_down, streams[index], streams[index + 1])
        for stage, old_stage, stream in zip(new.stages, old.stages, streams, strict=True):
            blocks, old_blocks = list(stage.children()), list(old_stage.children())
            added = len(blocks) - len(old_blocks)
            for index, block in enumerate(blocks):
                self.block(block, old_blocks[max(0, index - added)], stream)
                if index < added:
                    let_pass(block)
        self.head(new.head, old.head, streams)

    def embedding(self, new: Any, old: Any, inputs: Copies, outputs: Copies) -> None:
        """Of the stem, or between stages."""
        self.convolution(new.depthwise, old.depthwise, inputs, inputs)
        self.convolution(new.pointwise, old.pointwise, inputs, outputs)

    def block(self, new: Any, old: Any, stream: Copies) -> None:
        """Position encoding, attention and MLP."""
        self.convolution(new.position, old.position, stream, stream)
        self.channels(new.norm1, old.norm1, stream)
        self.attention(new.attention, old.attention, stream)
        self.channels(new.norm2, old.norm2, stream)
        hidden = self.copies(new.mlp.fc1.out_features, old.mlp.fc1.out_features)
        self.dense(new.mlp.fc1, old.mlp.fc1, stream, hidden)
        self.dense(new.mlp.fc2, old.mlp.fc2, hidden, stream)

    def attention(self, new: Any, old: Any, stream: Copies) -> None:
        """Heads are copied whole, within their group."""
        heads = [self.copies(*counts) for counts in zip(new.heads, old.heads, strict=True)]
        queries, key_values, outs = (
            [group.of_each(channels) for group in heads]
            for channels in (new.key_dim, new.key_dim + new.value_dim, new.value_dim)
        )
        self.dense(new.q, old.q, stream, joined(queries))
        self.dense(new.kv, old.kv, stream, joined(key_values))
        for index, (fusion, old_fusion) in enumerate(zip(new.channel_fusion, old.channel_fusion, strict=True)):
            if isinstance(fusion, AdditiveCascade):
                self.dense(fusion.project, old_fusion.project, outs[index], key_values[index + 1])
            else:
                inputs = joined([key_values[index + 1], outs[index]])
                self.convolution(fusion, old_fusion, inputs, key_values[index + 1])
        for spatial, old_spatial, kv in zip(new.spatial_fusion, old.spatial_fusion, key_values, strict=True):
            if isinstance(spatial, SpatialFusion):
                self.convolution(spatial.depthwise.branch, old_spatial.depthwise.branch, kv, kv)
                self.convolution(spatial.pointwise, old_spatial.pointwise, kv, kv)
        for group, old_group, head in zip(new.groups, old.groups, heads, strict=True):
            # Stems of other strides and windows of one's own make other tables of the same input size.
            group.table.copy_(resize_bias(old_group.table, tuple(group.table.shape[1:]))[head.source])
        self.dense(new.out, old.out, joined(outs), stream)

    def head(self, new: Any, old: Any, streams: Sequence[Copies]) -> None:
        """One of ``HEADS``, of the same kind in both; if its outputs differ in number it stays as it is."""
        everything = joined(streams)
        if isinstance(new, LinearFusion):
            for score, old_score, stream in zip(new.score, old.score, streams, strict=True):
                self.outputs(score, old_score, stream)
        elif isinstance(new, MixerFusion):
            for enlarge, old_enlarge, stream in zip(new.enlarge, old.enlarge, streams[1:], strict=True):
                self.transposed(enlarge, old_enlarge, stream)
            hidden = self.copies(new.mix.conv.out_channels, old.mix.conv.out_channels)
            self.convolution(new.mix, old.mix, everything, hidden)
            if new.score.conv.out_channels == old.score.conv.out_channels:
                outputs = self.copies(new.score.conv.out_channels, old.score.conv.out_channels)
                self.convolution(new.score, old.score, hidden, outputs)
        elif isinstance(new, ClassificationHead):
            self.channels(new.norm, old.norm, everything)
            self.outputs(new.logits, old.logits, everything)
        else:
            for norm, old_norm, stream in zip(new.pool.norms, old.pool.norms, streams, strict=True):
                self.channels(norm, old_norm, stream)
            if isinstance(new, SoftStagewiseHead):
                for linear, old_linear, stream in zip(new.stages, old.stages, streams, strict=True):
                    self.outputs(linear, old_linear, stream)
            else:
                name = "logits" if isinstance(new, BinsHead) else "columns"
                self.outputs(getattr(new, name), getattr(old, name), everything)

    def outputs(self, new: Any, old: Any, inputs: Copies) -> None:
        """A last layer, whose outputs are the same in both, or it stays as it is."""
        count, old_count = len(new.weight), len(old.weight)
        if count == old_count:
            self.dense(new, old, inputs, self.copies(count, old_count))

    def transposed(self, new: Any, old: Any, stream: Copies) -> None:
        """Depth-wise, and its BatchNorm."""
        self.channels(new.conv, old.conv, stream)
        self.channels(new.norm, old.norm, stream)

    def convolution(self, new: Any, old: Any, inputs: Copies, outputs: Copies) -> None:
        """A ``RepConv`` or ``ConvNorm``, depth-wise or not."""
        if isinstance(new, RepConv):
            for name in ("conv", "point"):
                if getattr(new, name) is not None:
                    self.convolution(getattr(new, name), getattr(old, name), inputs, outputs)
            if new.identity is not None and old.identity is not None:  # a stem of stride 2 has none
                self.channels(new.identity, old.identity, outputs)
            return
        if new.conv.groups > 1:
            self.channels(new.conv, old.conv, outputs)
        else:
            self.dense(new.conv, old.conv, inputs, outputs)
        self.channels(new.norm, old.norm, outputs)

    def channels(self, new: Any, old: Any, copies: Copies) -> None:
        """What has something of its own for each channel and mixes none: norms, depth-wise convolutions."""
        olds = {**dict(old.named_parameters()), **dict(old.named_buffers())}
        for name, value in [*new.named_parameters(), *new.named_buffers()]:
            value.copy_(olds[name][copies.source] if value.ndim else olds[name])

    def dense(self, new: Any, old: Any, inputs: Copies, outputs: Copies) -> None:
        """A linear layer or 1x1 convolution: each output weighs the copies of an input by parts of its own."""
        shape = (len(outputs.source), len(inputs.source))
        weight = torch.rand(shape, generator=self.generator, dtype=torch.float64) * (1 - LEAST_PART) + LEAST_PART
        total = torch.zeros(shape[0], inputs.old, dtype=torch.float64).index_add(1, inputs.source, weight)
        part = (weight / total[:, inputs.source]).to(old.weight.dtype)
        old_weight = old.weight[outputs.source][:, inputs.source]
        new.weight.copy_(old_weight * part.reshape(*shape, *[1] * (old_weight.ndim - 2)))
        if new.bias is not None:
            new.bias.copy_(old.bias[outputs.source])


def let_pass(block: Any) -> None:
    """Make a block the identity, in place; its position encoding has the statistics of its input already."""
    position = block.position
    norm = position.identity
    norm.weight.copy_((norm.running_var + norm.eps).sqrt())
    norm.bias.copy_(norm.running_mean + SHIFT)
    for branch in (position.conv, position.point):
        branch.norm.weight.zero_()
        branch.norm.bias.zero_()
    for layer in (block.attention.out, block.mlp.fc2):
        layer.weight.zero_()
        layer.bias.zero_()
    block.mlp.fc2.bias.fill_(-SHIFT)
