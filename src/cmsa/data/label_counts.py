"""What the labels of a data set are, counted: how often each keypoint is marked, each class, the range of angles."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from cmsa.data.crop_source import CropSource
from cmsa.structures import COCO, KeypointSet

ANGLES = ("yaw", "pitch", "roll")


def label_names(meta: Mapping[str, Any]) -> tuple[str, ...]:
    """What a part calls its keypoints or classes, in their order; nothing where it has neither."""
    if "keypoints" in meta:
        return KeypointSet.from_json(meta["keypoints"]).names
    return tuple(meta.get("classes", ()))


def count_labels(sources: Sequence[CropSource], meta: Mapping[str, Any]) -> dict[str, str | int]:
    """A number or a range for each keypoint, class or angle, whatever the samples are labelled with.

    Args:
        sources: of a part; their labels are told apart by their names, see ``cmsa.data.samples.Sample``.
        meta: of the part.
    """
    labels = sources[0].labels if sources else {}
    if "keypoints" in labels:
        visible = np.concatenate([source.labels["keypoints"][..., 2] > 0 for source in sources])
        return dict(zip(label_names(meta) or COCO.names, visible.sum(axis=0).tolist(), strict=True))
    if "label" in labels:
        names = label_names(meta)
        counts = np.bincount(np.concatenate([source.labels["label"] for source in sources]), minlength=len(names))
        return dict(zip(names, counts.tolist(), strict=True))
    if "angles" in labels:
        angles = np.concatenate([source.labels["angles"] for source in sources])
        ends = zip(ANGLES, angles.min(axis=0), angles.max(axis=0), strict=True)
        return {name: f"{least:+.0f}° to {most:+.0f}°" for name, least, most in ends}
    return {}
