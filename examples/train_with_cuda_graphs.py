"""Trains a recipe as ``cmsa train`` does, but gives a GPU each step in one go, as a CUDA graph.

python examples/train_with_cuda_graphs.py RECIPE --out FOLDER --minutes 10 --optimizer.batch_size 256

A step of a small network is thousands of short kernels, and starting them one by one takes a processor longer than the
GPU needs for them (docs/performance.md). Here the crops lie on the device, eight batches are augmented at a time, and
what a batch then goes through is one graph: forward pass (bf16), loss, backward pass, AdamW, moving average. All of it
is the recipe's, but for the learning rate: it is a cosine over the minutes, and rises in the first ``WARMUP`` steps.
The recipe's epochs, samples, schedule and warm-up are not read.

What ``cmsa train`` does and this does not: checkpoints and ``--resume``, logs and curves, keeping the best weights,
teachers, clipping of gradients, several GPUs, making stores that are missing, stores larger than the GPU's memory.
Without a GPU the same steps run one operator after the other.
"""

import argparse
import math
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import torch
from torch import Tensor

from cmsa.benchmark.step import TrainingStep
from cmsa.data.loader import StoreDataset
from cmsa.data.store import StoreError, store_names
from cmsa.evaluation.evaluate import evaluate_store
from cmsa.files.whole import refuse_unwritable
from cmsa.guidance.errors import error_text
from cmsa.metrics.table import Scores
from cmsa.models.weights import save_weights
from cmsa.training.augmentation import augment_labelled, mixing_of
from cmsa.training.module import TrainingModule, training_loader
from cmsa.training.recipe import OptimizerRecipe, Recipe, load_recipe
from cmsa.training.recipe_checks import check_apart
from cmsa.training.train import build_module

AUGMENTED = 8
"""Batches that are augmented at a time."""
WARMUP = 200
"""Steps in which the learning rate rises."""
TRIED = 4
"""Steps before a graph is recorded, in which PyTorch chooses kernels and AdamW makes its moments."""
WAITING = 64
"""Steps after which the clock waits for the device, which would else be handed work for longer than there is time."""
SCORED = 6
"""How often the validation stores are scored."""
TOLD = 20.0
"""Seconds between two lines about the loss."""
LEAST_MINUTES = 0.01


