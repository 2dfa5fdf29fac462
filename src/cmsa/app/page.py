"""The page, of Gradio: what its components call. ``layout`` says where they stand, ``session`` makes what they show."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import wraps
from pathlib import Path
from typing import Any

from cmsa.app.examples import find_examples
from cmsa.app.layout import lay_out
from cmsa.app.session import Session, pixel_at, render, render_pixel
from cmsa.app.tabs import TABS, Tab
from cmsa.app.uploads import Limits, UploadError, read_upload
from cmsa.app.viewer import Viewer
from cmsa.data.boxes import BoxesError
from cmsa.data.image import read_image
from cmsa.guidance.extras import load
from cmsa.inference.detectors import Detector, DetectorError

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
                _add_tab(gradio, page, tab, settings)
    page.queue(default_concurrency_limit=1, max_size=32)
    return page


def _add_tab(gradio: Any, page: Any, tab: Tab, settings: Settings) -> None:
    viewers, detector = settings.weights[tab.task], settings.detectors.get(tab.task)
    examples = find_examples(settings.examples, tab.folder, tab.boxes)
    parts = lay_out(
        gradio,
        tab,
        list(viewers),
        detector.source if detector else None,
        [example.path for example in examples],
        settings.limits.megabytes,
    )
    state = gradio.State(None, time_to_live=_KEPT_SECONDS)
    shown = [
        state,
        parts.status,
        parts.table,
        parts.result,
        parts.crop,
        parts.given,
        parts.evidence,
        parts.attention,
    ]

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
    parts.upload.input(open_upload, [parts.upload, parts.height, parts.weights, parts.blocks], shown, **quick)
    parts.shelf.click(open_example, [parts.shelf, parts.height, parts.weights, parts.blocks], shown, **quick)
    parts.table.input(edit, [state, parts.table, parts.weights], shown, **quick)
    parts.detect.click(find, [state, parts.weights], shown, **quick)
    parts.result.select(click, [state, parts.clicks, parts.weights], shown, **quick)
    # Of the positions of a slider that is being dragged, the last one counts.
    gradio.on(
        [parts.height.input, parts.weights.input],
        change,
        [state, parts.height, parts.weights],
        shown,
        trigger_mode="always_last",
        **quick,
    )
    parts.given.select(look_from, [state, parts.weights, parts.blocks], [state, parts.given, parts.attention], **quick)
    parts.blocks.input(look, [state, parts.weights, parts.blocks], [state, parts.given, parts.attention], **quick)
    if examples:
        page.load(
            lambda rows, name, which: open_example(0, rows, name, which),
            [parts.height, parts.weights, parts.blocks],
            shown,
            **quick,
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
