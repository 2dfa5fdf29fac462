"""The page, laid out with Gradio: components, and which of them call what. What is shown is made by ``session``."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any

from cmsa.app.boxes import HEADINGS
from cmsa.app.examples import find_examples
from cmsa.app.session import SHORTEST, TALLEST, Session, pixel_at, render, render_pixel
from cmsa.app.tabs import TABS, Tab
from cmsa.app.uploads import Limits, UploadError, read_upload
from cmsa.app.viewer import Viewer
from cmsa.data.boxes import BoxesError
from cmsa.data.image import read_image
from cmsa.data.untrusted import FORMATS
from cmsa.guidance.extras import load
from cmsa.inference.detectors import Detector, DetectorError

STEP, USUAL = 4, 32
"""Of the crop's height, in pixels."""

_TOLD = UploadError, BoxesError, DetectorError
_KEPT_SECONDS = 3600
_HEAD = "# cmsa: vision on low-resolution crops\nLower the resolution, and see what the network still knows."

logger = logging.getLogger(__name__)


@dataclass(frozen=True)
class Settings:
    """What the page offers.

    Attributes:
        weights: of each task, by name, the first one chosen at the start; tasks without weights have no tab.
        detectors: of each task that has one.
        examples: folder of photos; None for none.
        limits: of uploads.
    """

    weights: Mapping[str, Mapping[str, Viewer]]
    detectors: Mapping[str, Detector] = field(default_factory=dict)
    examples: Path | None = None
    limits: Limits = field(default_factory=Limits)


def import_gradio() -> Any:
    """Gradio, told to keep quiet.

    Raises:
        ModuleNotFoundError: it is not installed; the message says how to.
    """
    os.environ["GRADIO_ANALYTICS_ENABLED"] = "False"
    return load("gradio", "the page")


def build(settings: Settings) -> Any:
    """The page, a ``gradio.Blocks``.

    Raises:
        ModuleNotFoundError: Gradio is not installed.
        ValueError: there are no weights at all.
    """
    gradio = import_gradio()
    tabs = [tab for tab in TABS if settings.weights.get(tab.task)]
    if not tabs:
        raise ValueError("there are no weights to show")
    with gradio.Blocks(title="cmsa", analytics_enabled=False, delete_cache=(600, _KEPT_SECONDS)) as page:
        gradio.Markdown(_HEAD)
        for tab in tabs:
            with gradio.Tab(tab.title):
                _lay_out(gradio, page, tab, settings)
    page.queue(default_concurrency_limit=1, max_size=32)
    return page


