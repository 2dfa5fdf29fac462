"""The tags of a MATLAB 5 file, checked before SciPy reads it: a flipped bit in one would end the process there.

Such a file is a header of 128 bytes and elements, each a tag (type, bytes) and its data, padded to eight bytes; an
array is an element of elements, and a compressed element holds another one (MathWorks, MAT-File Format, version 5).
"""

from __future__ import annotations

import struct
import zlib

_HEADER = 128
_NUMBERS = {1, 2, 3, 4, 5, 6, 7, 9, 12, 13, 16, 17, 18}
"""Types of elements that hold numbers or letters."""
_ARRAY, _COMPRESSED = 14, 15
_DEEPEST = 20
_LARGEST = 1 << 28
"""Bytes of one unpacked element."""


def check_tags(content: bytes) -> None:
    """Refuse a file that SciPy's reader cannot be trusted with. Files of MATLAB 4, without tags, are let pass.

    Raises:
        ValueError: a tag names no type, or more bytes than there are.
    """
    if len(content) < _HEADER:
        raise ValueError("shorter than its header")
    if 0 in content[:4]:
        return
    mark = content[126:128]
    if mark not in (b"IM", b"MI"):
        raise ValueError("no mark of its byte order")
    _check(content[_HEADER:], "<" if mark == b"IM" else ">", 0)


def _check(data: bytes, order: str, depth: int) -> None:
    """Every element of ``data``."""
    if depth > _DEEPEST:
        raise ValueError("arrays within arrays without an end")
    place = 0
    while place + 8 <= len(data):
        kind, size = struct.unpack_from(f"{order}II", data, place)
        start, stop = place + 8, place + 8 + size
        if kind >> 16:
            # Up to four bytes lie in the tag itself.
            size, kind = kind >> 16, kind & 0xFFFF
            start, stop = place + 4, place + 4 + size
            if size > 4 or kind not in _NUMBERS:
                raise ValueError(f"a tag of type {kind} with {size} bytes")
            place += 8
            continue
        if stop > len(data):
            raise ValueError(f"a tag names {size:,} bytes of {len(data) - start:,}")
        if kind == _COMPRESSED and depth == 0:
            _check(_unpacked(data[start:stop]), order, depth + 1)
            place = stop
            continue
        if kind == _ARRAY:
            _check(data[start:stop], order, depth + 1)
        elif kind not in _NUMBERS:
            raise ValueError(f"a tag of type {kind}")
        place = stop + -stop % 8
    if data[place:].strip(b"\0"):
        raise ValueError("ends within a tag")


def _unpacked(data: bytes) -> bytes:
    unpacker = zlib.decompressobj()
    try:
        content = unpacker.decompress(data, _LARGEST)
    except zlib.error as error:
        raise ValueError(str(error)) from error
    if not unpacker.eof:
        raise ValueError("a compressed element that does not end")
    return content
