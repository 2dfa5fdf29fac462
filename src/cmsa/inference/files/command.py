"""The command: arguments are checked before anything is done, a progress bar runs, a table says what came of it."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from cmsa.data.boxes import BoxesError, DetectionFile, list_boxes
from cmsa.inference.files.inputs import PictureFile, find_pictures
from cmsa.inference.files.results import ResultFiles
from cmsa.inference.files.run import ANNOTATED, FileRun, PictureBoxes, Summary
from cmsa.inference.predictor import Predictor
from cmsa.models.pretrained import default_weights
from cmsa.tasks import Task, commands

if TYPE_CHECKING:
    from rich.console import Console


def predict_files(
    task: str,
    inputs: Sequence[str | Path],
    *,
    weights: str | Path | None = None,
    boxes: str | Path | None = None,
    box: Sequence[float] | Sequence[Sequence[float]] | None = None,
    out: str | Path = "out",
    top: int = 5,
    cube: bool = False,
    flip_test: bool = False,
    batch_size: int = 32,
    device: str = "cpu",
    threads: int | None = None,
    console: Console | None = None,
    errors: Console | None = None,
) -> int:
    """Predict files and folders; write results and annotated pictures.

    Results are ``keypoints.json`` (COCO's result format, with file_name and bbox), ``head_pose.json`` and ``.csv``, or
    ``classes.json`` and ``.csv``; pictures are in the sub-folder ``annotated``. What is done is kept if the run is
    interrupted.

    Args:
        task: what the command line calls it: ``pose``, ``head-pose``, ``classify``, or another's ``command``.
        inputs: pictures, and folders that are searched with their sub-folders.
        weights: what ``Predictor.from_pretrained`` takes; by default those of the task.
        boxes: a COCO detection file, see ``DetectionFile``.
        box: one box x, y, width, height or several of them, the same for every picture, instead of ``boxes``.
            Without either, the whole picture.
        out: folder of the results; made where it is missing.
        top: classes to keep and to show.
        cube: draw heads as cubes.
        flip_test: average with the mirrored crops.
        batch_size: crops at a time.
        device: where to run.
        threads: of PyTorch on the CPU; None leaves them as they are.
        console: where the table goes, standard output by default.
        errors: where the progress bar and errors go, standard error by default.

    Returns:
        The exit code: 0 all done; 1 a file or a box was left out; 2 nothing was done, or an argument is wrong.
    """
    from rich.console import Console

    from cmsa.inference.files.report import progress, summary_table, value_table

    console, errors = console or Console(), errors or Console(stderr=True)
    folder = Path(out)
    try:
        kind = _task(task)
        if top < 1 or batch_size < 1:
            raise ValueError(f"top and batch size must be at least 1, got {top} and {batch_size}")
        found = find_pictures(inputs, folder / ANNOTATED)
        summary = Summary(skipped=found.missing)
        if found.pictures:
            predictor = _predictor(kind, weights, device, threads)
        chosen = _boxes(predictor.task if found.pictures else kind, boxes, box, found.pictures)
        if found.pictures:
            folder.mkdir(parents=True, exist_ok=True)
    except (ValueError, OSError) as error:
        _complain(errors, str(error))
        return 2
    try:
        if found.pictures:
            run = FileRun(
                predictor, chosen, ResultFiles(folder, predictor.task, top), cube, flip_test, batch_size, summary
            )
            with progress(errors, len(found.pictures)) as advance:
                run.run(found.pictures, advance)
    except OSError as error:
        _complain(errors, f"results cannot be written ({error})")
        return 2
    finally:
        if summary.shown:
            console.print(value_table(predictor.task, summary, top))
        console.print(summary_table(summary, len(found.pictures), folder))
    return summary.exit_code


def _complain(console: Console, text: str) -> None:
    console.print(f"error: {text}", style="red", markup=False, highlight=False, soft_wrap=True)


def _task(command: str) -> type[Task]:
    tasks = commands()
    if command not in tasks:
        raise ValueError(f"no task {command!r}; there are {', '.join(tasks)}")
    return tasks[command]


def _boxes(
    task: Task | type[Task], path: str | Path | None, box: Sequence[object] | None, pictures: Sequence[PictureFile]
) -> PictureBoxes:
    if path is not None and box is not None:
        raise ValueError("give a file of boxes or the boxes themselves, not both")
    if path is None:
        return PictureBoxes(same=None if box is None else list_boxes(box))
    file = DetectionFile.read(path, task.category)
    if pictures and not any(file.find(picture.path) for picture in pictures):
        raise BoxesError(f"{path}: names none of the {len(pictures)} pictures, but {file.named() or 'nothing'}")
    return PictureBoxes(file)


def _predictor(task: type[Task], weights: str | Path | None, device: str, threads: int | None) -> Predictor:
    name = weights or default_weights(task.name)
    predictor = Predictor.from_pretrained(name, device=device, threads=threads)
    if predictor.description.task != task.name:
        raise ValueError(f"weights {name}: they are for {predictor.description.task}, not for {task.name}")
    return predictor
