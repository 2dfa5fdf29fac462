from __future__ import annotations

import contextlib

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from cmsa.serve.form import MOST_PARTS, read_form
from cmsa.serve.refusal import Refusal

KNOWN = "picture", "boxes"


@given(st.binary(max_size=3000), st.text(max_size=50))
@settings(max_examples=100)
def test_parts_come_back_to_the_byte(form, picture, boxes):
    parts = read_form(*form(picture=("a b.png", picture), boxes=boxes), KNOWN)
    assert parts["picture"].content == picture
    assert parts["picture"].filename == "a b.png"
    assert parts["boxes"].content == boxes.encode()
    assert parts["boxes"].filename is None


@pytest.mark.parametrize("picture", [b"--XyZ", b"\r\n--Xy\r\n--X", b"\r\n" * 40, b"\r\n--", b"\r\n-" * 9])
def test_what_looks_like_a_boundary_is_content(form, picture):
    assert read_form(*form(picture=picture), KNOWN)["picture"].content == picture


def test_faults_are_said(form):
    body, kind = form(picture=b"abc")
    for wrong, type_, words in [
        (body, "multipart/form-data", "must name its boundary"),
        (body[:-6], kind, "is cut short"),
        (b"", kind, "is cut short"),
        (b"hello", kind, "is no multipart form"),
        (form(image=b"abc")[0], kind, "no field 'image'; there are picture, boxes"),
        (body[:-9] + b"\r\n" + body, kind, "is given twice"),
        (
            body[:-7] + (b"\r\n" + body[:-9]) * MOST_PARTS + b"--XyZ--\r\n",
            kind,
            "is given twice|has more than 16 parts",
        ),
        (body, "multipart/form-data; boundary=" + "x" * 5000, "is no multipart form"),
    ]:
        with pytest.raises(Refusal, match=words) as told:
            read_form(wrong, type_, KNOWN)
        assert told.value.status == 422


@given(st.data())
@settings(max_examples=200)
def test_damage_is_refused_or_read(form, data):
    body, kind = form(picture=("a.png", b"\x00\xff" * 20), boxes='{"xywh": []}')
    damaged = bytearray(body)
    for place, value in data.draw(st.lists(st.tuples(st.integers(0, len(body) - 1), st.integers(0, 255)), max_size=4)):
        damaged[place] = value
    # Any other error fails the test.
    with contextlib.suppress(Refusal):
        assert set(read_form(bytes(damaged), kind, KNOWN)) <= set(KNOWN)
