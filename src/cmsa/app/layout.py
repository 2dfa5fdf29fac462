"""The components of a tab, and where they stand. What they call is in ``page``."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from cmsa.app.boxes import HEADINGS
from cmsa.app.session import SHORTEST, TALLEST
from cmsa.app.tabs import Tab
from cmsa.data.untrusted import FORMATS

_STEP, _USUAL = 4, 32
"""Of the crop's height, in pixels."""


@dataclass(frozen=True)
class Components:
    """Gradio's components of a tab.

    Attributes:
        upload, shelf: the visitor's photo, and those that are offered.
        weights, clicks, detect, table, height, blocks: what else the visitor says.
        status: a few sentences.
        result, crop, given, evidence, attention: the pictures, see ``cmsa.app.session.View``.
    """

    upload: Any
    shelf: Any
    weights: Any
    clicks: Any
    detect: Any
    table: Any
    height: Any
    status: Any
    result: Any
    crop: Any
    given: Any
    evidence: Any
    attention: Any
    blocks: Any


def lay_out(
    gradio: Any, tab: Tab, names: Sequence[str], detector: str | None, photos: Sequence[Path], megabytes: float
) -> Components:
    """Make the components of a tab, inside of which this is called.

    Args:
        gradio: the module.
        tab: a task.
        names: of its weights, the first one chosen.
        detector: what it is called; None where there is none.
        photos: to be offered.
        megabytes: of a file, at most.
    """

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

    with gradio.Row():
        with gradio.Column(scale=1, min_width=280):
            upload = gradio.Image(
                label=f"Photo: {', '.join(FORMATS[:3])}, at most {megabytes:g} MB",
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
                samples=[[str(photo)] for photo in photos],
                type="index",
                label="Examples",
                visible=bool(photos),
                elem_id=f"{tab.task}-examples",
            )
            weights = gradio.Dropdown(list(names), value=names[0], label="Weights", interactive=True)
            clicks = gradio.Radio(
                [(f"choose a {tab.noun}", "choose"), ("draw a box, by two corners", "draw")],
                value="choose",
                label="Clicks on the picture",
                elem_id=f"{tab.task}-clicks",
            )
            detect = gradio.Button(f"Find by {detector}" if detector else "", visible=detector is not None)
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
                _USUAL,
                step=_STEP,
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
    return Components(
        upload,
        shelf,
        weights,
        clicks,
        detect,
        table,
        height,
        status,
        result,
        crop,
        given,
        evidence,
        attention,
        blocks,
    )


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
