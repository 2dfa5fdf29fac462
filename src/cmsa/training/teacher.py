"""Cross-resolution distillation: a teacher sees each training crop at its own resolution, the student at a low one.

What the teacher decodes becomes labels of the very image that the student sees, encoded by the student's own task, so
teacher and student may differ in architecture, input size, codec and head. Keypoints that nobody labelled get a target
too.
"""

from __future__ import annotations

from pathlib import Path

import torch
from torch import Tensor

from cmsa.data.transforms.affine import warp
from cmsa.metrics.score import Batch, Decoded
from cmsa.models.create import load_weights
from cmsa.models.pretrained import find_weights
from cmsa.runtime.preprocess import preprocess_of
from cmsa.tasks import Task, task_of
from cmsa.tasks.foreign import FOREIGN_SUFFIXES
from cmsa.training.recipe import TeacherRecipe


class Teacher:
    """A network that labels what the student sees.

    It is no part of the student's module: checkpoints and weights files do not hold it.

    Args:
        recipe: which network, and how much it counts.
        task: the student's.
        size: (H, W) of the student's input.

    Raises:
        FileNotFoundError: there are no such weights, or no such file.
        ValueError: it was trained for another task or other keypoints or classes, or its file is of no known kind.
    """

    def __init__(self, recipe: TeacherRecipe, task: Task, size: tuple[int, int]) -> None:
        self.recipe, self.task, self.size = recipe, task, size
        self.foreign = None
        if Path(recipe.weights).suffix in FOREIGN_SUFFIXES:
            self.foreign = task.open_foreign(Path(recipe.weights), recipe.anchor)
            self.input_size = self.foreign.input_size
            return
        network = load_weights(find_weights(recipe.weights))
        description = network.description
        if description.task != task.name:
            raise ValueError(
                f"teacher {recipe.weights}: was trained for {description.task}, the student is for {task.name}"
            )
        self.own = task_of(network)
        if self.own.label_names != task.label_names:
            raise ValueError(
                f"teacher {recipe.weights}: its {len(self.own.label_names)} names are not the student's "
                f"{len(task.label_names)}: {self.own.label_names} and {task.label_names}"
            )
        self.network, self.input_size = network.eval().requires_grad_(False), network.input_size
        self.preprocess = preprocess_of(description)

    @torch.no_grad()
    def labels(self, crops: Tensor, matrices: Tensor) -> Batch:
        """Labels of a batch of the student's images, for ``Task.encode``.

        Args:
            crops: (B, H_s, W_s, 3) uint8 RGB, as stored. A teacher needs a store that is denser than the student's
                input (``cmsa prepare --density``) to see more than the student does.
            matrices: (B, 2, 3), stored crop to the student's image.
        """
        pixels = warp(crops, self._enlarged(matrices), self.input_size, supersample=1)
        return self.task.taught(self._decoded(pixels), self._scale, self.recipe.threshold)

    @property
    def _scale(self) -> tuple[float, float]:
        """Student's pixels per teacher's pixel, (x, y)."""
        return self.size[1] / self.input_size[1], self.size[0] / self.input_size[0]

    def _enlarged(self, matrices: Tensor) -> Tensor:
        """Maps to the student's image -> maps to the teacher's, edges on edges."""
        rows = []
        for axis, scale in enumerate(self._scale):
            row = matrices[:, axis] / scale
            shift = (0.5 / scale) - 0.5
            rows.append(torch.cat([row[:, :2], row[:, 2:] + shift], dim=1))
        return torch.stack(rows, dim=1)

    def _decoded(self, pixels: Tensor) -> Decoded:
        """What the teacher says of images (B, 3, H, W) in 0..1."""
        if self.foreign is not None:
            crops = (pixels * 255).round().clamp(0, 255).to(torch.uint8).permute(0, 2, 3, 1).cpu()
            return tuple(part.to(pixels.device) for part in self.foreign(crops))
        self.network.to(pixels.device)
        self.preprocess.to(pixels.device)
        return self.own.decode(self.network(self.preprocess.normalize(pixels)))