def _lay_out(gradio: Any, page: Any, tab: Tab, settings: Settings) -> None:
    viewers, detector = settings.weights[tab.task], settings.detectors.get(tab.task)
    examples = find_examples(settings.examples, tab.folder, tab.boxes)

    def picture(name: str, title: str, kind: str = "png", **options: Any) -> Any:
        # A label of Gradio's would lie over the picture.
        gradio.Markdown(title, elem_classes="title")
        return gradio.Image(
            show_label=False,
            interactive=False,
            buttons=["fullscreen"],
            format=kind,
            elem_id=f"{tab.task}-{name}",
            **options,
        )

    state = gradio.State(None, time_to_live=_KEPT_SECONDS)
    with gradio.Row():
        with gradio.Column(scale=1, min_width=280):
            upload = gradio.Image(
                label=f"Photo: {', '.join(FORMATS[:3])}, at most {settings.limits.megabytes:g} MB",
                type="filepath",
                sources=["upload", "webcam", "clipboard"],
                # A mirrored picture would exchange left and right.
                webcam_options=gradio.WebcamOptions(mirror=False),
                height=200,
                buttons=[],
                elem_id=f"{tab.task}-upload",
            )
            _take_files_as_they_are(gradio, upload)
            shelf = gradio.Dataset(
                components=[gradio.Image(visible=False)],
                samples=[[str(example.path)] for example in examples],
                type="index",
                label="Examples",
                visible=bool(examples),
                elem_id=f"{tab.task}-examples",
            )
            weights = gradio.Dropdown(list(viewers), value=next(iter(viewers)), label="Weights", interactive=True)
            clicks = gradio.Radio(
                [(f"choose a {tab.noun}", "choose"), ("draw a box, by two corners", "draw")],
                value="choose",
                label="Clicks on the picture",
                elem_id=f"{tab.task}-clicks",
            )
            detect = gradio.Button(f"Find by {detector.source}" if detector else "", visible=detector is not None)
            table = gradio.Dataframe(
                headers=list(HEADINGS),
                datatype="number",
                column_count=len(HEADINGS),
                type="array",
                interactive=True,
                label="Boxes, in pixels of the photo",
                elem_id=f"{tab.task}-boxes",
            )
        with gradio.Column(scale=4):
            height = gradio.Slider(
                SHORTEST,
                TALLEST,
                USUAL,
                step=STEP,
                label="Resolution: height of the crop in pixels",
                elem_id=f"{tab.task}-height",
            )
            status = gradio.Markdown("Choose a photo.", elem_id=f"{tab.task}-status")
            with gradio.Row():
                with gradio.Column(scale=3):
                    result = picture("result", f"Result. {tab.legend}", "jpeg", height=500)
                with gradio.Column(scale=1, min_width=220):
                    crop = picture("crop", "Seen at this resolution", height=226)
                    given = picture("given", "The network's input: click it", height=226)
            evidence = picture("evidence", tab.evidence_title)
            attention = picture(
                "attention",
                "Where each head group looks from the green pixel; it sees no further than the white window",
            )
            blocks = gradio.Radio(
                [("the first block", "first"), ("the last block", "last"), ("the mean of all blocks", "mean")],
                value="last",
                label="Attention of each stage",
                elem_id=f"{tab.task}-blocks",
            )
    shown = [state, status, table, result, crop, given, evidence, attention]

    def show(session: Session, name: str) -> list[Any]:
        view = render(tab, viewers[name], session)
        kept = replace(session, scale=view.scale)
        return [kept, view.status, view.rows, view.result, view.crop, view.given, view.evidence, view.attention]

    def say(message: str) -> list[Any]:
        return [gradio.skip(), f"⚠️ {message}", *[gradio.skip()] * (len(shown) - 2)]

    told = _teller(say)

    @told
    def open_upload(path: str | None, rows: int, name: str, which: Any) -> list[Any]:
        if path is None:
            return say("Choose a photo.")
        session = Session(read_upload(path, settings.limits), height=rows, blocks=which)
        return show(session.detect(detector) if detector else session, name)

    @told
    def open_example(place: int, rows: int, name: str, which: Any) -> list[Any]:
        example = examples[place]
        session = Session(read_image(example.path), height=rows, blocks=which)
        return show(session.with_boxes(example.boxes, "given"), name)

    @told
    def edit(session: Session | None, rows: Sequence[Sequence[Any]], name: str) -> list[Any]:
        return show(session.with_rows(rows), name) if session else say("Choose a photo first.")

    @told
    def find(session: Session | None, name: str) -> list[Any]:
        if session is None or detector is None:
            return say("Choose a photo first.")
        found = session.detect(detector)
        view = show(found, name)
        if not found.boxes:
            view[1] = f"{detector.source} found nothing. {view[1]}"
        return view

    @told
    def click(session: Session | None, how: Any, name: str, event: Any) -> list[Any]:
        return show(session.click(tuple(event.index), how), name) if session else say("Choose a photo first.")

    @told
    def change(session: Session | None, rows: int, name: str) -> list[Any]:
        return show(replace(session, height=rows), name) if session else say("Choose a photo first.")

    def look(session: Session | None, name: str, which: Any) -> list[Any]:
        if session is None:
            return [None, None, None]
        kept = replace(session, blocks=which)
        return [kept, *render_pixel(viewers[name], kept)]

    def look_from(session: Session | None, name: str, which: Any, event: Any) -> list[Any]:
        if session is None:
            return [None, None, None]
        return look(replace(session, pixel=pixel_at(event.index, viewers[name].input_size)), name, which)

    for handler in (click, look_from):
        # Gradio reads from the signature who wants to know what was clicked.
        handler.__annotations__["event"] = gradio.SelectData
    quick = {"show_progress": "hidden", "api_visibility": "private"}
    upload.input(open_upload, [upload, height, weights, blocks], shown, **quick)
    shelf.click(open_example, [shelf, height, weights, blocks], shown, **quick)
    table.input(edit, [state, table, weights], shown, **quick)
    detect.click(find, [state, weights], shown, **quick)
    result.select(click, [state, clicks, weights], shown, **quick)
    # Of the positions of a slider that is being dragged, the last one counts.
    gradio.on(
        [height.input, weights.input], change, [state, height, weights], shown, trigger_mode="always_last", **quick
    )
    given.select(look_from, [state, weights, blocks], [state, given, attention], **quick)
    blocks.input(look, [state, weights, blocks], [state, given, attention], **quick)
    if examples:
        page.load(
            lambda rows, name, which: open_example(0, rows, name, which), [height, weights, blocks], shown, **quick
        )


def _teller(say: Callable[[str], list[Any]]) -> Callable[[Callable[..., list[Any]]], Callable[..., list[Any]]]:
    """Errors of a handler become words on the page: what a visitor can mend is told, the rest is logged."""

    def told(handler: Callable[..., list[Any]]) -> Callable[..., list[Any]]:
        @wraps(handler)
        def call(*given: Any) -> list[Any]:
            try:
                return handler(*given)
            except _TOLD as error:
                return say(str(error))
            except Exception:
                logger.exception("the page could not answer")
                return say("Something went wrong on the server, and was logged there.")

        return call

    return told


def _take_files_as_they_are(gradio: Any, upload: Any) -> None:
    """Let an upload arrive as its path, and refuse addresses.

    Gradio opens a picture before a handler sees it, so that a damaged one is an error without words; and it downloads
    what a client names by an address.
    """
    keep: Callable[..., Any] = upload.async_move_resource_to_block_cache

    async def keep_files_only(path: Any) -> Any:
        if "://" in str(path):
            raise gradio.Error("pictures are uploaded here, not downloaded from an address")
        return await keep(path)

    upload.async_move_resource_to_block_cache = keep_files_only
    upload.preprocess = lambda payload: None if payload is None else payload.path
