"""When a run's checkpoint is written: every few minutes, after each epoch, and when it has to end."""

from __future__ import annotations

import errno
import signal
import sys
import time
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from cmsa.files.whole import whole_file
from cmsa.guidance.counts import count_of
from cmsa.guidance.errors import first_line
from cmsa.training.interruption import Interrupted, SignalWatch
from cmsa.training.metrics_file import MetricsFile
from cmsa.training.position import KEY, position_now, position_of, resume_at

ROWS = "metrics_rows"
"""Entry of a checkpoint: how many rows of the metrics file are from before it."""
AGREE_EVERY = 20
"""Steps. Several processes must end after the same one, and to ask each other costs time."""


class Checkpoints(Callback):
    """Writes ``last.ckpt`` between two batches, where nothing is half done; it replaces the one before when whole.

    SIGINT and SIGTERM end the run after the batch that they come in, with a checkpoint. So does a failing validation.
    A training step that fails leaves the last checkpoint as it is: it may have failed because the weights are bad.

    Args:
        file: the checkpoint.
        minutes: how often it is written, besides after each epoch.
    """

    def __init__(self, file: Path, minutes: float) -> None:
        self.file, self.seconds = file, 60 * minutes
        self.watch = SignalWatch()
        self.written = time.monotonic()

    def on_save_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Say where it is."""
        checkpoint[KEY] = position_now(trainer).to_dict()
        checkpoint[ROWS] = next((len(log) for log in trainer.loggers if isinstance(log, MetricsFile)), 0)

    def on_load_checkpoint(self, trainer: Trainer, pl_module: LightningModule, checkpoint: dict[str, Any]) -> None:
        """Go on where it was written, with the metrics of until then."""
        resume_at(position_of(checkpoint), checkpoint)
        for log in trainer.loggers:
            if isinstance(log, MetricsFile) and trainer.is_global_zero:
                log.go_on(checkpoint.get(ROWS), checkpoint["global_step"])

    def on_train_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Take the signals over from Lightning, which ends with an exit code of 0 at SIGTERM."""
        self.watch.start()
        self.written = time.monotonic()

    def on_train_batch_start(self, trainer: Trainer, pl_module: LightningModule, batch: Any, index: int) -> None:
        """All that belongs to the batch before is done and logged."""
        if trainer.global_step == 0 and self.watch.noted is None:
            return
        self._look(trainer)

    def on_validation_start(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The last batch of an epoch is done and logged; if it ends here, a resumed run validates it."""
        if not trainer.sanity_checking:
            self._look(trainer)

    def on_validation_batch_end(self, trainer: Trainer, *_: Any) -> None:
        """A validation takes long; the weights are as they were when it began."""
        if self.watch.noted is not None and trainer.world_size == 1:
            self._end(trainer)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """The epoch is over, and validated."""
        self._save(trainer)

    def on_exception(self, trainer: Trainer, pl_module: LightningModule, exception: BaseException) -> None:
        """A validation that fails costs no training."""
        self.watch.stop()
        if isinstance(exception, Interrupted) or trainer.world_size > 1:
            return
        if trainer.validating:
            self._save(trainer)
        if self.file.is_file():
            print(f"{self.file}: the run can go on from here with --resume", file=sys.stderr)

    def on_train_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Signals are Lightning's again, which gives them back to the caller next; after that it would not."""
        self.watch.stop()

    def _look(self, trainer: Trainer) -> None:
        """Write a checkpoint if it is time, and end if that was asked for."""
        if trainer.world_size > 1:
            if trainer.global_step % AGREE_EVERY:
                return
            told = trainer.strategy.reduce_boolean_decision(self.watch.noted is not None, all=False)
            due = trainer.strategy.reduce_boolean_decision(self._due(), all=False)
            self.watch.noted = self.watch.noted or (signal.SIGTERM if told else None)
        else:
            due = self._due()
        if self.watch.noted is not None:
            self._end(trainer)
        if due:
            self._save(trainer)

    def _due(self) -> bool:
        return time.monotonic() - self.written >= self.seconds

    def _end(self, trainer: Trainer) -> None:
        assert self.watch.noted is not None
        self._save(trainer)
        name = signal.Signals(self.watch.noted).name
        raise Interrupted(
            self.watch.noted,
            f"{name} after {count_of(trainer.global_step, 'step')}; {self.file} holds all: go on with --resume",
        )

    def _save(self, trainer: Trainer) -> None:
        # What a checkpoint counts as logged must be in the file.
        for log in trainer.loggers:
            log.save()
        if not trainer.is_global_zero:
            trainer.save_checkpoint(self.file)
            return
        with whole_file(self.file) as partial:
            try:
                trainer.save_checkpoint(partial)
            except RuntimeError as error:  # what PyTorch's writer makes of a full disk
                raise OSError(errno.EIO, first_line(error)) from error
        self.written = time.monotonic()
