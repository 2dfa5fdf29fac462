"""What every network here is: a backbone that makes maps, and a head that makes the task's numbers of them."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any, ClassVar

from torch import Tensor, nn

from cmsa.models.description import Description
from cmsa.models.heads.classifier import ClassificationHead, LastMap
from cmsa.models.heads.map_shapes import MapShapes
from cmsa.models.hub import HubModel
from cmsa.structures import IMAGENET_MEAN, IMAGENET_STD

Size = tuple[int, int]


class BaseNetwork(HubModel):
    """Images (B, 3, H, W), normalised -> maps, fine to coarse -> what ``head`` makes of them.

    A backbone says ``forward_maps``, ``set_input_size`` and the attributes below; all else is here. The methods are
    called as in timm.

    Attributes:
        input_size: (H, W) of the images.
        dims: channels of each map.
        map_sizes: (h, w) of each map.
        head: takes the list of maps.
        description: what the network says of itself; set by ``create_model`` and by loading weights.
        file: where the weights were loaded from; errors in what the network says of itself name it.
        num_features: channels of the last map.
        head_hidden_size: numbers that ``forward_head(..., pre_logits=True)`` gives for an image.
        num_classes: of a classification head, else 0.
    """

    input_size: Size
    dims: tuple[int, ...]
    map_sizes: tuple[Size, ...]
    head: nn.Module
    description: Description
    file: Path | None = None
    num_features: int
    num_classes: int
    head_defaults: ClassVar[dict[str, Any]] = {}
    """Options of heads whose defaults are others for this kind of network."""
    normalization: tuple[tuple[float, ...], tuple[float, ...]] = (IMAGENET_MEAN, IMAGENET_STD)
    """Mean and standard deviation of RGB images in 0..1 that the network's numbers are meant for."""

    @property
    def map_shapes(self) -> MapShapes:
        """What a head is told of the maps."""
        return MapShapes(self.dims, self.map_sizes, self.input_size, self.input_size)

    def forward_maps(self, x: Tensor) -> list[Tensor]:
        """Images (B, 3, H, W) -> maps (B, C_i, h_i, w_i), as ``dims`` and ``map_sizes`` have them.

        Raises:
            ValueError: the images are not of ``input_size``.
        """
        raise NotImplementedError

    def set_input_size(self, input_size: Size) -> None:
        """Take images of another (H, W).

        Raises:
            ValueError: the network cannot.
        """
        raise NotImplementedError

    def _set_sizes(self, input_size: Size) -> None:
        """Compute all sizes that follow from (H, W) of the images."""
        raise NotImplementedError

    def _head_follows(self, before: Size) -> None:
        """Tell a head that depends on the maps' shapes of the new ones; where it refuses, the sizes go back."""
        follow = getattr(self.head, "set_map_shapes", None)
        if not callable(follow):
            return
        try:
            follow(self.map_shapes)
        except ValueError:
            self._set_sizes(before)
            raise

    def check_images(self, x: Tensor) -> None:
        """Refuse images of another size than ``input_size`` with a ValueError."""
        if tuple(x.shape[2:]) != self.input_size:
            expected = "x".join(map(str, self.input_size))
            raise ValueError(
                f"images of {x.shape[2]}x{x.shape[3]} (HxW) for a network of {expected}: resize them, or call "
                f"set_input_size(({x.shape[2]}, {x.shape[3]}))"
            )

    def forward_features(self, x: Tensor) -> list[Tensor]:
        """The maps: all that ``forward_head`` needs. (As CrossViT in timm, which has several too.)"""
        return self.forward_maps(x)

    def forward_head(self, features: Sequence[Tensor], pre_logits: bool = False) -> Any:
        """What the head makes of the maps.

        Args:
            features: of ``forward_features``.
            pre_logits: give what the classifier's last layer takes, (B, head_hidden_size); of other heads the mean
                of the last map.
        """
        if not pre_logits:
            return self.head(features)
        if isinstance(self.head, ClassificationHead):
            return self.head.pool(features)
        return features[-1].mean((2, 3))

    def forward(self, x: Tensor) -> Any:
        """Images (B, 3, H, W) -> what ``head`` makes of the maps."""
        return self.forward_head(self.forward_features(x))

    def forward_intermediates(
        self,
        x: Tensor,
        indices: int | Sequence[int] | None = None,
        norm: bool = False,
        stop_early: bool = False,
        output_fmt: str = "NCHW",
        intermediates_only: bool = False,
    ) -> list[Tensor] | tuple[Tensor, list[Tensor]]:
        """Chosen maps (timm's convention); ``norm`` and ``stop_early`` are accepted and change nothing."""
        if output_fmt != "NCHW":
            raise ValueError(f"output_fmt must be 'NCHW', got {output_fmt!r}")
        maps = self.forward_maps(x)
        if indices is None:
            chosen = maps
        elif isinstance(indices, int):
            chosen = maps[-indices:]
        else:
            chosen = [maps[index] for index in indices]
        return chosen if intermediates_only else (maps[-1], chosen)

    @property
    def heatmap_size(self) -> Size:
        """(h, w) of the heatmaps of a pose head: the first map's, unless the head says otherwise."""
        return getattr(self.head, "heatmap_size", self.map_sizes[0])

    @property
    def head_hidden_size(self) -> int:
        """Numbers that the classifier's last layer takes; of other heads the channels of the last map."""
        return sum(self.dims) if isinstance(self.head, ClassificationHead) else self.num_features

    def get_classifier(self) -> nn.Module:
        """The layer that gives the logits, or the head if it is none for classification."""
        return self.head.logits if isinstance(self.head, ClassificationHead) else self.head

    def reset_classifier(self, num_classes: int, global_pool: str | None = None) -> None:
        """Replace the head by a new classification head (timm's convention); 0 classes give the last map."""
        self.num_classes = num_classes
        self.head = ClassificationHead(self.dims, num_classes) if num_classes else LastMap()

    def no_weight_decay(self) -> set[str]:
        """Names of the parameters that must not decay besides biases and norms (timm's convention)."""
        return set()
