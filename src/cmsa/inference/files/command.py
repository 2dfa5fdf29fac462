"""The command: arguments are checked before anything is done, a progress bar runs, a table says what came of it."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

import torch
from torch import nn

from cmsa.data.boxes import BoxesError, DetectionFile
from cmsa.export.converted import fastest_at_hand
from cmsa.files.visible import visible
from cmsa.files.whole import refuse_unwritable
from cmsa.guidance.errors import error_text
from cmsa.guidance.suggestion import as_option
from cmsa.inference.applies import may_follow, may_move, refuse_idle
from cmsa.inference.chosen import chosen_boxes, chosen_model, chosen_task, chosen_weights
from cmsa.inference.detectors import Selection
from cmsa.inference.detectors.selection import SelectiveDetector
from cmsa.inference.files.drawing import ANNOTATED, Drawing, PictureFormat, not_drawn_again
from cmsa.inference.files.origin import origin_of
from cmsa.inference.files.results import RESULTS
from cmsa.inference.files.run import FileRun
from cmsa.inference.files.summary import Summary
from cmsa.inference.pipeline import Pipeline
from cmsa.inference.predictor import Predictor
from cmsa.inference.streams import Notice, Reading, Source, SourceFinder, read_frames
from cmsa.runtime.sessions import Precision, Runtime

if TYPE_CHECKING:
    from rich.console import Console

_FEW = 300
"""Pictures. PyTorch has done so many before another runtime's file is exported, which takes ten seconds and more."""
TOP = 5
"""Classes that are kept where nobody says how many."""


def predict_files(
    task: str,
    inputs: Sequence[str | Path],
    *,
    weights: str | Path | None = None,
    boxes: str | Path | None = None,
    box: Sequence[float] | Sequence[Sequence[float]] | None = None,
    detector: str | None = None,
    selection: Selection | None = None,
    reading: Reading | None = None,
    recursive: bool = True,
    out: str | Path = "out",
    save_pictures: PictureFormat | None = None,
    save_video: bool = False,
    resume: bool = False,
    track: bool = False,
    smooth: bool = False,
    top: int | None = None,
    cube: bool = False,
    flip_test: bool = False,
    batch_size: int = 32,
    runtime: Runtime | None = None,
    device: str = "cpu",
    threads: int | None = None,
    precision: Precision = "float32",
    exported: str | Path | None = None,
    quiet: bool = False,
    console: Console | None = None,
    errors: Console | None = None,
) -> int:
    """Predict pictures, videos and cameras; write results, and annotated pictures where asked for.

    ``results.jsonl`` grows line by line while it runs. At the end ``keypoints.json`` (COCO's result format, with
    file_name and bbox), ``head_pose.json`` or ``classes.json``, and a ``.csv`` of the same are written from it; also if
    the run is interrupted. ``results.run.json`` says by which weights and options, see ``origin_of``.

    Args:
        task: what the command line calls it: ``pose``, ``head-pose``, ``classify``, or another's ``command``.
        inputs: what ``SourceFinder.find`` takes.
        weights: what ``Predictor.from_pretrained`` takes; by default those of the task.
        boxes: a COCO detection file, see ``DetectionFile``.
        box: one box x, y, width, height or several of them, the same for every picture.
        detector: what ``make_detector`` takes. Without boxes and detector, each whole picture is one box.
        selection: which of the boxes count.
        reading: how videos and cameras are read.
        recursive: look into sub-folders.
        out: folder of the results; made where it is missing.
        save_pictures: draw annotated pictures, in this format, into the sub-folder ``annotated``.
        save_video: write an annotated MP4 of each video and camera, there too; until it is whole it is called
            ``NAME.partial.mp4``.
        resume: go on after the last whole line of the ``results.jsonl`` in ``out``, with the weights and options that
            it began with; videos go on in ``NAME-2.mp4``.
        track: give ids to the boxes of videos and cameras.
        smooth: smooth keypoints over time; tracks, too.
        top: classes to keep and to show; None for 5.
        cube: draw heads as cubes.
        flip_test: average with the mirrored crops.
        batch_size: crops at a time.
        runtime: None takes the fastest that is installed; for a few pictures, the fastest that needs no export first.
        device: where to run.
        threads: of the runtime on the CPU; None leaves them as they are.
        precision: ``float32``, or ``bf16`` where runtime and machine have it.
        exported: a file of ``cmsa export`` of the weights, e.g. in int8, to compute with instead of them.
        quiet: no progress bar and no tables; errors are still said.
        console: where the table goes, standard output by default.
        errors: where the progress bar and errors go, standard error by default.

    Returns:
        The exit code: 0 all done; 1 a file or a box was left out; 2 nothing was done, an argument is
        wrong, or results cannot be written.
    """
    from rich.console import Console

    from cmsa.inference.files.report import print_summary, print_values, progress

    console, errors = console or Console(), errors or Console(stderr=True)
    folder = Path(out)
    summary = Summary()
    try:
        kind = chosen_task(task)
        shown = TOP if top is None else top
        if shown < 1 or batch_size < 1:
            raise ValueError(f"top and batch size must be at least 1, got {top} and {batch_size}")
        refuse_unwritable(folder / RESULTS)
        sources, count = _sources(inputs, recursive, folder / ANNOTATED)
        listed = sources if isinstance(sources, list) else []
        model = chosen_model(kind, weights)
        if exported is None and runtime is None and device == "cpu" and count is not None and count < _FEW:
            runtime = fastest_at_hand(model)
        predictor = Predictor(
            model, device=device, threads=threads, runtime=runtime, precision=precision, exported=exported
        )
        found, file = chosen_boxes(predictor.task, boxes, box, detector, selection, threads)
        asked = {"save_video": save_video, "track": track, "smooth": smooth, "top": top is not None, "cube": cube}
        refuse_idle(
            asked | (reading or Reading()).asked() | (selection or Selection()).asked(),
            moving=may_move(sources),
            following=may_follow(sources),
            detector=found,
            task=predictor.task,
            spell=as_option,
        )
        if selection is not None and found is not None:
            found = SelectiveDetector(found, selection)
        _check_names(file, listed)
        drawing = None
        if save_pictures or save_video:
            summary.drawn = folder / ANNOTATED
            drawing = Drawing(
                summary.drawn,
                predictor.task,
                save_pictures,
                save_video,
                top=shown,
                cube=cube,
                inputs=[source.target for source in listed if isinstance(source, Source)],
                keep=resume,
                failed=summary.skipped.add,
            )
        pipeline = Pipeline(predictor, found, track or smooth, smooth, flip_test, batch_size)
        told: Callable[[str], None] = (lambda text: None) if quiet else partial(complain, errors)
        origin = origin_of(
            predictor.task,
            chosen_weights(kind, weights),
            exported=exported,
            precision=precision,
            flip_test=flip_test,
            top=shown,
            boxes=boxes is not None,
            box=box,
            detector=detector,
            selection=selection,
            track=track,
            smooth=smooth,
        )
        run = FileRun(folder, predictor.task, file, drawing, shown, resume, summary, told, origin)
        if drawing is not None and summary.before:
            for text in not_drawn_again(summary.drawn or folder):
                told(text)
    except (ValueError, OSError) as error:
        complain(errors, error_text(error))
        return 2
    try:
        frames = read_frames(sources, reading, run.done)
        with (
            _threads_for(predictor),
            closing(pipeline.run(frames)) as results,
            progress(errors, count, quiet) as advance,
        ):
            run.run(results, advance)
    except OSError as error:
        complain(errors, f"results cannot be written ({error_text(error)})")
        return 2
    finally:
        if not quiet:
            if summary.shown:
                print_values(console, predictor.task, summary, shown)
            print_summary(console, summary, count, predictor.task)
    if not summary.done and not summary.before:
        reasons = [f"nothing was done; {name}: {text}" for name, text in summary.skipped.first]
        reasons.append("no picture and no frame came: the inputs name none, or end before --start")
        complain(errors, reasons[0])
    return summary.exit_code


