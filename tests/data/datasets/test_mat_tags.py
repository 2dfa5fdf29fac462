from __future__ import annotations

import io
from typing import Any

import numpy as np
import pytest
from scipy.io import savemat

from cmsa.data.datasets.mat_tags import check_tags

ARRAYS = {
    "pose": np.array([[0.1, 0.2, 0.3]]),
    "points": np.arange(136, dtype=np.float32).reshape(2, 68),
    "short": np.array([[1, 2]], np.uint8),
    "text": "a name",
    "complex": np.array([[1 + 2j, 3]]),
    "cells": np.array([[1, "a"], [np.ones(3), "b"]], object),
    "structure": {"a": 1, "b": {"c": np.eye(3)}},
}


def mat(arrays: dict[str, Any], **options: Any) -> bytes:
    file = io.BytesIO()
    savemat(file, arrays, **options)
    return file.getvalue()


@pytest.mark.parametrize("compressed", [False, True])
def test_whole_files_pass(compressed: bool) -> None:
    check_tags(mat(ARRAYS, do_compression=compressed))
    check_tags(mat({"one": np.array([[1.0]])}, do_compression=compressed))


def test_files_of_matlab_4_pass() -> None:
    check_tags(mat({"pose": ARRAYS["pose"]}, format="4") + bytes(200))


def test_a_flipped_bit_that_ends_scipys_reader_is_found() -> None:
    content = bytearray(mat({"pose": ARRAYS["pose"]}))
    place = content.index(b"pose") + 8 - 4 if content[content.index(b"pose") - 2] else content.index(b"pose") + 8
    assert content[place] == 9  # the type of the numbers: double
    content[place + 1] ^= 1
    with pytest.raises(ValueError, match="a tag of type 265"):
        check_tags(bytes(content))


@pytest.mark.parametrize(
    ("change", "told"),
    [
        (lambda content: content[:100], "shorter than its header"),
        (lambda content: content[:126] + b"XX" + content[128:], "no mark of its byte order"),
        (lambda content: content[:-40], r"a tag names [\d,]+ bytes of"),
        (lambda content: content[:128] + b"\x0f" + content[129:], "incorrect header check"),
        (lambda content: content + b"\x05", "ends within a tag"),
    ],
)
def test_what_is_wrong_is_named(change: Any, told: str) -> None:
    with pytest.raises(ValueError, match=told):
        check_tags(change(mat({"points": ARRAYS["points"]})))


def test_a_compressed_element_that_is_cut_short() -> None:
    content = bytearray(mat({"points": ARRAYS["points"]}, do_compression=True))
    size = int.from_bytes(content[132:136], "little") - 20
    content[132:136] = size.to_bytes(4, "little")
    with pytest.raises(ValueError, match="does not end"):
        check_tags(bytes(content[: 136 + size]))
