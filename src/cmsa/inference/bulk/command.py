"""The command: inputs are cut into shards, workers predict those that are not done, and all are joined."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, suppress
from dataclasses import replace
from functools import partial
from pathlib import Path
from typing import TYPE_CHECKING

from cmsa.data.boxes import BoxesError, DetectionFile
from cmsa.files.lock import only_process_in
from cmsa.files.whole import refuse_unwritable
from cmsa.guidance.errors import error_text
from cmsa.guidance.extras import require
from cmsa.inference.bulk.join import join
from cmsa.inference.bulk.on_ray import LostShardsError, run_on_ray
from cmsa.inference.bulk.plan import Plan
from cmsa.inference.bulk.shards import Shard, ShardFolder
from cmsa.inference.files.command import complain
from cmsa.inference.files.drawing import ANNOTATED
from cmsa.inference.files.origin import refuse_another
from cmsa.inference.files.results import RESULTS, write_results
from cmsa.inference.files.summary import Summary
from cmsa.inference.jsonl import read_results
from cmsa.inference.streams import Notice, Source, SourceFinder

if TYPE_CHECKING:
    from rich.console import Console

SHARDS = "shards"
"""The sub-folder of the shards; it is gone when they are joined."""
SHARD_SIZE = 1024
"""Pictures. A multiple of the batch size, so that batches of whole pictures are those of a run without shards."""


def predict_on_ray(
    plan: Plan,
    inputs: Sequence[str | Path],
    *,
    out: str | Path = "out",
    recursive: bool = True,
    resume: bool = False,
    workers: int | None = None,
    shard_size: int = SHARD_SIZE,
    quiet: bool = False,
    console: Console | None = None,
    errors: Console | None = None,
) -> int:
    """Predict pictures with workers of Ray; write the files that ``predict_files`` writes, with the same rows.

    Args:
        plan: how they are predicted.
        inputs: what ``SourceFinder.find`` takes, but for videos and cameras.
        out: folder of the results, which all workers can write to under this name.
        recursive: look into sub-folders.
        resume: go on with the shards of a run that did not end; and leave out pictures that are in ``results.jsonl``.
        workers: how many; None for as many as there are CPUs for, or GPUs.
        shard_size: pictures that a worker takes at a time.
        quiet: no progress bar and no tables; errors are still said.
        console: where the table goes, standard output by default.
        errors: where the progress bar and errors go, standard error by default.

    Returns:
        The exit code: 0 all done; 1 a file or a box was left out; 2 nothing was done, an argument is wrong, or results
        cannot be written. Shards that were done by then stay, and ``resume`` goes on with them.

    Raises:
        ModuleNotFoundError: Ray is not installed.
    """
    from rich.console import Console

    from cmsa.inference.files.report import print_summary, progress

    require("scale", "--engine ray")
    console, errors = console or Console(), errors or Console(stderr=True)
    out, summary = Path(out), Summary()
    folder, lines = ShardFolder(out.absolute() / SHARDS), out / RESULTS
    told: Callable[[str], None] = (lambda text: None) if quiet else partial(complain, errors)
    shards: list[Shard] = []
    try:
        refuse_unwritable(lines)
        plan = plan.settled()
        # What this machine lacks the workers may have; the rest is looked at before they start.
        opened = (plan if plan.device == "cpu" else replace(plan, device="cpu", precision="float32")).open()
        found = SourceFinder(recursive, (out / ANNOTATED,)).find(inputs)
        origin = {**opened.origin(), "precision": plan.precision}
        if resume and lines.exists():
            refuse_another(lines, origin, told)
            found = _left(found, {str(line["file"]) for line in read_results(lines)})
        if opened.boxes is not None:
            found = _named(found, opened.boxes)
        with only_process_in(folder.path):
            run = opened.described() | {"device": plan.device, "precision": plan.precision}
            shards = folder.begin(found, shard_size, run, resume=resume)
            left = [shard for shard in shards if not folder.file(shard).exists()]
            count = sum(shard.count for shard in shards)
            done = count - sum(shard.count for shard in left)
            if done:
                told(f"{len(shards) - len(left):,} of {len(shards):,} shards are there")
            with progress(errors, count, quiet) as advance:
                if left:
                    advance(done, "Ray starts")
                    finished = run_on_ray(plan, left, folder=folder.path, home=Path.cwd(), workers=workers, told=told)
                    with closing(finished):
                        for shard in finished:
                            done += shard.count
                            advance(done, f"shard {shard.number}")
                advance(done, f"writing {lines.name}")
                if shards or (resume and lines.exists()):
                    join(
                        folder,
                        shards,
                        lines,
                        boxes=opened.boxes,
                        resume=resume,
                        summary=summary,
                        tell=told,
                        origin=origin,
                    )
                    folder.finish()
                    summary.files = [lines, *write_results(lines, opened.task)]
    except LostShardsError as error:
        for shard in error.shards:
            names = [item.source if isinstance(item, Notice) else item.name for item in folder.inputs(shard)]
            complain(errors, f"shard {shard.number} ended every worker that took it: {names[0]} ... {names[-1]}")
        complain(errors, f"all others are in {folder.path}; --resume tries these again")
        return 2
    except (ValueError, OSError, RuntimeError, MemoryError) as error:
        complain(errors, error_text(error))
        return 2
    except KeyboardInterrupt:
        kept = sum(folder.file(shard).exists() for shard in shards)
        told(f"{kept:,} of {len(shards):,} shards are in {folder.path}; --resume goes on")
        raise
    finally:
        with suppress(OSError):  # there is something in it
            folder.path.rmdir()
    if not quiet:
        print_summary(console, summary, None, opened.task)
    if not count and not summary.before:
        complain(errors, "no picture came: the inputs name none")
    return summary.exit_code


def _left(items: Iterable[Source | Notice], done: set[str]) -> Iterator[Source | Notice]:
    """Those that an earlier run has not done."""
    return (item for item in items if isinstance(item, Notice) or item.name not in done)


def _named(items: Iterable[Source | Notice], boxes: DetectionFile) -> Iterator[Source | Notice]:
    """All of them.

    Raises:
        BoxesError: at the end, if the file of boxes names none of the pictures.
    """
    count, named = 0, False
    for item in items:
        if isinstance(item, Source):
            count, named = count + 1, named or boxes.find(item.target) is not None
        yield item
    if count and not named:
        raise BoxesError(f"{boxes.path}: names none of the {count} pictures, but {boxes.named() or 'nothing'}")
