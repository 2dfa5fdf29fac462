"""Where in a run a checkpoint was written, and how a resumed trainer is told.

Lightning's own records of a run say at which of its steps a checkpoint was written, and what it makes of them when it
resumes depends on the hook that wrote it: steps are counted twice, or a validation is left out. So a checkpoint says in
two numbers what is done, and Lightning's records are made anew from these.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

from lightning.pytorch import Trainer

KEY = "position"
"""Of a checkpoint."""


@dataclass(frozen=True)
class Position:
    """What is done of a run.

    Attributes:
        epochs: that are over, validation and all.
        batches: done of the next one; all of them if only its validation is left.
        left: batches that this epoch still has.
    """

    epochs: int
    batches: int
    left: int

    def to_dict(self) -> dict[str, int]:
        """As it stands in a checkpoint."""
        return asdict(self)


def position_now(trainer: Trainer) -> Position:
    """Where a trainer is; to be asked between two batches, in a validation, or when an epoch is over."""
    progress = trainer.fit_loop.epoch_progress.state_dict()["current"]
    epochs, over = progress["processed"], progress["processed"] == progress["ready"]
    batches = trainer.fit_loop.epoch_loop.batch_progress.current.completed
    left = int(trainer.num_training_batches) - batches
    if over and left > 0:
        # The run was told to end in the middle of an epoch.
        return Position(epochs - 1, batches, left)
    return Position(epochs, 0, left + batches) if over else Position(epochs, batches, left)


def position_of(checkpoint: dict[str, Any]) -> Position:
    """Where a checkpoint was written; those of earlier versions only have Lightning's records."""
    if KEY in checkpoint:
        return Position(**checkpoint[KEY])
    loops = checkpoint["loops"]["fit_loop"]
    epochs, progress = loops["epoch_progress"]["current"], loops["epoch_loop.batch_progress"]
    batches, last = progress["current"]["processed"], progress["is_last_batch"]
    validated = loops["epoch_loop.val_loop.batch_progress"]["total"]["ready"] > 0
    if epochs["processed"] == epochs["ready"]:
        return Position(epochs["processed"], 0, batches)
    if last and validated:
        return Position(epochs["processed"] + 1, 0, batches)
    return Position(epochs["processed"], batches, 0 if last else 1)


def resume_at(position: Position, checkpoint: dict[str, Any]) -> None:
    """Write Lightning's records in a checkpoint so that a trainer goes on at a position: no batch twice, none left out.

    An epoch that only lacks its validation gets it.
    """
    steps, batches, started = checkpoint["global_step"], position.batches, position.epochs + (position.batches > 0)
    only_validation = batches > 0 and position.left == 0
    loops = checkpoint["loops"]["fit_loop"]
    loops["epoch_progress"] = _both(
        ready=started, started=started, processed=position.epochs, completed=position.epochs
    )
    loops["epoch_loop.batch_progress"] = {
        **_counted(steps, batches, "ready", "started", "processed", "completed"),
        "is_last_batch": only_validation,
    }
    loops["epoch_loop.scheduler_progress"] = _counted(steps, batches, "ready", "completed")
    loops["epoch_loop.automatic_optimization.optim_progress"] = {
        "optimizer": {
            "step": _counted(steps, batches, "ready", "completed"),
            "zero_grad": _counted(steps, batches, "ready", "started", "completed"),
        }
    }
    # One batch of validation that was begun and not done makes Lightning validate, from the first batch on.
    begun = int(only_validation)
    validation = {"ready": begun, "started": begun, "processed": 0, "completed": 0}
    loops["epoch_loop.val_loop.batch_progress"] = {
        "total": validation,
        "current": dict.fromkeys(validation, 0),
        "is_last_batch": False,
    }
    # Lightning counts an epoch's last batch after its validation.
    loops["epoch_loop.state_dict"] = {"_batches_that_stepped": steps - only_validation}


def _both(**counts: int) -> dict[str, dict[str, int]]:
    return {"total": dict(counts), "current": dict(counts)}


def _counted(total: int, current: int, *names: str) -> dict[str, dict[str, int]]:
    return {"total": dict.fromkeys(names, total), "current": dict.fromkeys(names, current)}
