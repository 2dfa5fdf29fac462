"""What goes in and comes out, as the OpenAPI description says it."""

from __future__ import annotations

from typing import Any

from cmsa.inference.jsonl import Record
from cmsa.serve.boxes import boxes_schema

Schema = dict[str, Any]

PICTURE_TYPES = ("image/jpeg", "image/png", "image/webp", "image/bmp", "image/gif", "image/tiff")
BINARY_TYPE = "application/octet-stream"
FORM_TYPE = "multipart/form-data"
TAKEN = (*PICTURE_TYPES, BINARY_TYPE, FORM_TYPE)

_ERROR: Schema = {
    "type": "object",
    "properties": {
        "error": {"type": "string", "description": "What was wrong, what was expected and what came."},
        "where": {"type": ["string", "null"], "description": "The part of the request, e.g. boxes.xywh[3]."},
    },
    "required": ["error", "where"],
    "additionalProperties": False,
}
_REFUSALS = {
    401: "The bearer token is missing or wrong.",
    408: "The body came too slowly.",
    413: "The body, or the picture in it, is too large.",
    415: "The body is of another kind.",
    422: "The picture, its boxes or a parameter cannot be used.",
    429: "Too much waits already; Retry-After says when to ask again.",
    500: "The server failed; its log says how.",
    503: "The network is not ready yet, or the server ends.",
    504: "There was no answer in time.",
}


def refusals(*statuses: int) -> dict[int | str, Schema]:
    """The responses of an operation that has no other than these, for FastAPI."""
    content = {"application/json": {"schema": _ERROR}}
    retry = {"Retry-After": {"schema": {"type": "string"}, "description": "Seconds."}}
    return {
        status: {"description": _REFUSALS[status], "content": content}
        | ({"headers": retry} if status in (429, 503, 504) else {})
        for status in statuses
    }


def request_schema(most_boxes: int) -> Schema:
    """The picture and its boxes as they are sent, for ``openapi_extra``."""
    boxes = boxes_schema(most_boxes)
    binary: Schema = {"schema": {"type": "string", "format": "binary"}}
    form: Schema = {
        "schema": {
            "type": "object",
            "properties": {"picture": {"type": "string", "format": "binary"}, "boxes": boxes},
            "required": ["picture"],
            "additionalProperties": False,
        },
        "encoding": {"boxes": {"contentType": "application/json"}},
    }
    return {
        "parameters": [
            {
                "name": "boxes",
                "in": "query",
                "required": False,
                "description": "Where to look, in pixels of the picture after its EXIF turn.",
                "content": {"application/json": {"schema": boxes}},
            }
        ],
        "requestBody": {
            "required": True,
            "description": f"An encoded picture, or a form that holds one. {_kinds()}",
            "content": dict.fromkeys((*PICTURE_TYPES, BINARY_TYPE), binary) | {FORM_TYPE: form},
        },
    }


def answer_schema(example: Record) -> Schema:
    """A line of results.

    Args:
        example: what the task keeps of a value, see ``Service.example``.
    """
    integer, text, number = {"type": "integer"}, {"type": "string"}, {"type": "number"}
    box = {"type": "array", "items": number, "minItems": 4, "maxItems": 4, "description": "x, y, width, height"}
    return _object(
        {
            "file": text,
            "image_id": integer,
            "height": integer,
            "width": integer,
            "detector": {"type": "string", "description": "Who says where the boxes are."},
            "predictions": {
                "type": "array",
                "items": _object({"bbox": box, "box_score": number} | _properties(example)),
            },
            "skipped": {
                "type": "array",
                "description": "Boxes that could not be used, by their places, and why.",
                "items": _object({"box": integer, "reason": text}),
            },
        },
        optional={"skipped"},
    )


def form_of(example: object) -> Schema:
    """The JSON Schema of what looks like an example; a number may be null, for JSON has no NaN."""
    if isinstance(example, dict):
        return _object(_properties(example))
    if isinstance(example, list):
        return {"type": "array", "items": form_of(example[0]) if example else {}}
    if isinstance(example, bool):
        return {"type": "boolean"}
    if isinstance(example, str):
        return {"type": "string"}
    if isinstance(example, int):
        return {"type": "integer"}
    return {"type": ["number", "null"]}


def _properties(example: Record) -> Schema:
    return {name: form_of(value) for name, value in example.items()}


def _object(properties: Schema, optional: set[str] | None = None) -> Schema:
    required = [name for name in properties if name not in (optional or set())]
    return {"type": "object", "properties": properties, "required": required, "additionalProperties": False}


def _kinds() -> str:
    return "Kinds: " + ", ".join(kind.removeprefix("image/") for kind in PICTURE_TYPES) + "."
