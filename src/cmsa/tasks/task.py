"""What a task is: everything about a model that depends on what it is for, in one class.

A new task is a class that derives from ``Task``, one line in ``cmsa.tasks.TASKS``, and one in
``cmsa.models.heads.table.HEADS`` for the network's head; ``docs/extend.md`` has one. Whoever writes it says ``name``,
``monitored``, ``output``, ``decoded``, ``columns`` and ``result_name``, and writes ``encode``, ``loss``, ``decode``,
``values`` and ``score``; the rest has defaults.

Shapes: B samples, images of (H, W). Loss and decoding run in float32 whatever the network ran in.
"""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Literal, Self

import numpy as np
import torch
from torch import Tensor

from cmsa.data.store import CropStore
from cmsa.data.transforms.mixup import Mixing
from cmsa.metrics.score import Batch, Decoded, Score, Submission
from cmsa.models.description import Description
from cmsa.structures import Box, FloatArray, Value
from cmsa.tasks.foreign import Anchor, Foreign, ForeignNetwork
from cmsa.visualization.annotate import Crop, annotate
from cmsa.visualization.panel import Picture

Network = Callable[[Tensor], Tensor]
"""Normalised images (B, 3, H, W) float32 -> the head's output (B, ...). PyTorch's module, or another runtime's."""
Targets = dict[str, Tensor]


@dataclass(frozen=True)
class Output:
    """A tensor that an exported file puts out.

    Attributes:
        name: in the file.
        shape: its axes and what its numbers mean, for people.
        unit: of its numbers; none for shares.
        tolerance: how far a file in float32 may be from PyTorch, at most; of decoded outputs.
        int8_tolerance: how far one in int8 may be in the mean, no value counting for more than four of it. Past this a
            file is broken; what int8 costs in accuracy only labelled data can tell.

    Examples:
        >>> Output("brightness", "(B,): 0 to 1").tolerance
        0.001
    """

    name: str
    shape: str
    unit: str = ""
    tolerance: float = 1e-3
    int8_tolerance: float = 0.05


