"""Any module that makes maps, as the backbone of a network; users' own are found by name."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any, ClassVar, Literal, get_args

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from cmsa.guidance.errors import first_line
from cmsa.models.base import BaseNetwork, Size
from cmsa.models.heads.map_shapes import MapShapes
from cmsa.models.variants import VARIANTS
from cmsa.models.windows import ceil_divide
from cmsa.structures.installed import installed_names, load_installed

Interpolation = Literal["bicubic", "bilinear"]
Builder = Callable[..., nn.Module]
"""Options -> a module: images (B, 3, H, W) -> maps (B, C_i, h_i, w_i), fine to coarse."""

ENTRY_POINTS = "cmsa.backbones"
TIMM = "timm/"
"""How names of timm's networks begin."""
_BACKBONES: dict[str, Builder] = {}


def register_backbone(name: str, build: Builder) -> None:
    """Make a module known to ``create_model``, recipes and weights files by its name.

    Args:
        name: e.g. ``my_backbone``. A package can also name its builder in the entry points ``cmsa.backbones``: then
            the commands find it too.
        build: the module's class, or a function that makes one; its parameters become options of ``create_model``.

    Raises:
        ValueError: the name is taken or empty, or ``build`` makes nothing.

    Examples:
        >>> import torch
        >>> from torch import nn
        >>> class Thin(nn.Module):
        ...     def __init__(self, width: int = 8) -> None:
        ...         super().__init__()
        ...         self.layer = nn.Conv2d(3, width, 3, 2, 1)
        ...
        ...     def forward(self, images):
        ...         return [self.layer(images)]
        >>> register_backbone("thin", Thin)
        >>> from cmsa import create_model
        >>> create_model("thin", "pose", (32, 24), width=4)(torch.zeros(1, 3, 32, 24)).shape[:2]
        torch.Size([1, 17])
    """
    if not name or name in VARIANTS or name.startswith(TIMM) or _BACKBONES.get(name, build) is not build:
        raise ValueError(f"there is a backbone {name!r} already" if name else "a backbone needs a name")
    if not callable(build):
        raise ValueError(f"backbone {name!r}: must be a class or a function that makes a module, got {build!r}")
    _BACKBONES[name] = build


def find_backbone(name: str) -> Builder | None:
    """What was registered under a name, or None.

    Raises:
        ValueError: a package has one, which cannot be loaded.
    """
    if name not in _BACKBONES and (found := load_installed(ENTRY_POINTS, name)) is not None:
        _BACKBONES[name] = found
    return _BACKBONES.get(name)


def backbone_names() -> list[str]:
    """What was registered."""
    return sorted({*_BACKBONES, *installed_names(ENTRY_POINTS)})


