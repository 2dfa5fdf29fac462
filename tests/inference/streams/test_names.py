import os
from pathlib import Path

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from cmsa.inference.streams.names import public_name

SECRET = st.text(st.characters(codec="ascii", categories=["L", "N", "P", "S"]), min_size=4, max_size=12)


@pytest.mark.parametrize(
    ("address", "name"),
    [
        ("rtsp://admin:p4ss@10.0.0.7:554/live/1", "rtsp://***@10.0.0.7:554/live/1"),
        ("rtsp://10.0.0.7/cam?channel=1&subtype=0", "rtsp://10.0.0.7/cam?channel=1&subtype=0"),
        ("http://10.0.0.7/video?user=admin&pwd=1234&size=2", "http://10.0.0.7/video?user=***&pwd=***&size=2"),
        (
            "rtsp://10.0.0.7/user=me_password=tl_pb/6_channel=1.sdp",
            "rtsp://10.0.0.7/user=***_password=***_channel=1.sdp",
        ),
        ("https://host/x.mp4?X-Amz-Signature=abc&token=def", "https://host/x.mp4?X-Amz-Signature=***&token=***"),
        ("photos/user=me@home.jpg", "photos/user=me@home.jpg"),
    ],
)
def test_names_of_sources(address, name):
    assert public_name(address) == name


@given(SECRET)
@example("a/b:c@d?e#f")
def test_a_password_of_any_letters_is_hidden(password):
    name = public_name(f"rtsp://user0:{password}@10.0.0.7/live")
    assert name == "rtsp://***@10.0.0.7/live"


def test_bytes_that_are_no_text_are_written_out():
    assert public_name(Path(os.fsdecode(b"caf\xe9.png"))) == "caf\\xe9.png"
    assert public_name("weiß/木.png") == "weiß/木.png"
