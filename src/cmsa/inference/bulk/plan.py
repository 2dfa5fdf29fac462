"""What decides how pictures are predicted, in a form that travels to workers and is kept beside their results."""

from __future__ import annotations

from dataclasses import asdict, dataclass, field, replace
from pathlib import Path
from typing import Any

from cmsa.data.boxes import DetectionFile
from cmsa.export.converted import fingerprint
from cmsa.guidance.suggestion import as_option
from cmsa.inference.applies import refuse_idle
from cmsa.inference.chosen import chosen_boxes, chosen_model, chosen_task, chosen_weights
from cmsa.inference.detectors import Detector, Selection
from cmsa.inference.detectors.options import split_options
from cmsa.inference.detectors.selection import SelectiveDetector
from cmsa.inference.files.command import TOP
from cmsa.inference.files.origin import Origin, digest, origin_of
from cmsa.inference.pipeline import Pipeline
from cmsa.inference.predictor import Predictor
from cmsa.models.base import BaseNetwork
from cmsa.runtime.sessions import Precision, Runtime, available_runtimes
from cmsa.tasks import Task
from cmsa.version import __version__

_NO_MATTER = "threads", "version"
"""Of a plan, what its results do not depend on, or what is told apart by the weights' own digest."""


@dataclass(frozen=True)
class Plan:
    """The options of ``cmsa predict`` that decide what becomes of a picture; each as there.

    ``top`` is None for the usual number of classes, and ``runtime`` must not be None but for an exported file: workers
    on different machines would choose differently.
    """

    task: str
    weights: str | None = None
    boxes: str | None = None
    box: tuple[tuple[float, ...], ...] | None = None
    detector: str | None = None
    selection: Selection = field(default_factory=Selection)
    flip_test: bool = False
    top: int | None = None
    batch_size: int = 32
    runtime: Runtime | None = None
    device: str = "cpu"
    threads: int = 1
    precision: Precision = "float32"
    exported: str | None = None
    version: str = __version__

    def __post_init__(self) -> None:
        if self.classes < 1 or self.batch_size < 1:
            raise ValueError(f"top and batch size must be at least 1, got {self.top} and {self.batch_size}")

    @property
    def classes(self) -> int:
        """How many of the likeliest classes are kept."""
        return TOP if self.top is None else self.top

    def settled(self) -> Plan:
        """The same with the runtime written out that this machine would choose."""
        if self.runtime is not None or self.exported is not None:
            return self
        return replace(self, runtime=available_runtimes()[0] if self.device == "cpu" else "torch")

    def open(self) -> Opened:
        """Load what it names.

        Raises:
            OSError: a file is not there.
            ValueError: something cannot be had, or cannot do anything for pictures.
        """
        model = chosen_model(chosen_task(self.task), self.weights)
        predictor = Predictor(
            model,
            device=self.device,
            threads=self.threads,
            runtime=self.runtime,
            precision=self.precision,
            exported=self.exported,
        )
        detector, file = chosen_boxes(predictor.task, self.boxes, self.box, self.detector, self.selection, self.threads)
        refuse_idle(
            {"top": self.top is not None} | self.selection.asked(),
            moving=False,
            following=False,
            detector=detector,
            task=predictor.task,
            spell=as_option,
        )
        if detector is not None:
            detector = SelectiveDetector(detector, self.selection)
        return Opened(self, model, predictor, detector, file)


@dataclass(frozen=True, eq=False)
class Opened:
    """A plan that was loaded.

    Attributes:
        plan: what was loaded.
        model: the weights.
        predictor: with them, in the runtime.
        detector: where to look; None for whole pictures.
        boxes: the file of boxes, if there is one.
    """

    plan: Plan
    model: BaseNetwork
    predictor: Predictor
    detector: Detector | None
    boxes: DetectionFile | None

    @property
    def task(self) -> Task:
        """What is predicted."""
        return self.predictor.task

    def pipeline(self) -> Pipeline:
        """What predicts pictures so."""
        return Pipeline(self.predictor, self.detector, flip_test=self.plan.flip_test, batch_size=self.plan.batch_size)

    def described(self) -> dict[str, Any]:
        """All that the results depend on, for JSON: the options, and digests of what they name."""
        options = {name: value for name, value in asdict(self.plan).items() if name not in _NO_MATTER}
        named = {name: split_options(str(options[name] or ""))[0] for name in ("boxes", "detector", "exported")}
        digests = {f"{name} content": found for name, path in named.items() if (found := digest(Path(path)))}
        return options | {"weights content": fingerprint(self.model)} | digests

    def origin(self) -> Origin:
        """What ``results.jsonl`` is of, as without shards."""
        plan = self.plan
        return origin_of(
            self.task,
            chosen_weights(chosen_task(plan.task), plan.weights),
            exported=plan.exported,
            precision=plan.precision,
            flip_test=plan.flip_test,
            top=plan.classes,
            boxes=plan.boxes is not None,
            box=plan.box,
            detector=plan.detector,
            selection=plan.selection,
        )
