"""The pictures of ``docs/how_it_works.md``, made by the network that they are about.

    python docs/pictures/how_it_works.py [FOLDER]

writes them beside this file's folder, or into FOLDER.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import torch
from matplotlib import pyplot
from matplotlib.axes import Axes
from matplotlib.figure import Figure
from matplotlib.patches import Rectangle

from cmsa import Box, Predictor
from cmsa.data.crops import CropSpec, cut_crop
from cmsa.data.image import read_image
from cmsa.geometry.crops import region_center
from cmsa.models.attention_maps import AttentionMap, watch_attention
from cmsa.visualization.annotate import annotate_crop

ROOT = Path(__file__).resolve().parents[2]
PEOPLE = ROOT / "examples" / "people"
PHOTO, PLACE = "park.jpg", 0
"""Which of the photo's boxes."""
WEIGHTS = "cmsa_n_pose_32x24"
LOOKING = ("left_shoulder", "left_knee", "right_ankle")
"""Keypoints at whose pixels the attention is looked at."""
COLOR, WINDOW = "#ff8a1f", "#19d3c5"


def main(folder: Path) -> None:
    """Draw everything."""
    predictor = Predictor.from_pretrained(WEIGHTS)
    photo = read_image(PEOPLE / PHOTO)
    boxes = [entry["bbox"] for entry in json.loads((PEOPLE / "boxes.json").read_text()) if entry["file_name"] == PHOTO]
    box = Box(*boxes[PLACE])
    crop = cut(photo, box, (32, 24))
    images = predictor.preprocess(torch.from_numpy(crop[None]))
    with torch.inference_mode(), watch_attention(predictor.network) as attention:
        maps = predictor.network.forward_maps(images)
        output = predictor.network.head(maps)
        (person,) = predictor.task.values_in_crops(predictor.task.decode(output), (32, 24))
        heatmaps = predictor.task.heatmaps(output)
    pixels = {name: person.xy[person.names.index(name)].round().astype(int) for name in LOOKING}
    figures = {
        "crop": draw_crops(photo, box),
        "windows": draw_windows(crop, attention),
        "cascade": draw_attention(crop, attention, pixels),
        "fusion": draw_fusion(crop, maps, heatmaps[0], annotate_crop(crop, person)),
    }
    for name, figure in figures.items():
        figure.savefig(folder / f"how_{name}.png", bbox_inches="tight")


def cut(photo: np.ndarray, box: Box, size: tuple[int, int], antialias: bool = True) -> np.ndarray:
    """The crop of a box at a size (H, W)."""
    matrix = CropSpec.for_evaluation(size).base_matrix(region_center(box, "pixel"), (box.width, box.height))
    return cut_crop(photo, matrix, size, antialias=antialias)


def panels(columns: int, rows: int, width: float, height: float, ratios: list[float] | None = None) -> tuple:
    """An empty figure and its axes, without ticks."""
    figure, axes = pyplot.subplots(
        rows, columns, figsize=(width, height), dpi=110, squeeze=False, layout="constrained", width_ratios=ratios
    )
    for place in axes.flat:
        place.set(xticks=[], yticks=[])
        place.spines[:].set_visible(False)
    return figure, axes


def show(place: Axes, picture: np.ndarray, title: str, **options: object) -> None:
    """A picture with its pixels visible."""
    place.imshow(picture, interpolation="nearest", **options)
    place.set_title(title, fontsize=9)


def outline(place: Axes, left: float, top: float, width: float, height: float, color: str, line: float = 1.5) -> None:
    """A frame around pixels."""
    place.add_patch(Rectangle((left - 0.5, top - 0.5), width, height, fill=False, edgecolor=color, linewidth=line))


def draw_crops(photo: np.ndarray, box: Box) -> Figure:
    """From the photo to what the network sees."""
    figure, ((first, *others),) = panels(5, 1, 9.0, 2.5, [2.4, 1, 1, 1, 1])
    show(first, photo, f"a photo of {photo.shape[0]}×{photo.shape[1]} pixels, and a box")
    outline(first, *box.xywh, COLOR)
    show(others[0], cut(photo, box, (256, 192)), "the region:\nthe box, extended")
    show(others[1], cut(photo, box, (64, 48)), "64×48,\naveraged")
    show(others[2], cut(photo, box, (32, 24)), "32×24,\naveraged")
    show(others[3], cut(photo, box, (32, 24), antialias=False), "32×24,\nsampled")
    return figure