class Batches:
    """The training stores on a device, and the batches that steps see of them.

    Args:
        module: on that device.
        device: with memory for every crop.
    """

    def __init__(self, module: TrainingModule, device: torch.device) -> None:
        recipe, stores = module.recipe, module.train_stores
        # A store that the recipe names several times is held once.
        once = {store.folder: store for store in stores}
        dataset = StoreDataset(list(once.values()))
        self.held = {name: label.to(device) for name, label in dataset.__getitems__(range(len(dataset))).items()}
        starts = dict(zip(once, dataset.starts[:-1].tolist(), strict=True))
        self.rows = torch.cat([starts[store.folder] + torch.arange(len(store)) for store in stores])
        self.sampler = training_loader(recipe, stores).sampler
        self.task, self.augmentation, self.mixing = module.task, module.augmentation, mixing_of(recipe)
        self.size, self.generator = recipe.optimizer.batch_size, torch.Generator(device).manual_seed(recipe.seed)

    def __iter__(self) -> Iterator[tuple[Tensor, dict[str, Tensor]]]:
        """Images (B, 3, H, W) and targets, epoch after epoch without end."""
        while True:
            epoch = self.rows[torch.tensor(list(self.sampler))].to(self.generator.device)
            for rows in torch.split(epoch[: len(epoch) // self.size * self.size], AUGMENTED * self.size):
                several = {name: label[rows] for name, label in self.held.items()}
                images, moved, _ = augment_labelled(several, self.augmentation, self.task, self.generator)
                targets = self.task.encode(moved)
                for start in range(0, len(rows), self.size):
                    own = {name: target[start : start + self.size] for name, target in targets.items()}
                    yield self.task.mix(images[start : start + self.size], own, self.mixing, self.generator)


class GraphStep:
    """Forward pass, loss, backward pass, AdamW and moving average; one graph where there is a CUDA device.

    Args:
        module: with the network in train mode.
        images, targets: a batch like those to come.
    """

    def __init__(self, module: TrainingModule, images: Tensor, targets: dict[str, Tensor]) -> None:
        # A graph reads what lies where it lay when it was recorded: batches and numbers are copied there.
        images = images.clone(memory_format=torch.channels_last)
        targets = {name: target.clone() for name, target in targets.items()}
        self.step = TrainingStep(module.network, module.task, images, targets, "bf16", module.recipe.optimizer)
        self.rate, self.share = torch.zeros(2, device=images.device)
        for group in self.step.optimizer.param_groups:
            group.update(lr=self.rate, capturable=images.is_cuda)
        self.average = module.average
        kept, new = module.evaluated.state_dict().values(), module.network.state_dict().values()
        # Beside numbers that are averaged there are whole ones, of batches that were seen.
        self.kept, self.new = ([value for value in values if value.is_floating_point()] for values in (kept, new))
        self.counts, self.new_counts = (
            [value for value in values if not value.is_floating_point()] for values in (kept, new)
        )
        self.done, self.graph = 0, torch.cuda.CUDAGraph() if images.is_cuda else None
        if self.graph is not None:
            self._record(self.graph)

    def __call__(self, images: Tensor, targets: dict[str, Tensor], rate: float) -> Tensor:
        """Learn from a batch at this learning rate; returns the loss of before, which the next step overwrites."""
        self.step.images.copy_(images)
        for name, target in targets.items():
            self.step.targets[name].copy_(target)
        self.done += 1
        self.rate.fill_(rate)
        if self.average is not None:
            # The average of few steps must not keep what the network began with.
            self.share.fill_(1 - self.average.get_decay(self.done))
        if self.graph is None:
            return self._run()
        self.graph.replay()
        return self.loss

    def _record(self, graph: torch.cuda.CUDAGraph) -> None:
        # The learning rate and the average's share are still 0: nothing is learned from these steps.
        aside = torch.cuda.Stream()  # type: ignore[no-untyped-call]
        aside.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(aside):
            for _ in range(TRIED):
                self._run()
        torch.cuda.current_stream().wait_stream(aside)
        # The gradients, too, are to lie in the graph's own memory.
        self.step.optimizer.zero_grad()
        with torch.cuda.graph(graph):
            self.loss = self._run()

    def _run(self) -> Tensor:
        loss = self.step.forward()
        self.step.backward(loss)
        self.step.update()
        if self.average is not None:
            self._follow()
        return loss.detach()

    @torch.no_grad()
    def _follow(self) -> None:
        # What torch._foreach_lerp_ does with a number, which a graph would keep as it was.
        difference = torch._foreach_sub(self.new, self.kept)
        torch._foreach_mul_(difference, self.share)
        torch._foreach_add_(self.kept, difference)
        if self.counts:
            torch._foreach_copy_(self.counts, self.new_counts)


def learning_rate(settings: OptimizerRecipe, step: int, progress: float) -> float:
    """Of a step, after a share ``progress`` of the time."""
    highest, lowest = settings.scaled(1).learning_rate, settings.final_learning_rate
    return min(1.0, (step + 1) / WARMUP) * (lowest + (highest - lowest) * 0.5 * (1 + math.cos(math.pi * progress)))


def finite(loss: Tensor, step: int) -> float:
    """The number. To look at it makes a GPU wait.

    Raises:
        FloatingPointError: it is not finite.
    """
    value = loss.item()
    if not math.isfinite(value):
        raise FloatingPointError(f"the loss is not finite after {step} steps")
    return value


def scores_of(module: TrainingModule, device: torch.device) -> dict[str, Scores]:
    """Of the weights that are kept, on each validation store."""
    network, stores = module.evaluated.eval(), module.validate_stores
    scores = {
        name: evaluate_store(network, module.task, store, device=str(device), preprocess=module.preprocess)
        for name, store in zip(store_names(stores), stores, strict=True)
    }
    module.network.train()
    return scores


def train(recipe: Recipe, out: Path, minutes: float) -> Path:
    """Train a recipe for so many minutes, not counting the start; returns the weights file.

    Raises:
        FileExistsError: ``out`` holds weights already.
        OSError: nothing can be written there, which is told before the first step.
        ValueError: the recipe asks for what this cannot do, or what ``cmsa train`` refuses.
        StoreError: a store is missing or damaged.
        FloatingPointError: the loss is not finite.
    """
    check_apart(recipe.data)
    settings, file = recipe.optimizer, out / "last.safetensors"
    if recipe.teacher.weights or settings.clip_norm:
        raise ValueError("teacher.weights and optimizer.clip_norm are for `cmsa train`, not for this example")
    refuse_unwritable(file)
    if file.exists():
        raise FileExistsError(f"{file} is there already: choose another folder")
    device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
    if device.type == "cuda":
        torch.backends.cudnn.benchmark = True
        torch.set_float32_matmul_precision("high")
    torch.manual_seed(recipe.seed)
    module = build_module(recipe).to(device)
    module.network.train()
    batches = iter(Batches(module, device))
    step = GraphStep(module, *next(batches))
    out.mkdir(parents=True, exist_ok=True)
    print(f"ready on {torch.cuda.get_device_name() if step.graph else 'the CPU, without graphs'}", flush=True)

    seconds, begin, told, scored = 60 * minutes, time.monotonic(), 0.0, 0
    while (passed := time.monotonic() - begin) < seconds:
        loss = step(*next(batches), learning_rate(settings, step.done, passed / seconds))
        if step.graph is not None and step.done % WAITING == 0:
            torch.cuda.synchronize()
        if passed - told > TOLD or step.done == 1:
            told = passed
            value = finite(loss, step.done)
            print(f"{passed:.0f} s, {step.done * settings.batch_size:,} crops: loss {value:.4f}", flush=True)
        if passed > (scored + 1) * seconds / SCORED:
            scored += 1
            print(f"{passed:.0f} s: {scores_of(module, device)}", flush=True)
    value, samples, scores = finite(loss, step.done), step.done * settings.batch_size, scores_of(module, device)
    training = {
        "data": ", ".join(dict.fromkeys(Path(folder).stem for folder in recipe.data.train)),
        "samples": samples,
        "scores": scores,
        "recipe": recipe.to_dict(),
    }
    save_weights(file, module.evaluated, training=training)
    print(f"{file}: {samples:,} crops, last loss {value:.4f}; {scores}", flush=True)
    return file


def main(arguments: list[str] | None = None) -> None:
    """Read the command line and train."""
    parser = argparse.ArgumentParser(description=(__doc__ or "").split("\n", 1)[0])
    parser.add_argument("recipe", help="a YAML file, or the name of a shipped recipe")
    parser.add_argument("--out", type=Path, required=True, help="folder of last.safetensors")
    parser.add_argument("--minutes", type=float, required=True)
    options, overrides = parser.parse_known_args(arguments)
    if not LEAST_MINUTES <= options.minutes < math.inf:
        parser.error(f"--minutes must be at least {LEAST_MINUTES}, got {options.minutes}")
    try:
        train(load_recipe(options.recipe, overrides), options.out, options.minutes)
    except (OSError, ValueError, StoreError, FloatingPointError) as error:
        sys.exit(f"error: {error_text(error)}")


if __name__ == "__main__":
    main()
