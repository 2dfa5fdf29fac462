"""What is measured: CMSA's variants, and the networks that they are compared with (from timm)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import timm
from torch import Tensor, nn

from cmsa.export.layout import deploy
from cmsa.models.create import create_model
from cmsa.training.recipe import load_recipe
from cmsa.training.recipe_files import rows_of
from cmsa.training.starting_point import build_network

Size = tuple[int, int]
KEYPOINTS = 17
MATRIX_SIDE = 1536
LIGHT_SIZES: tuple[Size, ...] = ((128, 96), (256, 192))


@dataclass(frozen=True)
class Candidate:
    """A network to be measured.

    Attributes:
        name: as it stands in the table.
        size: (H, W) of its input.
        build: makes the network as it is trained, in eval mode, with random weights.
        prepare: makes of it what is exported and run.
    """

    name: str
    size: Size
    build: Callable[[], nn.Module]
    prepare: Callable[[Any], nn.Module]


def cmsa_candidate(variant: str, size: Size, fusion: str = "mixer") -> Candidate:
    """A variant for human pose, deployed; by default with the head of the authors' release."""
    name = variant if fusion == "mixer" else f"{variant} {fusion} head"
    return Candidate(name, size, lambda: create_model(variant, "pose", size, fusion=fusion).eval(), deploy)


def unfused_candidate(variant: str, size: Size) -> Candidate:
    """The same network as it is trained, which is the structure of the authors' release, exported as it is."""
    return Candidate(f"{variant} unfused", size, lambda: create_model(variant, "pose", size).eval(), _as_it_is)


def matrix_product() -> Candidate:
    """One product of two square matrices, for one "image": what the machine can do at best."""
    side = MATRIX_SIDE
    return Candidate("matrix product", (side // 3, side), lambda: nn.Linear(side, side, bias=False).eval(), _as_it_is)


def recipe_candidates(name: str) -> list[Candidate]:
    """The network of a recipe, or those of a table of recipes, as they begin; where they start from is no matter here.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: the recipe is wrong, or its network cannot be made.
    """
    return [_of_recipe(f"{name}:{row}", row) for row in rows_of(name)] or [_of_recipe(name, name)]


def _of_recipe(name: str, label: str) -> Candidate:
    recipe = load_recipe(name, ["--model.init=null"])
    return Candidate(label, recipe.model.size, lambda: build_network(recipe).eval(), deploy)


def known_peers() -> list[Candidate]:
    """Networks for pose that others take, large ones and those of small devices.

    HRNet-W32 at 128x96, ViT-B/16 at 256x192 (ViTPose-B's size), ResNet-50 with SimpleBaseline's head at 128x96; and
    ResNet-18 and MobileNetV4-small with SimCC (arXiv 2107.03332) on their last map, at 128x96 and 256x192.
    """
    large = [
        Candidate("HRNet-W32", (128, 96), lambda: HighResolution().eval(), _as_it_is),
        Candidate("ViT-B/16, no head", (256, 192), _vit, _as_it_is),
        Candidate(
            "ResNet-50 SimpleBaseline",
            (128, 96),
            lambda: create_model("timm/resnet50", "pose", (128, 96), out_indices=[4]).eval(),
            _as_it_is,
        ),
    ]
    light = {"ResNet-18 SimCC": "timm/resnet18", "MobileNetV4-small SimCC": "timm/mobilenetv4_conv_small"}
    return large + [_simcc(name, backbone, size) for name, backbone in light.items() for size in LIGHT_SIZES]


def _simcc(name: str, backbone: str, size: Size) -> Candidate:
    def build() -> nn.Module:
        return create_model(backbone, "pose", size, head="simcc", fusion="linear", out_indices=[4]).eval()

    return Candidate(name, size, build, _as_it_is)


def _as_it_is(network: nn.Module) -> nn.Module:
    return network


def _vit() -> nn.Module:
    return timm.create_model("vit_base_patch16_224", img_size=(256, 192), num_classes=0, global_pool="").eval()


class HighResolution(nn.Module):
    """HRNet-W32 for pose (arXiv 1902.09212): the finest of its four maps, and a 1x1 convolution to heatmaps."""

    def __init__(self) -> None:
        super().__init__()
        backbone: Any = timm.create_model("hrnet_w32", num_classes=0)
        # What makes the other maps, and what classifies, is not part of the pose network.
        backbone.incre_modules = backbone.downsamp_modules = None
        backbone.final_layer = nn.Identity()
        backbone.stage4[-1].fuse_layers = backbone.stage4[-1].fuse_layers[:1]
        self.backbone = backbone
        self.score = nn.Conv2d(32, KEYPOINTS, 1)

    def forward(self, x: Tensor) -> Tensor:
        """Images (B, 3, H, W) -> heatmaps (B, 17, H/4, W/4)."""
        net: Any = self.backbone
        x = net.act2(net.bn2(net.conv2(net.act1(net.bn1(net.conv1(x))))))
        return self.score(net.stages(x)[0])  # type: ignore[no-any-return]
