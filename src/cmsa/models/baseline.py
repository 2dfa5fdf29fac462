"""The usual networks that CMSA is compared with, trained by the same recipes."""

from __future__ import annotations

from typing import Any, Literal

import timm
from torch import Tensor, nn

from cmsa.models.heads.classifier import ClassificationHead
from cmsa.models.heads.map_shapes import MapShapes
from cmsa.models.heads.table import angle_head
from cmsa.models.windows import ceil_divide

Size = tuple[int, int]
Stem = Literal["small", "imagenet"]

DECONVOLUTION_WIDTH = 256
BASELINES: dict[str, tuple[str, ...]] = {
    "simple_baseline_18": ("pose",),
    "resnet18": ("head_pose", "classification"),
}
"""The tasks of each network."""


def create_baseline(name: str, task: str, input_size: Size, **options: Any) -> Baseline:
    """A network of ``BASELINES`` with the head of a task.

    Args:
        name: ``simple_baseline_18`` or ``resnet18``.
        task: what it is for.
        input_size: (H, W) of the images.
        options: further arguments of the network's class.

    Raises:
        ValueError: there is no such network for this task.
    """
    if task not in BASELINES.get(name, ()):
        raise ValueError(f"no baseline {name!r} for {task}; there are {BASELINES}")
    if task == "pose":
        return SimpleBaseline(input_size, **options)
    return PooledBaseline(task, input_size, **options)


class SimpleBaseline(nn.Module):
    """ResNet and three transposed convolutions (SimpleBaseline, arXiv 1804.06208): heatmaps at a quarter of the input.

    Args:
        input_size: (H, W) of the images.
        num_keypoints: K.
        backbone: timm's name of the ResNet.
    """

    def __init__(self, input_size: Size, num_keypoints: int = 17, backbone: str = "resnet18") -> None:
        super().__init__()
        self.input_size, self.reduction = input_size, 4
        self.backbone = timm.create_model(backbone, num_classes=0, global_pool="")
        layers: list[nn.Module] = []
        width: int = self.backbone.num_features  # type: ignore[assignment]
        for _ in range(3):
            layers += [
                nn.ConvTranspose2d(width, DECONVOLUTION_WIDTH, 4, 2, 1, bias=False),
                nn.BatchNorm2d(DECONVOLUTION_WIDTH),
                nn.ReLU(inplace=True),
            ]
            width = DECONVOLUTION_WIDTH
        self.head = nn.Sequential(*layers, nn.Conv2d(width, num_keypoints, 1))
        for module in self.head.modules():
            if isinstance(module, nn.ConvTranspose2d | nn.Conv2d):
                nn.init.normal_(module.weight, std=0.001)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> heatmaps (B, K, H/4, W/4)."""
        height, width = (ceil_divide(side, 4) for side in self.input_size)
        # The ResNet rounds H/32 up, so its maps can be larger than H/4.
        return self.head(self.backbone(x))[:, :, :height, :width]  # type: ignore[no-any-return]


class PooledBaseline(nn.Module):
    """ResNet-18 and a head on its pooled last map.

    Args:
        task: ``head_pose`` or ``classification``.
        input_size: (H, W) of the images.
        stem: ``small``, one 3x3 convolution of stride 1 as for CIFAR (arXiv 1512.03385, section 4.2); or ``imagenet``,
            which leaves a single pixel of 32x32 images.
        head: of head pose, as for ``create_model``; soft stage-wise regression reads the last map at every stage.
        num_classes: of classification.
        backbone: timm's name of the ResNet.
    """

    def __init__(
        self,
        task: str,
        input_size: Size,
        stem: Stem = "small",
        head: str = "ssr",
        num_classes: int = 100,
        backbone: str = "resnet18",
    ) -> None:
        super().__init__()
        self.input_size, self.reduction = input_size, 8 if stem == "small" else 32
        self.backbone = timm.create_model(backbone, num_classes=0, global_pool="")
        if stem == "small":
            self.backbone.conv1 = nn.Conv2d(3, 64, 3, 1, 1, bias=False)
            self.backbone.maxpool = nn.Identity()
            nn.init.kaiming_normal_(self.backbone.conv1.weight, mode="fan_out", nonlinearity="relu")
        width: int = self.backbone.num_features  # type: ignore[assignment]
        self.maps = 3 if task == "head_pose" and head == "ssr" else 1
        dims = (width,) * self.maps
        if task == "head_pose":
            size = (ceil_divide(input_size[0], self.reduction), ceil_divide(input_size[1], self.reduction))
            maps = MapShapes(dims, (size,) * self.maps, input_size, input_size)
            self.head: nn.Module = angle_head(maps, head)
        else:
            self.head = ClassificationHead(dims, num_classes)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> what the head makes of the last map."""
        return self.head([self.backbone(x)] * self.maps)  # type: ignore[no-any-return]


Baseline = SimpleBaseline | PooledBaseline