class Task(ABC):
    """Encodes targets, scores and decodes outputs, and says how results are kept and shown.

    Attributes:
        name: in descriptions, recipes, stores and the table of tasks.
        command: what ``cmsa predict`` calls it; the name with dashes by default.
        monitored: the score that decides which weights are best, and whether it should be large or small.
        scores: all numbers that ``score`` may come to, by which a name that was mistyped is told before a training;
            empty where that is not said.
        output: what the network puts out.
        decoded: what ``decode`` makes of it; the first one is compared when a file is exported.
        padding: the factor by which boxes are enlarged where weights do not say it.
        category: COCO's category of the boxes in a detection file that count; None for all of them.
        columns: attributes of the values that result files keep, and the heads of their columns.
        result_name: of the result files, without suffix.
        entries: of the entries of a recipe that some tasks read, see ``cmsa.training.starting_point``, those that it
            reads; None for all.
        options: which of ``top``, ``cube`` and ``smooth`` of ``cmsa predict`` change anything.

    Examples:
        >>> from cmsa.tasks import task_named
        >>> task_named("head_pose").command, task_named("head_pose").monitored
        ('head-pose', ('mae', 'min'))
    """

    name: ClassVar[str]
    command: ClassVar[str]
    monitored: ClassVar[tuple[str, Literal["max", "min"]]]
    scores: ClassVar[tuple[str, ...]] = ()
    output: Output
    decoded: tuple[Output, ...]
    padding: ClassVar[float] = 1.0
    category: int | None = None
    columns: ClassVar[tuple[str, ...]]
    result_name: ClassVar[str]
    entries: ClassVar[frozenset[str] | None] = None
    options: ClassVar[frozenset[str]] = frozenset(("top", "cube", "smooth"))

    def __init_subclass__(cls, **options: Any) -> None:
        super().__init_subclass__(**options)
        if "name" in cls.__dict__ and "command" not in cls.__dict__:
            cls.command = cls.name.replace("_", "-")

    # How a model comes to its task.

    @classmethod
    def describe(cls, description: Description, settings: Mapping[str, Any], store: CropStore) -> Description:
        """What weights will say of themselves that are trained on a store.

        Args:
            description: what every model says: name, input size, the recipe's options, how crops are cut.
            settings: the recipe's entries.
            store: the first one to learn from.

        Raises:
            ValueError: store and recipe do not fit.
        """
        return description

    @classmethod
    def from_description(cls, description: Description, map_size: tuple[int, int]) -> Self:
        """The task as a model was trained for it.

        Args:
            description: of the model.
            map_size: (h, w) of its first stage's map.
        """
        return cls()

    # Training.

    def body_points(self, batch: Batch) -> tuple[Tensor | None, Sequence[int]]:
        """What half-body augmentation needs, for tasks that know bodies.

        Args:
            batch: labels of stored crops.

        Returns:
            Keypoints (B, K, 3) of x, y in the stored crop and visibility, or None; and the indices of the upper body.
        """
        return None, ()

    @abstractmethod
    def encode(self, batch: Batch) -> Targets:
        """Targets of a batch.

        Args:
            batch: the store's labels, ``matrices`` (B, 2, 3) from the picture to the image and ``flipped`` (B,), where
                that map mirrors.
        """

    def mix(
        self, images: Tensor, targets: Targets, mixing: Mixing, generator: torch.Generator
    ) -> tuple[Tensor, Targets]:
        """Blend images (B, 3, H, W) and their targets (mixup, CutMix), for tasks whose targets can be; by default not.

        Args:
            images: normalised.
            targets: of ``encode``.
            mixing: of the recipe.
            generator: source of random numbers.
        """
        return images, targets

    # Learning from another network.

    @property
    def label_names(self) -> tuple[str, ...]:
        """What keypoints or classes are called; a teacher's must be the same."""
        return ()

    def taught(self, decoded: Decoded, scale: tuple[float, float], threshold: float) -> Batch:
        """What another network says of images, as labels of these images for ``encode``.

        Args:
            decoded: as ``decode`` gives it; places are in pixels of the other network's images.
            scale: pixels of our images per pixel of the other network's, (x, y); the edges of the two coincide.
            threshold: what is less sure than this is no label.

        Raises:
            NotImplementedError: the task cannot be taught.
        """
        raise NotImplementedError(f"the task {self.name} does not say how it is taught")

    def open_foreign(self, path: Path, anchor: Anchor = "corner") -> Foreign:
        """A network of another project as ONNX or OpenVINO file, whose output ``read_foreign`` understands.

        Args:
            path: the file.
            anchor: of heatmaps, for tasks that have any.
        """
        return ForeignNetwork(path, self.read_foreign, self.foreign_numbers)

    @property
    def foreign_numbers(self) -> int | None:
        """How many numbers another project's network must say of each image; None where its output is of another kind,
        or may be of any length."""
        return None

    def read_foreign(self, output: Tensor) -> Decoded:
        """The output of another project's network -> what ``decode`` gives."""
        return self.decode(output)

    @abstractmethod
    def loss(self, output: Tensor, targets: Mapping[str, Tensor]) -> Tensor:
        """Mean loss of the network's output (B, ...) over the batch, a scalar in float32."""

    # What a network puts out -> values.

    @abstractmethod
    def decode(self, output: Tensor) -> Decoded:
        """The network's output (B, ...) -> tensors (B, ...) in float32, as ``decoded`` lists them."""

    def average(self, output: Tensor, mirrored: Tensor) -> Decoded:
        """The flip rule: what two outputs say together.

        By default the mean of what is decoded, for tasks in which a mirrored picture has the same values.

        Args:
            output: for images.
            mirrored: for the same images, mirrored left to right.
        """
        return tuple((one + other) / 2 for one, other in zip(self.decode(output), self.decode(mirrored), strict=True))

    def predict(self, network: Network, images: Tensor, flip_test: bool = False) -> Decoded:
        """Run a network and decode, for training, evaluation and prediction alike.

        Args:
            network: what to run.
            images: (B, 3, H, W), normalised.
            flip_test: average with what the network says of the mirrored images.
        """
        output = network(images)
        return self.average(output, network(images.flip(3))) if flip_test else self.decode(output)

    def heatmaps(self, output: Tensor) -> Tensor | None:
        """How sure the network is of each place, for people to look at; None where the output does not say it.

        Args:
            output: (B, ...).

        Returns:
            (B, maps, h, w), stretched over the images; peaks are about 1.
        """
        return None

    @abstractmethod
    def values(self, decoded: Decoded, matrices: Sequence[FloatArray], boxes: Sequence[Box]) -> Sequence[Value]:
        """Values in the full picture, each with the box it belongs to.

        Args:
            decoded: of ``predict``, for B crops.
            matrices: B affine maps (2, 3) from the picture to the crop.
            boxes: B boxes that the crops were cut from.
        """

    @abstractmethod
    def score(self, store: CropStore) -> Score:
        """An empty account of how well a network does on an evaluation store."""

    def truth(self, batch: Batch) -> Decoded:
        """The labels of crops as ``decode`` would give them if the network knew them, to be drawn beside it.

        Args:
            batch: of an evaluation store.

        Raises:
            NotImplementedError: the task does not say it.
        """
        raise NotImplementedError(f"the task {self.name} does not say what its labels are as predictions")

    def augmented_truth(self, batch: Batch, targets: Targets) -> Decoded:
        """What augmented images are labelled with, as ``decode`` would give it, to be drawn on them.

        Args:
            batch: as ``encode`` takes it.
            targets: what ``encode`` and ``mix`` made of it.

        Raises:
            NotImplementedError: the task does not say it.
        """
        raise NotImplementedError(f"the task {self.name} does not say what its augmented labels are as predictions")

    def values_in_crops(self, decoded: Decoded, size: tuple[int, int]) -> Sequence[Value]:
        """As ``values``, of crops of ``size`` (H, W) that are pictures of their own, each its whole box."""
        count = len(decoded[0])
        still = [np.array([[1.0, 0, 0], [0, 1, 0]])] * count
        return self.values(decoded, still, [Box(0, 0, size[1], size[0])] * count)

    def submission(self, store: CropStore) -> Submission:
        """An empty account of what a network finds, for a file that others score.

        Raises:
            ValueError: the task has no format for it, or the store is not what may be handed in.
        """
        raise ValueError(f"the task {self.name} has no format for submissions")

    # Exported files.

    def constants(self) -> dict[str, Any]:
        """What someone without this library needs to know to decode the output; as JSON in exported files."""
        return {}

    def distances(self, found: Decoded, expected: Decoded, output: Tensor) -> tuple[Tensor, str]:
        """How far two ways to compute the same are apart.

        Args:
            found: decoded from an exported file.
            expected: decoded from the model.
            output: the model's, which ``expected`` was decoded from.

        Returns:
            Distances of any shape, in the unit of the first decoded output, and a remark for people, or nothing.
        """
        return (found[0] - expected[0]).abs(), ""

    # Result files, tables and pictures.

    def record(self, value: Any, box_score: float, top: int) -> dict[str, Any]:
        """A value's entry in the JSON file, besides the picture's and the box's.

        Args:
            value: one of ``values``.
            box_score: of its box.
            top: how many of many to keep.
        """
        return {name: round(getattr(value, name), 4) for name in self.columns}

    def rows(self, record: Mapping[str, Any]) -> list[list[Any]]:
        """A record's rows of the CSV file."""
        return [[record[name] for name in self.columns]]

    def row_headings(self) -> tuple[str, ...]:
        """Of the columns of ``rows``. Without any there is no CSV file."""
        return self.columns

    def headings(self) -> tuple[str, ...]:
        """Of the columns of ``cells``."""
        return self.columns

    def cells(self, value: Any, top: int) -> tuple[str, ...]:
        """A value's cells in the table on the screen."""
        return tuple(f"{float(getattr(value, name)):.4g}" for name in self.columns)

    def label_in_words(self, value: Any, top: int) -> str:
        """What stands below a crop of training data: its label, which has no score; ``top`` as in ``cells``."""
        cells = [cell for cell in zip(self.headings(), self.cells(value, top), strict=True) if cell[0] != "score"]
        return " ".join(" ".join(cell) if len(cells) > 1 else cell[1] for cell in cells)

    def draw(
        self, image: Picture, values: Sequence[Value], crops: Sequence[Crop], *, top: int = 5, cube: bool = False
    ) -> Picture:
        """The annotated picture, see ``cmsa.visualization.annotate``."""
        return annotate(image, values, crops, top=top, cube=cube)


def numbers(values: Tensor) -> FloatArray:
    """A tensor of any device and precision as NumPy's float64."""
    return np.asarray(values.detach().cpu().double().numpy(), dtype=np.float64)