class BackboneNetwork(BaseNetwork):
    """A network around a module that makes maps.

    Images are enlarged to ``working_size`` where there is one, and padded with zeros below and to the right up to a
    multiple of ``multiple``; what the padding added is cut off the maps, which are ceil(side / stride) large.
    Channels and sizes of the maps are found by running the module once without numbers (PyTorch's meta device).

    Args:
        backbone: images (B, 3, H, W) -> maps.
        input_size: (H, W) of the images.
        working_size: (H, W) that the backbone sees; the images' by default. For networks that are made for larger
            pictures than the crops are: their strides leave little of 32x24 pixels.
        interpolation: ``bicubic`` or ``bilinear``, of the enlargement; without antialiasing, so not for reducing.
        multiple: the backbone sees sides that are multiples of it.
        fixed: whether the backbone was built for one size.
        layout: of the maps that the module gives, ``NCHW`` or ``NHWC``.
        order: the maps that the head takes, as places among those that the module gives; all by default.

    Raises:
        ValueError: there is no such interpolation, or the module gives something else than maps.

    Examples:
        >>> import timm
        >>> resnet = timm.create_model("resnet18", features_only=True)
        >>> network = BackboneNetwork(resnet, (32, 24), working_size=(128, 96))
        >>> network.map_sizes
        ((64, 48), (32, 24), (16, 12), (8, 6), (4, 3))
    """

    head_defaults: ClassVar[dict[str, Any]] = {"fusion": "deconvolution"}

    def __init__(
        self,
        backbone: nn.Module,
        input_size: Size,
        *,
        working_size: Size | None = None,
        interpolation: Interpolation = "bicubic",
        multiple: int = 1,
        fixed: bool = False,
        layout: Literal["NCHW", "NHWC"] = "NCHW",
        order: Sequence[int] | None = None,
    ) -> None:
        super().__init__()
        if interpolation not in get_args(Interpolation):
            raise ValueError(
                f"interpolation must be one of {', '.join(get_args(Interpolation))}, got {interpolation!r}"
            )
        self.backbone = backbone
        self.working_size = None if working_size is None else (working_size[0], working_size[1])
        self.interpolation, self.multiple, self.fixed = interpolation, multiple, fixed
        self.layout, self.order = layout, order
        self._set_sizes(input_size)
        self.reset_classifier(0)

    def _set_sizes(self, input_size: Size) -> None:
        self.input_size = (input_size[0], input_size[1])
        self.seen_size = self.working_size or self.input_size
        self.padded_size = round_up(self.seen_size, self.multiple)
        shapes = self._shapes()
        self.dims = tuple(channels for channels, _, _ in shapes)
        self.map_sizes = tuple((height, width) for _, height, width in shapes)
        self.num_features = self.dims[-1]

    def set_input_size(self, input_size: Size) -> None:
        """Take images of another (H, W): ``working_size`` makes up for it, or the maps' sizes follow.

        Raises:
            ValueError: backbone or head was built for one size, and there is no ``working_size`` to bring images to.
        """
        if tuple(input_size) == self.input_size:
            return
        before = self.input_size
        if self.working_size is None and self.fixed:
            raise ValueError(
                f"{type(self.backbone).__name__} was built for images of {self.input_size} (HxW) and takes no others; "
                "made with the option working_size it does"
            )
        self._set_sizes(input_size)
        self._head_follows(before)

    @property
    def map_shapes(self) -> MapShapes:
        """What a head is told of the maps."""
        return MapShapes(self.dims, self.map_sizes, self.input_size, self.seen_size)

    def forward_maps(self, x: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) -> maps (B, C_i, h_i, w_i)."""
        self.check_images(x)
        return self._trimmed(self.backbone(self._prepared(x)))

    def _prepared(self, x: Tensor) -> Tensor:
        if self.seen_size != self.input_size:
            x = F.interpolate(x, size=self.seen_size, mode=self.interpolation, align_corners=False)
        below, right = (padded - side for padded, side in zip(self.padded_size, self.seen_size, strict=True))
        return F.pad(x, (0, right, 0, below)) if below or right else x

    def _trimmed(self, maps: Sequence[Tensor]) -> list[Tensor]:
        if self.order is not None:
            maps = [maps[place] for place in self.order]
        if self.layout == "NHWC":
            maps = [x.permute(0, 3, 1, 2) for x in maps]
        if self.padded_size == self.seen_size:
            return list(maps)
        (height, width), (padded_height, padded_width) = self.seen_size, self.padded_size
        return [
            x[:, :, : ceil_divide(x.shape[2] * height, padded_height), : ceil_divide(x.shape[3] * width, padded_width)]
            for x in maps
        ]

    @torch.no_grad()
    def _shapes(self) -> list[tuple[int, int, int]]:
        """(C, h, w) of each map."""
        tensors = [*self.backbone.named_parameters(), *self.backbone.named_buffers()]
        modes = [(module, module.training) for module in self.backbone.modules()]
        images = torch.empty(1, 3, *self.input_size, device="meta")
        name = type(self.backbone).__name__
        self.backbone.eval()
        try:
            maps: Any = functional_call(
                self.backbone, {name: value.to("meta") for name, value in tensors}, (self._prepared(images),)
            )
        except Exception as error:  # whatever somebody's module raises
            height, width = self.input_size
            raise ValueError(
                f"{name} fails on images of {height}x{width} (HxW) without numbers, which tell the sizes of its maps: "
                f"{first_line(error)}"
            ) from error
        finally:
            for module, mode in modes:
                module.training = mode
        if not isinstance(maps, list | tuple) or not maps or not all(_is_map(x) for x in maps):
            raise ValueError(f"{name}: must give a list of maps (B, C, h, w), gave {_told(maps)}")
        return [(x.shape[1], x.shape[2], x.shape[3]) for x in self._trimmed(maps)]

    def no_weight_decay(self) -> set[str]:
        """What the backbone says (timm's convention)."""
        names: set[str] = getattr(self.backbone, "no_weight_decay", set)()
        return {f"backbone.{name}" for name in names}


def _is_map(value: object) -> bool:
    return isinstance(value, Tensor) and value.dim() == 4


def _told(given: Any) -> str:
    if isinstance(given, Tensor):
        return f"one of the shape {tuple(given.shape)}"
    if not isinstance(given, list | tuple):
        return f"a {type(given).__name__}"
    return str([tuple(x.shape) if isinstance(x, Tensor) else type(x).__name__ for x in given])


def round_up(size: Size, multiple: int) -> Size:
    """Both sides rounded up to a multiple."""
    return ceil_divide(size[0], multiple) * multiple, ceil_divide(size[1], multiple) * multiple
