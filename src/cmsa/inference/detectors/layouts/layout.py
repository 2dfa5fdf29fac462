"""What is to be known of a family of exported detectors."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Sequence

from cmsa.inference.detectors.layouts.candidates import Candidates, Output
from cmsa.inference.detectors.preparation import Preparation


class Layout(ABC):
    """How a family of detectors is fed and read.

    Attributes:
        preparation: what the network sees of a picture.
        size: the input's (height, width) where the file leaves it open; None: the picture's own.
        person: the number of people among its classes.
        score: the usual least score.
        iou: boxes of one class that overlap more are one; None where the network has seen to that.
    """

    preparation: Preparation
    size: tuple[int, int] | None
    person: int = 0
    score: float = 0.35
    iou: float | None = 0.6

    @abstractmethod
    def fits(self, outputs: Sequence[Output]) -> bool:
        """Whether the outputs are laid out like this."""

    @abstractmethod
    def read(self, outputs: Sequence[Output], size: tuple[int, int], wanted: frozenset[int] | None) -> Candidates:
        """The candidates of one picture.

        Args:
            outputs: of the network.
            size: (height, width) of its input.
            wanted: class numbers that count; None stands for all.

        Raises:
            DetectorError: a wanted class does not exist.
        """
