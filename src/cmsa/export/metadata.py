"""The constants that an exported file carries: all that one needs to feed it and to read its output."""

from __future__ import annotations

import json
from dataclasses import asdict
from typing import Any

from cmsa.export.graph import ExportedGraph
from cmsa.files.read_json import parse_json
from cmsa.models.base import BaseNetwork
from cmsa.models.description import other_format
from cmsa.models.weights import describe
from cmsa.runtime.feeding import crop_spec, face_margin_of

FORMAT = 1
KEY = "cmsa"
"""The entry of the file's metadata, a JSON object."""


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


def from_text(text: str | None, where: str) -> dict[str, Any]:
    """The entries of a file.

    Raises:
        ValueError: there are none, or of another format; ``where`` is named.
    """
    if not text:
        raise ValueError(f"{where}: no {KEY!r} entry in the metadata; this is not a file of cmsa export")
    entries = parse_json(text, f"{where}: the {KEY!r} entry of the metadata")
    if not isinstance(entries, dict):
        raise ValueError(f"{where}: the {KEY!r} entry of the metadata is damaged (it is no object)")
    if entries.get("format") != FORMAT:
        raise ValueError(f"{where}: {other_format('exported', entries.get('format'), FORMAT)}")
    return entries
