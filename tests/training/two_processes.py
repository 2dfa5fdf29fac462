"""A run of two epochs with a validation, for the tests of several processes.

python two_processes.py FOLDER PROCESSES BATCH [BROKEN]: FOLDER holds the stores; the run goes to FOLDER/run_PROCESSES.
Nothing is random: crops stay as they are, BatchNorm does not count. BROKEN is the process whose loss is not finite.
"""

from __future__ import annotations

import sys
from pathlib import Path

import torch
from torch.nn.modules.batchnorm import _BatchNorm

sys.path.append(str(Path(__file__).parents[1] / "data"))
from tiny_people import tiny_recipe

from cmsa.data.store import CropStore
from cmsa.training.module import TrainingModule
from cmsa.training.train import train


def main(folder: Path, processes: int, batch: int, broken: int | None) -> None:
    stores = [CropStore.open(folder / f"{name}.crops") for name in ("train", "val")]
    recipe = tiny_recipe(*stores, ema_decay=0.9)
    recipe.optimizer.batch_size = batch
    augment = recipe.augment
    augment.scale_std = augment.rotation_probability = augment.flip_probability = augment.half_body_probability = 0.0
    step = TrainingModule.training_step

    def quiet_norms(self: TrainingModule, samples: dict[str, torch.Tensor], index: int) -> torch.Tensor:
        for part in self.network.modules():
            if isinstance(part, _BatchNorm):
                part.eval()
        if self.global_rank == broken and self.global_step == 1:
            with torch.no_grad():
                next(self.network.parameters()).fill_(torch.nan)
        return step(self, samples, index)

    TrainingModule.training_step = quiet_norms  # type: ignore[method-assign]
    out = folder / (f"run_{processes}" if broken is None else "broken")
    train(recipe, out, devices=processes, accelerator="cpu", progress=False)


if __name__ == "__main__":
    torch.set_num_threads(1)
    main(Path(sys.argv[1]), int(sys.argv[2]), int(sys.argv[3]), int(sys.argv[4]) if len(sys.argv) > 4 else None)
