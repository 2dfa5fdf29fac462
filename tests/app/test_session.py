from __future__ import annotations

import time
from dataclasses import replace

import numpy as np
import pytest

from cmsa import create_model, save_weights
from cmsa.app.boxes import MOST
from cmsa.app.session import Session, pixel_at, render, render_pixel
from cmsa.app.tabs import TABS
from cmsa.app.viewer import Viewer
from cmsa.data.boxes import BoxesError
from cmsa.inference.detectors import Detections
from cmsa.structures import Box

PEOPLE = (Box(318, 92, 56, 151), Box(384, 129, 50, 135))
TAB = {tab.task: tab for tab in TABS}


@pytest.fixture
def session(park):
    return Session(park, PEOPLE, "given")


@pytest.mark.parametrize("task", TAB)
def test_a_tab_shows_all_of_it(task, viewers, session):
    view = render(TAB[task], viewers[task], session)
    assert view.result.shape == (516, 774, 3)
    assert view.rows == [[318, 92, 56, 151], [384, 129, 50, 135]]
    for picture in (view.crop, view.given, view.evidence, view.attention):
        assert picture.dtype == np.uint8
        assert picture.std() > 10
    assert f"2 boxes (given), {TAB[task].noun} 1 is looked at" in view.status
    assert view.scale == 1


def test_a_lower_resolution_changes_what_is_seen_and_said(viewers, session):
    fine, coarse = (render(TAB["pose"], viewers["pose"], replace(session, height=height)) for height in (32, 16))
    words = [view.status.replace("\N{MULTIPLICATION SIGN}", "x") for view in (fine, coarse)]
    assert "gets 32x24 pixels (height x width), as it is" in words[0]
    assert "gets 16x12 pixels (height x width), resampled to the 32x24" in words[1]
    assert not np.array_equal(fine.result, coarse.result)
    assert not np.array_equal(fine.evidence, coarse.evidence)
    # One pixel of the coarse crop is a square of one colour.
    side = coarse.crop.shape[0] // 16
    np.testing.assert_array_equal(coarse.crop, coarse.crop[::side, ::side].repeat(side, 0).repeat(side, 1))


def test_without_boxes_it_says_what_was_done(viewers, park):
    view = render(TAB["pose"], viewers["pose"], Session(park))
    assert "No box: the whole picture was taken as one person." in view.status
    assert view.rows == []


def test_a_click_chooses_the_box_there(session):
    assert session.click((410, 200), "choose").chosen == 1
    assert replace(session, scale=2.0).click((205, 100), "choose").chosen == 1
    assert session.click((5, 5), "choose") is session


def test_two_clicks_draw_a_box(viewers, session):
    half = session.click((10, 400), "draw")
    assert half.corner == (10, 400)
    assert "First corner set" in render(TAB["pose"], viewers["pose"], half).status
    drawn = half.click((109, 449), "draw")
    assert drawn.boxes == (*PEOPLE, Box(10, 400, 100, 50))
    assert (drawn.chosen, drawn.corner) == (2, None)


def test_there_are_not_more_boxes_than_can_be_shown_quickly(park):
    full = Session(park, PEOPLE[:1] * MOST, corner=(3, 3))
    with pytest.raises(BoxesError, match="20 boxes already"):
        full.click((50, 50), "draw")


def test_an_edited_table_replaces_the_boxes(session):
    edited = replace(session, chosen=1).with_rows([[1, 2, 30, 40]])
    assert (edited.boxes, edited.chosen) == ((Box(1, 2, 30, 40),), 0)
    assert session.with_rows([]).boxes == ()


def test_what_a_detector_finds_replaces_the_boxes(session):
    class Finder:
        source = "finder"

        def __call__(self, picture, name=None):
            boxes = Box(1.0, 2.0, 30.0, 40.0), Box(5000.0, 0.0, 3.0, 3.0)
            return Detections(boxes, (0.9, 0.8), ("person", "person"), self.source)

    found = session.detect(Finder())
    assert (found.boxes, found.source) == ((Box(1, 2, 30, 40),), "finder")


@pytest.mark.parametrize("height", [15, 129, 10**9])
def test_nobody_asks_for_huge_crops(park, height):
    with pytest.raises(ValueError, match="crops are 16 to 128 pixels high"):
        Session(park, height=height)


def test_a_clicked_pixel_moves_the_attention_alone(viewers, session):
    moved = replace(session, pixel=(3, 5), chosen=1)
    given, attention = render_pixel(viewers["pose"], moved)
    view = render(TAB["pose"], viewers["pose"], moved)
    np.testing.assert_array_equal(given, view.given)
    # Rounding differs a little between a batch of one and of two.
    assert np.abs(attention.astype(int) - view.attention).mean() < 0.5
    assert not np.array_equal(attention, render_pixel(viewers["pose"], replace(moved, pixel=(20, 5)))[1])


def test_points_of_the_enlarged_crop_are_pixels():
    assert pixel_at((0, 0), (32, 24)) == (0, 0)
    assert pixel_at((13.9, 14), (32, 24)) == (0, 1)
    assert pixel_at((9999, -5), (32, 24)) == (23, 0)


@pytest.mark.slow
@pytest.mark.parametrize("task", TAB)
def test_a_change_costs_little_more_than_looking(task, viewers, session):
    """CPU time of this thread, the best of five each: drawing the tab is a small multiple of cutting and predicting."""

    def cost(work):
        times = []
        for height in (16, 32, 48, 64, 128):
            start = time.thread_time()
            work(height)
            times.append(time.thread_time() - start)
        return min(times)

    viewer = viewers[task]
    looking = cost(lambda height: viewer.look(session.picture, list(session.boxes), height))
    changing = cost(lambda height: render(TAB[task], viewer, replace(session, height=height)))
    assert changing < 6 * looking


@pytest.mark.parametrize(
    ("name", "options"), [("timm/mobilenetv3_small_050", {}), ("cmsa_n", {"head": "simcc"}), ("cmsa_n", {})]
)
def test_other_networks_and_codecs_are_shown_too(session, tmp_path, name, options):
    model = create_model(name, task="pose", input_size=(64, 48), **options)
    decoding = {"codec": "simcc" if options else "udp"}
    save_weights(tmp_path / "own.safetensors", model, decoding=decoding)
    view = render(TAB["pose"], Viewer(tmp_path / "own.safetensors"), session)
    assert (view.attention is None) == name.startswith("timm")
    assert view.evidence.std() > 10
