import os
from pathlib import Path

import numpy as np
import pytest

from cmsa.inference.files.drawing import PicturePlaces, save_picture, shortened


def test_annotated_pictures_never_meet_each_other_or_an_input(tmp_path):
    places = PicturePlaces(tmp_path, ".png", [str(tmp_path / "a.png")])
    taken = [places.take(Path(name)) for name in ("a", "a", "sub/a", "a", "a.b")]
    assert taken == [tmp_path / name for name in ("a-2.png", "a-3.png", "sub/a.png", "a-4.png", "a.b.png")]


def test_what_an_earlier_run_drew_stays(tmp_path):
    for name in ("a.png", "a-2.png"):
        (tmp_path / name).write_bytes(b"drawn")
    assert PicturePlaces(tmp_path, ".png").take(Path("a")) == tmp_path / "a.png"
    assert PicturePlaces(tmp_path, ".png", keep=True).take(Path("a")) == tmp_path / "a-3.png"


@pytest.mark.parametrize("name", ["b" * 250, "木" * 80, os.fsdecode(b"\xe9" * 230)])
def test_long_names_are_shortened_and_stay_apart(tmp_path, name):
    short = shortened(name)
    assert len(os.fsencode(short)) <= 220
    assert short != shortened(name + "c")
    assert shortened("weiß") == "weiß"
    save_picture(np.zeros((4, 5, 3), np.uint8), tmp_path / f"{short}.jpg")


def test_nothing_half_written_stays(tmp_path):
    with pytest.raises(Exception, match=r".+"):
        save_picture("no picture", tmp_path / "a.jpg")
    assert list(tmp_path.iterdir()) == []
