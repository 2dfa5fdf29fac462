"""The constants that an exported file carries: all that one needs to feed it and to read its output."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from cmsa.edge.constants import FORMAT
from cmsa.export.graph import ExportedGraph
from cmsa.models.base import BaseNetwork
from cmsa.models.weights import describe
from cmsa.runtime.feeding import crop_spec, face_margin_of


def constants(
    model: BaseNetwork, graph: ExportedGraph, batch: int | None, precision: str = "float32"
) -> dict[str, Any]:
    """What the file says of itself.

    Args:
        model: that was exported.
        graph: as it was exported.
        batch: its fixed number of images, None where any number goes.
        precision: ``float32`` or ``int8``.
    """
    description, crop, margin = describe(model), crop_spec(model, graph.task.padding), face_margin_of(model)
    height, width = model.input_size
    return {
        "format": FORMAT,
        "model": asdict(description),
        "precision": precision,
        "input": {
            "name": "images",
            "layout": "NHWC" if graph.takes_pixels else "NCHW",
            "type": "uint8" if graph.takes_pixels else "float32",
            "colour": "RGB",
            "batch": batch or "dynamic",
            "height": height,
            "width": width,
            "normalised_in_graph": graph.takes_pixels,
            "normalisation": "(pixel / 255 - mean) / std, for each channel",
            "mean": description.mean,
            "std": description.std,
        },
        "crop": {
            "padding": crop.padding,
            "convention": crop.convention,
            "antialias": crop.antialias,
            "margin": asdict(margin),
        },
        "outputs": {output.name: output.shape for output in graph.outputs},
        "decoded_in_graph": graph.decodes,
        "decoding": graph.task.constants(),
    }


def to_text(entries: dict[str, Any]) -> str:
    """The entries as they are written into a file."""
    return json.dumps(entries, ensure_ascii=False)