def draw_windows(crop: np.ndarray, attention: list[AttentionMap]) -> Figure:
    """The windows of each group of heads of each stage."""
    stages = [[found for found in attention if (found.stage, found.block) == (stage, 0)] for stage in range(3)]
    figure, axes = panels(3, 3, 7.2, 10.2)
    for row, groups in zip(axes, stages, strict=True):
        for place, found in zip(row, groups, strict=False):
            (height, width), (rows, columns), stride = found.window.map_size, found.window.size, found.window.stride
            keys = rows * columns // stride**2
            pooled = f"keys pooled {stride}×{stride}" if stride > 1 else "keys as they are"
            title = (
                f"stage {found.stage + 1}, group {found.group + 1}\nwindows {rows}×{columns} of a map {height}×{width}"
            )
            title += f"\n{pooled}: {keys} for each pixel"
            show(place, shrunk(crop, height), title)
            for top in range(0, height, rows):
                for left in range(0, width, columns):
                    outline(place, left, top, columns, rows, WINDOW, 2)
    axes[1][2].set_visible(False)
    axes[2][2].set_visible(False)
    return figure


def shrunk(crop: np.ndarray, height: int) -> np.ndarray:
    """The crop averaged to the size of a stage's map."""
    factor = crop.shape[0] // height
    blocks = crop.reshape(height, factor, crop.shape[1] // factor, factor, 3)
    return blocks.mean(axis=(1, 3)).round().astype(np.uint8)


def draw_attention(crop: np.ndarray, attention: list[AttentionMap], pixels: dict[str, np.ndarray]) -> Figure:
    """Where some pixels look, group by group of the first block."""
    groups = [found for found in attention if (found.stage, found.block) == (0, 0)]
    figure, axes = panels(4, len(pixels), 9.6, 3.3 * len(pixels))
    for row, (name, (column, line)) in zip(axes, pixels.items(), strict=True):
        column, line = int(np.clip(column, 0, 23)), int(np.clip(line, 0, 31))
        show(row[0], crop, f"the pixel of the {name.replace('_', ' ')}")
        outline(row[0], column, line, 1, 1, COLOR, 2)
        for place, found in zip(row[1:], groups, strict=True):
            weights = found.at(line, column).mean(dim=0).numpy()
            top, left, bottom, right = found.limits(line, column)
            show(
                place, crop.mean(axis=2), f"group {found.group + 1}, window {bottom - top}×{right - left}", cmap="gray"
            )
            stride = found.window.stride
            large = weights.repeat(stride, 0).repeat(stride, 1)
            place.imshow(large, cmap="inferno", alpha=0.75, interpolation="nearest", vmin=0)
            outline(place, left, top, right - left, bottom - top, WINDOW, 2)
            outline(place, column, line, 1, 1, COLOR, 2)
    return figure


def draw_fusion(crop: np.ndarray, maps: list[torch.Tensor], heatmaps: torch.Tensor, drawn: np.ndarray) -> Figure:
    """The maps of the three stages, and what the head makes of them."""
    figure, (places,) = panels(6, 1, 9.0, 2.6)
    show(places[0], crop, "the image,\n32×24")
    for number, (place, found) in enumerate(zip(places[1:4], maps, strict=True), start=1):
        energy = found[0].norm(dim=0).numpy()
        channels, height, width = found.shape[1:]
        show(place, energy, f"stage {number}: {channels}\nmaps of {height}×{width}", cmap="viridis")
    show(places[4], heatmaps.amax(dim=0).numpy(), "the highest of 17\nheatmaps, 32×24", cmap="inferno", vmin=0)
    show(places[5], drawn, "their peaks:\nkeypoints")
    return figure


if __name__ == "__main__":
    main(Path(sys.argv[1]) if len(sys.argv) > 1 else ROOT / "docs")
