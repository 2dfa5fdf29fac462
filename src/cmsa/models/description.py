"""What a weights file says of itself: enough to rebuild the model and to feed it."""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, get_args

from cmsa.files.read_json import JsonError, is_number, parse_json
from cmsa.files.write_json import plain
from cmsa.geometry.crops import CropConvention
from cmsa.geometry.face_margins import FACE_MARGINS
from cmsa.structures import COCO, IMAGENET_MEAN, IMAGENET_STD, KeypointSet, keypoint_set
from cmsa.version import other_format

FORMAT = 1
KEY = "cmsa"
"""The entry of a safetensors file's metadata that holds the description."""
_COUNTS = {"num_keypoints": "keypoints", "num_classes": "classes"}
"""Options of heads that say how many numbers have a name."""
_CROP: Mapping[str, tuple[str, Callable[[Any], bool]]] = {
    "padding": ("a number above 0", lambda value: is_number(value) and value > 0),
    "convention": (f"one of {', '.join(get_args(CropConvention))}", get_args(CropConvention).__contains__),
    "antialias": ("true or false", lambda value: isinstance(value, bool)),
    "margin": (f"one of {', '.join(FACE_MARGINS)}", list(FACE_MARGINS).__contains__),
}
"""What each entry of ``crop`` must be: pictures would be cut in another way, and all answers be wrong."""


@dataclass(frozen=True)
class Description:
    """A model in words and numbers, as JSON in the metadata of its weights.

    Attributes:
        name: variant, e.g. ``cmsa_s``.
        task: its name, see ``cmsa.tasks.TASKS``.
        input_size: (H, W).
        options: further arguments of ``create_model``.
        names: keypoint names, class names, or ``yaw, pitch, roll``.
        mean, std: normalisation of RGB images in 0..1, three numbers each.
        decoding: how outputs are read, e.g. ``{"codec": "udp"}``.
        crop: how crops are cut: ``padding`` of the box, ``convention``, ``antialias``, and of faces the ``margin``.
        training: provenance: data, epochs, scores, terms of the data.
        keypoints: of pose, what the keypoints mean, see ``KeypointSet.to_json``; empty in files of before it was
            kept, whose ``names`` tell it.

    Raises:
        ValueError: an entry is of another kind.
    """

    name: str
    task: str
    input_size: tuple[int, int]
    options: dict[str, Any] = field(default_factory=dict)
    names: tuple[str, ...] = ()
    mean: tuple[float, ...] = IMAGENET_MEAN
    std: tuple[float, ...] = IMAGENET_STD
    decoding: dict[str, Any] = field(default_factory=dict)
    crop: dict[str, Any] = field(default_factory=dict)
    training: dict[str, Any] = field(default_factory=dict)
    keypoints: dict[str, Any] = field(default_factory=dict)

    def __post_init__(self) -> None:
        for name in ("input_size", "names", "mean", "std"):
            object.__setattr__(self, name, tuple(getattr(self, name)))
        self._check()

    def _check(self) -> None:
        """A file may say anything."""
        dictionaries = (self.options, self.decoding, self.crop, self.training, self.keypoints)
        checks = {
            "name and task must be text": all(isinstance(text, str) for text in (self.name, self.task)),
            "input_size must be two whole numbers from 1": len(self.input_size) == 2
            and all(isinstance(side, int) and side >= 1 for side in self.input_size),
            "names must be text": all(isinstance(name, str) for name in self.names),
            "mean and std must be three finite numbers, those of std above 0": len(self.mean) == len(self.std) == 3
            and all(map(is_number, self.mean + self.std))
            and min(self.std) > 0,
            "options, decoding, crop, training and keypoints must be objects": all(
                isinstance(entry, dict) for entry in dictionaries
            ),
        }
        for what, holds in checks.items():
            if not holds:
                raise ValueError(f"description: {what}")
        for name, value in self.crop.items():
            if name not in _CROP:
                raise ValueError(f"description: crop has no entry {name!r}; there are {', '.join(_CROP)}")
            wanted, fits = _CROP[name]
            if not fits(value):
                raise ValueError(f"description: crop.{name} must be {wanted}, got {value!r}")
        if self.names and self.keypoints and list(self.names) != list(self.keypoints.get("names", ())):
            raise ValueError("description: names and keypoints must name the same")

    def keypoint_set(self) -> KeypointSet:
        """What the keypoints mean, as the file keeps it, or as the names tell.

        Without either there are as many as the head's, without a name; 17 of them are COCO's.
        """
        if self.keypoints:
            return KeypointSet.from_json(self.keypoints)
        count = self.options.get("num_keypoints", len(COCO))
        unnamed = COCO.names if count == len(COCO) else tuple(f"keypoint_{index}" for index in range(count))
        return keypoint_set(self.names or unnamed)

    def check_names(self) -> None:
        """Refuse names for another number of keypoints or classes than the head puts out, with a ValueError."""
        named = len(self.names or self.keypoints.get("names", ()))
        for option, what in _COUNTS.items():
            count = self.options.get(option, named)
            if named and count != named:
                raise ValueError(f"there are {count} {what}, and names for {named}")

    def to_metadata(self) -> dict[str, str]:
        """Metadata of a safetensors file."""
        return {KEY: json.dumps(plain({"format": FORMAT, **asdict(self)}), allow_nan=False)}

    @classmethod
    def from_metadata(cls, metadata: dict[str, str] | None, where: str) -> Description:
        """The description in a safetensors file's metadata.

        Raises:
            ValueError: there is none, or it is of another format; ``where`` is named.
        """
        if not metadata or KEY not in metadata:
            raise ValueError(f"{where}: no {KEY!r} entry in the metadata; this is not a weights file of cmsa")
        try:
            entries = parse_json(metadata[KEY], f"{where}: the {KEY!r} entry of the metadata")
        except JsonError as error:
            raise ValueError(str(error)) from error
        if not isinstance(entries, dict):
            raise ValueError(f"{where}: the {KEY!r} entry of the metadata is not a description (it is no object)")
        found = entries.pop("format", None)
        if found != FORMAT:
            raise ValueError(f"{where}: {other_format('weights', found, FORMAT)}")
        try:
            return cls(**entries)
        except (TypeError, ValueError) as error:
            raise ValueError(f"{where}: the {KEY!r} entry of the metadata is not a description ({error})") from error
