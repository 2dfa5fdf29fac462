"""Detectors of ``torchvision.models.detection``, with the weights that torchvision downloads and checks."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import torch

from cmsa.guidance.suggestion import no_such
from cmsa.inference.detectors.detections import Detections, DetectorError, Picture, from_corners
from cmsa.runtime.devices import usable_device

USUAL = "ssdlite320_mobilenet_v3_large"
"""The smallest of torchvision's."""
_PERSON = 1


class TorchvisionDetector:
    """A detector of torchvision with its default weights, downloaded when first asked for.

    Args:
        name: of ``torchvision.models.list_models(torchvision.models.detection)``.
        classes: COCO category ids that count; None takes people, an empty sequence all.
        score: the least score.
        device: where to run.

    Raises:
        DetectorError: there is no such model, or its weights cannot be downloaded.
    """

    def __init__(
        self, name: str = USUAL, *, classes: Sequence[int] | None = None, score: float = 0.35, device: str = "cpu"
    ) -> None:
        from torchvision import models  # type: ignore[import-untyped]

        try:
            self.device = usable_device(device)
        except ValueError as error:
            raise DetectorError(f"torchvision:{name}: {error}") from error
        names = models.list_models(module=models.detection)
        if name not in names:
            raise DetectorError(f"torchvision has {no_such('detector', name, names)}")
        weights: Any = models.get_model_weights(name).DEFAULT
        try:
            self.model: Any = models.get_model(name, weights=weights).eval().to(self.device)
        except OSError as error:
            url = getattr(weights, "url", "")
            raise DetectorError(
                f"torchvision's weights for {name} cannot be downloaded ({error}): fetch {url} on a machine with a "
                f"network and put it into {torch.hub.get_dir()}/checkpoints, or take a detector that needs no "
                "download: motion, FILE.onnx or FILE.json"
            ) from error
        self.source = f"torchvision:{name}"
        self.score = score
        self.labels: list[str] = list(weights.meta["categories"]) if weights is not None else []
        beyond = [number for number in classes or () if self.labels and not 0 <= number < len(self.labels)]
        if beyond:
            raise DetectorError(f"torchvision:{name}: classes are 0 to {len(self.labels) - 1}, got {beyond}")
        self._wanted = frozenset([_PERSON] if classes is None else classes) or None

    @torch.inference_mode()
    def __call__(self, picture: Picture, name: str | None = None) -> Detections:
        """Find the wanted classes."""
        image = torch.from_numpy(np.ascontiguousarray(picture)).to(self.device).permute(2, 0, 1).float() / 255
        found = {key: value.cpu().numpy() for key, value in self.model([image])[0].items()}
        kept = found["scores"] >= self.score
        if self._wanted is not None:
            kept &= np.isin(found["labels"], sorted(self._wanted))
        labels = [self._label(int(number)) for number in found["labels"][kept]]
        return from_corners(found["boxes"][kept], found["scores"][kept], labels, self.source)

    def _label(self, number: int) -> str:
        return self.labels[number] if number < len(self.labels) else str(number)
