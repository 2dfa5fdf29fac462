"""The mixer's head for inference: enlarging and mixing in one product on the small map.

Enlarging s times by a depth-wise transposed convolution of kernel and stride s gives each of the s·s places of a
pixel its own factor for each channel. A 1x1 convolution after it is, for each place, one product on the small map:

    W_k up(x)[s y + i, s x + j] = (W_k diag(u[:, i, j])) x[y, x]

so that the concatenated maps, the widest tensor of the network, are never made.
"""

from __future__ import annotations

from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from cmsa.models.attention import to_first, to_last
from cmsa.models.heads import MixerFusion


class DeployedMixer(nn.Module):
    """A fused :class:`MixerFusion`, summing what each map brings to the mixed one."""

    def __init__(self, head: MixerFusion) -> None:
        super().__init__()
        mix, score = head.mix, head.score
        assert isinstance(mix, nn.Conv2d)
        assert isinstance(score, nn.Conv2d)
        assert mix.bias is not None
        dims = [mix.in_channels - sum(part.in_channels for part in head.enlarge)]  # type: ignore[misc]
        dims += [part.in_channels for part in head.enlarge]  # type: ignore[misc]
        own, *others = torch.split(mix.weight[:, :, 0, 0], dims, dim=1)
        bias = mix.bias.detach().clone()
        self.channels = mix.out_channels
        self.scales: list[int] = []
        self.others = nn.ModuleList()
        for weight, enlarge in zip(others, head.enlarge, strict=True):
            assert isinstance(enlarge, nn.ConvTranspose2d)
            assert enlarge.bias is not None
            self.scales.append(enlarge.stride[0])
            placed = torch.einsum("oc,cij->ijoc", weight, enlarge.weight[:, 0])
            self.others.append(linear_from(placed.flatten(0, 2), None))
            bias += weight @ enlarge.bias
        self.own = linear_from(own, bias)
        self.score = linear_from(score.weight[:, :, 0, 0], score.bias)

    def forward(self, maps: Sequence[Tensor]) -> Tensor:
        """Maps (B, C_i, H_i, W_i) -> (B, num_outputs, H_1, W_1)."""
        height, width = maps[0].shape[2:]
        mixed = self.own(to_last(maps[0]))
        for product, scale, x in zip(self.others, self.scales, maps[1:], strict=True):
            rows, columns = x.shape[2:]
            places = product(to_last(x)).reshape(-1, rows, columns, scale, scale, self.channels)
            enlarged = places.permute(0, 1, 3, 2, 4, 5).reshape(-1, rows * scale, columns * scale, self.channels)
            # An enlarged odd map is a row or column too large.
            mixed = mixed + enlarged[:, :height, :width]
        return to_first(self.score(F.gelu(mixed)))


def linear_from(weight: Tensor, bias: Tensor | None) -> nn.Linear:
    """A layer that multiplies by ``weight`` (C', C) and adds ``bias`` (C')."""
    layer = nn.Linear(weight.shape[1], weight.shape[0], bias=bias is not None, device="meta")
    layer.weight = nn.Parameter(weight.detach().clone(), requires_grad=False)
    if bias is not None:
        layer.bias = nn.Parameter(bias.detach().clone(), requires_grad=False)
    return layer
