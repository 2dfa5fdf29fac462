"""Which weights of a run are kept as weights files."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

from lightning.pytorch import LightningModule, Trainer
from lightning.pytorch.callbacks import Callback

from cmsa.models.pretrained import OF_RUNS
from cmsa.models.weights import save_weights
from cmsa.training.module import TrainingModule
from cmsa.training.run_folder import LAST


class BestWeights(Callback):
    """Writes ``best.safetensors`` and ``last.safetensors`` beside the checkpoints, after each validation.

    Without a validation store there is no best; the last weights are written after each epoch.

    Args:
        folder: where they go.
        monitored: name of the score that decides, and whether ``max`` or ``min`` is best.
    """

    def __init__(self, folder: Path, monitored: tuple[str, str]) -> None:
        self.folder, self.key = folder, f"val/{monitored[0]}"
        self.sign = 1.0 if monitored[1] == "max" else -1.0
        self.best = -math.inf

    @property
    def file(self) -> Path:
        """The best weights."""
        return self.folder / OF_RUNS

    @property
    def score(self) -> float:
        """The best score so far; infinite before the first."""
        return self.sign * self.best

    def on_validation_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights that were just scored."""
        if not trainer.sanity_checking:
            self._keep(trainer, pl_module)

    def on_train_epoch_end(self, trainer: Trainer, pl_module: LightningModule) -> None:
        """Keep the weights where nothing scores them."""
        assert isinstance(pl_module, TrainingModule)
        if not pl_module.validate_stores:
            self._keep(trainer, pl_module)

    def _keep(self, trainer: Trainer, pl_module: LightningModule) -> None:
        assert isinstance(pl_module, TrainingModule)
        network = pl_module.evaluated
        if not trainer.is_global_zero:
            return
        logged = trainer.callback_metrics.items()
        scores = {key: float(value) for key, value in logged if "/" in key and not key.startswith(("train/", "lr-"))}
        training = {
            "data": ", ".join(Path(folder).stem for folder in pl_module.recipe.data.train),
            "epoch": trainer.current_epoch + 1,
            "scores": scores,
            "recipe": pl_module.recipe.to_dict(),
        }
        save_weights(self.folder / LAST, network, training=training)
        # A score that is not a number is never above the best one.
        score = self.sign * scores.get(self.key, math.nan)
        if score > self.best:
            self.best = score
            save_weights(self.file, network, training=training)

    def state_dict(self) -> dict[str, Any]:
        """The best score so far."""
        return {"best": self.best}

    def load_state_dict(self, state_dict: dict[str, Any]) -> None:
        """Go on from an earlier best score."""
        self.best = state_dict["best"]
