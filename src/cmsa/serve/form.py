"""A multipart form -> its parts, out of memory and within bounds."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from python_multipart import MultipartParser
from python_multipart.exceptions import FormParserError
from python_multipart.multipart import parse_options_header

from cmsa.serve.refusal import Refusal

if TYPE_CHECKING:
    from python_multipart.multipart import MultipartCallbacks

MOST_PARTS = 16


@dataclass
class Part:
    """A part of a form.

    Attributes:
        name: of the field.
        filename: of a file, as the client calls it.
        content: what it holds.
    """

    name: str = ""
    filename: str | None = None
    content: bytes = b""


@dataclass
class _Reader:
    """What the parser calls."""

    body: bytes
    parts: list[Part] = field(default_factory=list)
    ended: bool = False
    _spans: list[tuple[int, int]] = field(default_factory=list)
    _header: list[bytes] = field(default_factory=lambda: [b"", b""])

    def on_part_begin(self) -> None:
        if len(self.parts) == MOST_PARTS:
            raise Refusal(422, f"has more than {MOST_PARTS} parts", "body")
        self.parts.append(Part())
        self._spans = []

    def on_header_begin(self) -> None:
        self._header = [b"", b""]

    def on_header_field(self, data: bytes, start: int, end: int) -> None:
        self._header[0] += data[start:end]

    def on_header_value(self, data: bytes, start: int, end: int) -> None:
        self._header[1] += data[start:end]

    def on_header_end(self) -> None:
        if self._header[0].strip().lower() != b"content-disposition":
            return
        _, options = parse_options_header(self._header[1])
        part = self.parts[-1]
        part.name = options.get(b"name", b"").decode("utf-8", "replace")
        if b"filename" in options:
            part.filename = options[b"filename"].decode("utf-8", "replace")

    def on_part_data(self, data: bytes, start: int, end: int) -> None:
        self._spans.append((start, end))

    def on_part_end(self) -> None:
        self.parts[-1].content = b"".join(self.body[start:end] for start, end in self._spans)

    def on_end(self) -> None:
        self.ended = True


def read_form(body: bytes, content_type: str, known: tuple[str, ...]) -> dict[str, Part]:
    """The parts of a form by their names.

    Args:
        body: all of it.
        content_type: of the request, which tells the boundary.
        known: names that there may be.

    Raises:
        Refusal: it is no whole form, a part has another name, or two have one.
    """
    boundary = parse_options_header(content_type)[1].get(b"boundary")
    if not boundary:
        raise Refusal(422, "multipart/form-data must name its boundary", "header content-type")
    reader = _Reader(body)
    callbacks: MultipartCallbacks = {
        "on_part_begin": reader.on_part_begin,
        "on_header_begin": reader.on_header_begin,
        "on_header_field": reader.on_header_field,
        "on_header_value": reader.on_header_value,
        "on_header_end": reader.on_header_end,
        "on_part_data": reader.on_part_data,
        "on_part_end": reader.on_part_end,
        "on_end": reader.on_end,
    }
    try:
        parser = MultipartParser(boundary, callbacks)
        parser.write(body)
        parser.finalize()
    except FormParserError as error:
        raise Refusal(422, f"is no multipart form ({error})", "body") from error
    if not reader.ended:
        raise Refusal(422, "the multipart form is cut short", "body")
    parts: dict[str, Part] = {}
    for part in reader.parts:
        if part.name not in known:
            raise Refusal(422, f"no field {part.name!r}; there are {', '.join(known)}", "body")
        if part.name in parts:
            raise Refusal(422, "is given twice", part.name)
        parts[part.name] = part
    return parts