@contextmanager
def _threads_for(predictor: Predictor) -> Iterator[None]:
    """One thread of PyTorch's beside another runtime: what is left for it is small, and its threads would be in the
    network's way."""
    before = torch.get_num_threads()
    if not isinstance(predictor.network, nn.Module):
        torch.set_num_threads(1)
    try:
        yield
    finally:
        torch.set_num_threads(before)


def complain(console: Console, text: str) -> None:
    """Say what went wrong, as the command line does."""
    console.print(
        f"cmsa predict: {visible(text, keep=chr(10))}", style="red", markup=False, highlight=False, soft_wrap=True
    )


def _sources(
    inputs: Sequence[str | Path], recursive: bool, exclude: Path
) -> tuple[Iterable[Source | Notice], int | None]:
    """The sources, and how many pictures they are, if that can be known before they are read."""
    found = SourceFinder(recursive, (exclude,)).find(inputs)
    if any(str(given) == "-" for given in inputs):
        # Whoever writes the names may go on doing so.
        return found, None
    listed = list(found)
    sources = [source for source in listed if isinstance(source, Source)]
    return listed, len(sources) if all(source.kind == "picture" for source in sources) else None


def _check_names(file: DetectionFile | None, sources: Sequence[Source | Notice]) -> None:
    if file is None:
        return
    pictures = [source for source in sources if isinstance(source, Source) and source.kind == "picture"]
    if pictures and not any(file.find(source.target) for source in pictures):
        raise BoxesError(f"{file.path}: names none of the {len(pictures)} pictures, but {file.named() or 'nothing'}")
