"""Results of a stream, one after the other: kept line by line, counted, drawn; the files at the end."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from pathlib import Path

from cmsa.data.boxes import DetectionFile
from cmsa.inference.files.drawing import Drawing
from cmsa.inference.files.lines import notice_line, result_line
from cmsa.inference.files.origin import Origin, refuse_another, write_origin
from cmsa.inference.files.results import RESULTS, set_aside, write_results
from cmsa.inference.files.summary import KEPT, Summary
from cmsa.inference.jsonl import Record, ResultLines, ResultsError, read_results
from cmsa.inference.pipeline import FrameResult
from cmsa.inference.streams import Notice
from cmsa.tasks import Task


@dataclass
class ImageIds:
    """Image ids: the boxes file's, and for other pictures running ones that differ from these."""

    reserved: set[int] = field(default_factory=set)
    used: set[int] = field(default_factory=set)
    last: int = 0

    def take(self, wanted: int | None) -> int:
        """The wanted id if it is one of the file's and no picture has it yet, else the next running one."""
        if wanted is not None and wanted in self.reserved and wanted not in self.used:
            self.used.add(wanted)
            return wanted
        self.last += 1
        while self.last in self.reserved:
            self.last += 1
        return self.last

    def known(self, taken: int) -> None:
        """An id that an earlier run took."""
        if taken in self.reserved:
            self.used.add(taken)
        else:
            self.last = max(self.last, taken)


@dataclass
class FileRun:
    """Writes what a stream's results say.

    Attributes:
        folder: of the results; made with the first one.
        task: that the values are of.
        boxes: a file of boxes, whose image ids count.
        drawing: draws annotated pictures.
        top: classes to keep.
        resume: go on with the results that are there.
        summary: what became of the inputs so far.
        tell: called at once with what happens to a camera, and is no loss.
        origin: what the lines come from, see ``origin_of``; None keeps none and asks for none.

    Raises:
        ResultsError: the results to go on with are damaged, of another task or of another origin.
    """

    folder: Path
    task: Task
    boxes: DetectionFile | None = None
    drawing: Drawing | None = None
    top: int = 5
    resume: bool = False
    summary: Summary = field(default_factory=Summary)
    tell: Callable[[str], None] = lambda text: None
    origin: Origin | None = None

    def __post_init__(self) -> None:
        self.path = self.folder / RESULTS
        self._lines: ResultLines | None = None
        self._early: list[Record] = []
        self._begun = False
        self._ids = ImageIds(self.boxes.image_ids if self.boxes else set())
        if self.resume and self.path.exists():
            self._lines = ResultLines(self.path, resume=True)
            try:
                for number, record in enumerate(read_results(self.path), start=1):
                    self._known(record, number)
                if self.origin is not None:
                    refuse_another(self.path, self.origin, self.tell)
            except ResultsError:
                self._lines.close()
                raise

    def _known(self, record: Record, number: int) -> None:
        """A line of an earlier run, which must be of the same task: the files at the end are made of all lines."""
        width = len(self.task.row_headings())
        try:
            rows = [row for entry in record.get("predictions", ()) if width for row in self.task.rows(entry)]
        except (LookupError, TypeError, AttributeError):
            rows = [[]]
        if any(len(row) != width for row in rows):
            raise ResultsError(
                f"{self.path}, line {number}: is no result of {self.task.command} by these weights; go on as the run "
                "began, or into another folder"
            )
        if isinstance(record.get("image_id"), int):
            self._ids.known(record["image_id"])
            self.summary.before += 1

    @property
    def done(self) -> dict[str, int]:
        """Of an earlier run, the number of the last frame of each source."""
        return dict(self._lines.done) if self._lines else {}

    def run(
        self, items: Iterator[FrameResult | Notice], advance: Callable[[int, str], None] = lambda count, name: None
    ) -> None:
        """Keep all results. The files at the end are also written where an error or Ctrl-C brings it early.

        Args:
            items: of ``Pipeline.run``.
            advance: told after each picture how many are done, and its name; for a progress bar.

        Raises:
            OSError: results cannot be written; those up to the last whole line are kept.
        """
        try:
            for item in items:
                if isinstance(item, Notice):
                    self._told(item)
                else:
                    self._keep(item)
                advance(self.summary.done, item.source if isinstance(item, Notice) else item.frame.source)
        finally:
            try:
                if self.drawing is not None:
                    self.drawing.close()
            finally:
                if self._lines is not None:
                    self._lines.close()
                    self.summary.files = [self.path]
                    self.summary.files += write_results(self.path, self.task)

    def _told(self, notice: Notice) -> None:
        if notice.failed:
            self.summary.skipped.add(notice.label, notice.text)
            self._write(notice_line(notice))
        else:
            self.summary.told.add(notice.label, notice.text)
            self.tell(f"{notice.label}: {notice.text}")

    def _keep(self, result: FrameResult) -> None:
        frame, summary = result.frame, self.summary
        found = self.boxes.find(frame.path) if self.boxes and frame.path else None
        line = result_line(result, self.task, self.top, self._ids.take(found.image_id if found else None))
        if not self._begun:
            self._begin()
        if self.drawing is not None:
            self.drawing.make_room(result)
        self._write(line)
        if self.drawing is not None:
            self.drawing.add(result)
        summary.count(frame.label, line)
        values = zip(result.identities, result.values, strict=True)
        summary.shown += [(frame.label, *pair) for pair in values][: KEPT - len(summary.shown)]

    def _begin(self) -> None:
        """Only with the first result, for a run that does nothing must not take away what an earlier one did."""
        self._begun, resumed = True, self._lines is not None
        if not resumed:
            self.folder.mkdir(parents=True, exist_ok=True)
            set_aside(self.path, self.tell)
        if self.origin is not None:
            write_origin(self.path, self.origin)
        if not resumed:
            self._lines = ResultLines(self.path)
            for early in self._early:
                self._lines.write(early)

    def _write(self, record: Record) -> None:
        if self._lines is not None:
            self._lines.write(record)
        elif len(self._early) < KEPT:
            self._early.append(record)
