"""What the lines of a ``results.jsonl`` come from: kept beside them, and asked before others are added.

A line names its picture and its detector; by which weights and options it came about, ``results.run.json`` says once.
Of files it has what they hold, so that they may move, and other ones of the same name are told.
"""

from __future__ import annotations

import hashlib
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from cmsa.files.read_json import JsonError, read_json
from cmsa.files.write_json import plain, write_json
from cmsa.guidance.suggestion import as_option
from cmsa.inference.detectors import Selection
from cmsa.inference.detectors.options import split_options
from cmsa.inference.jsonl import ResultsError, read_results
from cmsa.runtime.sessions import Precision
from cmsa.tasks import Task

Origin = Mapping[str, Any]
_BLOCK = 1 << 20


def origin_of(
    task: Task,
    weights: Path,
    *,
    exported: str | Path | None,
    precision: Precision,
    flip_test: bool,
    top: int,
    boxes: bool,
    box: Sequence[object] | None,
    detector: str | None,
    selection: Selection | None,
    track: bool = False,
    smooth: bool = False,
) -> Origin:
    """All that changes lines and is not in them, by the names of the options of ``cmsa predict``.

    A runtime changes the last digit at most, and where there are few pictures it is chosen by their number. A file of
    boxes may grow with the pictures, and is named in the lines: whether there is one counts.

    Args:
        task: what is predicted.
        weights: the file.
        exported: what the network was computed with instead.
        precision: of its products.
        flip_test: whether crops were mirrored, too.
        top: how many classes are kept; of tasks that have them.
        boxes: whether a file says where the boxes are.
        box: boxes that are the same for every picture.
        detector: as it was asked for.
        selection: which of its boxes count.
        track: whether people have ids.
        smooth: whether keypoints are smoothed.

    Raises:
        OSError: a file cannot be read.
    """
    chosen = selection or Selection()
    return {
        "weights": _named(weights),
        "exported": None if exported is None else _named(Path(exported)),
        "precision": precision,
        "flip_test": flip_test,
        "top": top if "top" in task.options else None,
        "track": track or smooth,
        "smooth": smooth,
        "boxes": boxes,
        "box": plain(box),
        "detector": _detector(detector),
        "threshold": chosen.score,
        "min_size": chosen.minimum_size,
        "max_people": chosen.maximum,
        "expand": chosen.expansion,
    }


def origin_path(lines: Path) -> Path:
    """Where the origin of a ``results.jsonl`` is kept."""
    return lines.with_suffix(".run.json")


def write_origin(lines: Path, origin: Origin) -> None:
    """Keep the origin of lines that are about to be written.

    Raises:
        OSError: it cannot be written.
    """
    write_json(origin_path(lines), origin, indent=1)


def refuse_another(lines: Path, origin: Origin, tell: Callable[[str], None]) -> None:
    """Refuse to add lines of another origin.

    Args:
        lines: the ``results.jsonl`` to go on with; to none at all anything may be added.
        origin: of what is to be added.
        tell: called where the lines do not have one: up to version 0.1 none was kept.

    Raises:
        ResultsError: they have another, which is told; or the file that says it is damaged.
    """
    if next(read_results(lines), None) is None:
        return
    path = origin_path(lines)
    remedy = "go on with those of that run, choose another --out, or leave out --resume: the lines are kept then, too"
    try:
        there = read_json(path)
    except JsonError as error:
        if path.exists():
            raise ResultsError(f"{error}; remove it to go on whatever the lines are of") from error
        tell(f"{lines}: does not say by which weights and options it began; they are taken to be these")
        return
    if not isinstance(there, dict):
        raise ResultsError(f"{path}: says no weights and options; remove it to go on whatever the lines are of")
    # What another version does not know of decides nothing.
    differ = [name for name, value in origin.items() if name in there and _content(there[name]) != _content(value)]
    if differ:
        told = ", ".join(
            f"{as_option(name)} (there {_text(there[name])}, now {_text(origin[name])})" for name in differ
        )
        raise ResultsError(f"{lines}: is of a run that differs in {told}; {remedy}")


def digest(path: Path) -> str | None:
    """SHA-256 of a file, and of the numbers that OpenVINO keeps beside it; None where there is none."""
    if not path.is_file():
        return None
    content = hashlib.sha256()
    for part in (path, path.with_suffix(".bin")) if path.suffix == ".xml" else (path,):
        if part.is_file():
            with part.open("rb") as file:
                while block := file.read(_BLOCK):
                    content.update(block)
    return content.hexdigest()


def _named(path: Path) -> dict[str, str | None]:
    return {"name": str(path), "sha256": digest(path)}


def _detector(text: str | None) -> object:
    """A network counts by what its file holds, and by the words before and behind it; other detectors by their text."""
    if text is None or text == "none":
        return None
    name, _ = split_options(text)
    for kind, file in (("", name), name.partition(":")[::2]):  # head:FILE.onnx
        if file.lower().endswith(".onnx") and (content := digest(Path(file))):
            return {"name": text, "sha256": content, "options": f"{kind}{text[len(name) :]}"}
    return text


def _content(value: Any) -> Any:
    return {key: held for key, held in value.items() if key != "name"} if isinstance(value, dict) else value


def _text(value: Any) -> str:
    return f"{value.get('name')}, sha256 {str(value.get('sha256'))[:12]}" if isinstance(value, dict) else repr(value)
