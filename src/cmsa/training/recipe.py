"""Recipes: one YAML file says how a model is trained; every number can be overridden on the command line.

Examples:
    >>> from cmsa.training.recipe import load_recipe
    >>> recipe = load_recipe("pose_finetune", ["--optimizer.epochs", "5", "--augment.rotation_std", "90"])
    >>> recipe.model.init, recipe.optimizer.epochs, recipe.augment.rotation_std
    ('cmsa_n_pose_32x24', 5, 90.0)
"""

from __future__ import annotations

import math
import re
from collections.abc import Mapping, Sequence
from dataclasses import asdict, dataclass, field, fields, is_dataclass, replace
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Literal

from cmsa.guidance.suggestion import did_you_mean, options_of
from cmsa.training.protocols import with_protocol
from cmsa.training.recipe_checks import check_recipe, leaves
from cmsa.training.recipe_files import read_recipe

if TYPE_CHECKING:
    from jsonargparse import ArgumentParser

DEIT_BATCH = 512
"""Of which DeiT's learning rate is said (arXiv 2012.12877)."""


@dataclass
class ModelRecipe:
    """Which network.

    Attributes:
        name: ``cmsa_n`` to ``cmsa_l``, ``timm/NAME`` for any network of timm, or a registered backbone.
        task: pose, head_pose or classification.
        input_size: [H, W].
        working_size: [H, W] that images are enlarged to inside the network; for other networks than CMSA.
        options: further arguments of ``create_model``, e.g. ``fusion`` of pose or ``head`` of head pose.
        init: weights file to start from; bias tables are resized to ``input_size``, a differing head is left out. From
            the weights of a smaller CMSA with the same task and options the network is grown, see ``grow``.
    """

    name: str = "cmsa_s"
    task: str = "pose"
    input_size: list[int] = field(default_factory=lambda: [32, 24])
    working_size: list[int] | None = None
    options: dict[str, Any] = field(default_factory=dict)
    init: str | None = None

    @property
    def size(self) -> tuple[int, int]:
        """(H, W) of the images."""
        height, width = self.input_size
        return height, width

    @property
    def all_options(self) -> dict[str, Any]:
        """Those of ``create_model``, ``working_size`` among them where there is one."""
        return self.options | ({"working_size": self.working_size} if self.working_size else {})


@dataclass
class DataRecipe:
    """Packed stores, made by ``cmsa prepare``.

    Attributes:
        train: stores cut for training.
        validate: stores cut for evaluation.
        fraction: of the training samples that are seen, drawn by the seed; a smaller one is a part of a larger one.
        antialias: how crops must have been cut: averaged (true), or sampled bilinearly as the reference codes do
            (false, ``cmsa prepare --no-antialias``); stores are taken as they are where it is not said.
        workers: loader processes; 0 reads in the training process.
        prepare: arguments of ``cmsa prepare``, one line for each store that can be made without more ado; the command
            line makes those that are missing.
    """

    train: list[str] = field(default_factory=list)
    validate: list[str] = field(default_factory=list)
    fraction: float = 1.0
    antialias: bool | None = None
    workers: int = 0
    prepare: list[str] = field(default_factory=list)


@dataclass
class AugmentRecipe:
    """Strength of the augmentation, see ``AffineRange`` and ``Augmentation``.

    Attributes:
        scale_std, rotation_std, rotation_limit, rotation_probability, flip_probability: of the affine map.
        half_body_probability: how often a half body replaces the whole.
        truncation_probability: how often a part of a body is cut off, see ``truncate``; for poses (beyond the paper).
        translation: fraction of the sides; whole_pixels: shift by whole pixels only.
        jitter: brightness, contrast and saturation.
        degradation_probability: the share of images that each of blur, noise and JPEG is done to, see ``Degradation``.
        blur: the largest standard deviation, in pixels of the input; noise: the largest, of 255 grey levels; jpeg: the
            lowest quality, 1 to 95; 0 leaves each of them out.
        erasing_probability: of random erasing.
        mixup: alpha of the Beta distribution of mixup, for classification; 0 for none.
        cutmix: alpha of CutMix; 0 for none. switch: where there are both, how often a batch has CutMix.
        randaugment: magnitude of RandAugment, 1 to 10, see ``RandAugment``; 0 for none.
        repeats: how often each sample stands in an epoch, which is as long as without (repeated augmentation).
        supersample: bilinear samples per output pixel along each axis.
    """

    scale_std: float = 0.35
    scale_limits: list[float] = field(default_factory=lambda: [0.65, 1.35])
    rotation_std: float = 45
    rotation_limit: float = 90
    rotation_probability: float = 0.6
    flip_probability: float = 0.5
    half_body_probability: float = 0.3
    truncation_probability: float = 0.0
    translation: float = 0.0
    whole_pixels: bool = False
    jitter: float = 0.0
    degradation_probability: float = 0.0
    blur: float = 1.0
    noise: float = 20.0
    jpeg: int = 40
    erasing_probability: float = 0.0
    mixup: float = 0.0
    cutmix: float = 0.0
    switch: float = 0.5
    randaugment: float = 0.0
    repeats: int = 1
    supersample: int = 2


@dataclass
class OptimizerRecipe:
    """AdamW and its schedule.

    Attributes:
        epochs: over the training samples, each with a validation at its end.
        samples: to see in all, 0 for what the epochs come to. They are cut into as many epochs as ``epochs`` says, or
            more where there are not so many samples; the schedule's epochs are cut with them.
        learning_rate: the highest; final_learning_rate: the last of the cosine, whatever the rule.
        learning_rate_rule: what ``learning_rate`` is multiplied by: ``fixed``, 1; ``linear``, the number of processes
            (GPUs), each of which has batches of ``batch_size``; ``deit``, batch_size · processes / 512.
        schedule: ``cosine``, or ``step``: times 0.1 at each of ``step_epochs``.
        warmup_epochs: linear from 0; fractions are allowed.
        weight_decay: not applied to biases, norms and bias tables.
        clip_norm: largest norm of the gradient, 0 for no limit.
        ema_decay: of the exponential moving average of the weights, 0 for none.
        scored_weights: which are evaluated and kept: the ``average`` where there is one, or always the ``network``'s.
    """

    epochs: int = 210
    samples: int = 0
    batch_size: int = 32
    learning_rate: float = 2.5e-3
    learning_rate_rule: Literal["fixed", "linear", "deit"] = "fixed"
    final_learning_rate: float = 1e-5
    schedule: Literal["cosine", "step"] = "cosine"
    step_epochs: list[int] = field(default_factory=lambda: [170, 200])
    warmup_epochs: float = 5
    weight_decay: float = 0.05
    clip_norm: float = 0.0
    ema_decay: float = 0.0
    scored_weights: Literal["average", "network"] = "average"

    def scaled(self, processes: int) -> OptimizerRecipe:
        """With the learning rate that ``learning_rate_rule`` makes of it for so many processes."""
        factors = {"fixed": 1.0, "linear": processes, "deit": self.batch_size * processes / DEIT_BATCH}
        return replace(self, learning_rate=self.learning_rate * factors[self.learning_rate_rule])

    def epochs_and_batches(self, available: int, processes: int = 1) -> tuple[int, int | None]:
        """How many epochs there are, and how many batches each has; None for all that there are.

        Args:
            available: batches of an epoch that sees every sample, of one process.
            processes: that see as many samples at a time.
        """
        if not self.samples:
            return self.epochs, None
        batches = max(1, round(self.samples / self.batch_size / processes))
        epochs = min(max(self.epochs, math.ceil(batches / available)), batches)
        return epochs, round(batches / epochs)

    def learning_rate_factor(self, step: int, steps: int) -> float:
        """Learning rate at ``step`` of ``steps`` as a fraction of the highest."""
        per_epoch = steps / self.epochs
        warmup = self.warmup_epochs * per_epoch
        if step < warmup:
            return (step + 1) / (warmup + 1)
        if self.schedule == "step":
            return float(0.1 ** sum(step >= epoch * per_epoch for epoch in self.step_epochs))
        lowest = self.final_learning_rate / self.learning_rate
        progress = (step - warmup) / max(1.0, steps - warmup)
        return lowest + (1 - lowest) * 0.5 * (1 + math.cos(math.pi * min(1.0, progress)))


@dataclass
class TeacherRecipe:
    """A network to learn from, see ``cmsa.training.teacher``.

    Attributes:
        weights: a shipped name, a weights file, or an ONNX or OpenVINO file; none by default.
        share: of the loss, 0 to 1; the labels have the rest.
        threshold: of pose, keypoints of which the teacher is less sure are no target.
        anchor: of pose and ONNX or OpenVINO files, where heatmap pixels lie in the input, see ``ForeignOptions``.
    """

    weights: str = ""
    share: float = 0.5
    threshold: float = 0.2
    anchor: Literal["corner", "center"] = "corner"


@dataclass
class Recipe:
    """Everything that decides what is trained.

    Attributes:
        title: what this recipe reproduces.
        published: the paper's scores, for the report; none where overrides make it another network.
        protocol: ``ours`` or ``release``: what stands in ``cmsa.training.protocols`` for the entries that the recipe
            leaves open, docs/protocols.md has the table; none by default.
        ours: our scores, or why there are none.
        cost: what the run costs.
        codec: of pose: ``quarter``, ``exact_quarter``, ``dark`` or ``udp`` of heatmaps, or ``simcc``, which brings
            its head.
        loss: of pose: ``mse``, the paper's and the default of heatmaps, or ``cross_entropy``.
        sigma: of pose: the width of the targets, in heatmap pixels or SimCC's bins; by default each codec's own.
        keypoints: of pose, what is known better of them than the store tells: ``flip_pairs``, ``sigmas``, ``skeleton``,
            ``upper_body``, ``torso``, see ``cmsa.structures.keypoint_set``.
        alpha: of head pose with bins, weight of the squared error beside the cross-entropy.
        label_smoothing: of classification and of SimCC, the share of a target that is spread over all classes or bins.
        seed: of weights, order and augmentation.
        teacher: a network to learn from beside the labels.
    """

    title: str = ""
    published: dict[str, Any] = field(default_factory=dict)
    protocol: Literal["", "ours", "release"] = ""
    ours: str = "not run"
    cost: str = ""
    codec: str = "udp"
    loss: str | None = None
    sigma: float | None = None
    keypoints: dict[str, Any] = field(default_factory=dict)
    alpha: float = 1.0
    label_smoothing: float = 0.0
    seed: int = 0
    model: ModelRecipe = field(default_factory=ModelRecipe)
    data: DataRecipe = field(default_factory=DataRecipe)
    augment: AugmentRecipe = field(default_factory=AugmentRecipe)
    optimizer: OptimizerRecipe = field(default_factory=OptimizerRecipe)
    teacher: TeacherRecipe = field(default_factory=TeacherRecipe)

    def to_dict(self) -> dict[str, Any]:
        """Plain values, as in the YAML file."""
        return asdict(self)


@lru_cache
def _parser() -> ArgumentParser:
    """Of all entries; to make it takes as long as to read a recipe with it."""
    from jsonargparse import ArgumentParser

    parser = ArgumentParser(exit_on_error=False, allow_abbrev=False)
    parser.add_argument("--recipe", action="config")
    parser.add_class_arguments(Recipe)
    return parser


_WRONG_TYPE = re.compile(r"Parser key \"([\w.]+)\": Expected an? <class '(\w+)'>\. Got value: (.*)")
"""What jsonargparse says, in words of its own."""


_NO_CHOICE = re.compile(r"Parser key \"([\w.]+)\": Expected a typing\.Literal\[(.*?)\]\. Got value: (.*)")


_NO_SECTION = re.compile(r"Parser key \"(\w+)\": Unable to load config .*")


def _check_given(entries: Mapping[str, Any]) -> None:
    """Refuse a section that is none, and an entry without a value, which jsonargparse takes from files."""
    for section in (entry.name for entry in fields(Recipe) if is_dataclass(entry.default_factory)):
        if not isinstance(entries.get(section, {}), dict):
            raise ValueError(f"{section} must hold entries of its own, got {entries[section]!r}")
    for name, default in leaves(Recipe()):
        section, _, entry = name.rpartition(".")
        given = entries.get(section, {}) if section else entries
        if given.get(entry, default) is None and default is not None:
            raise ValueError(f"{name} has no value: give it one, or leave it out for {default!r}")


def _choices(found: re.Match[str]) -> str:
    """What an entry may be, and what it is."""
    name, choices, given = found.groups()
    known = [choice for choice in re.findall(r"'([^']*)'", choices) if choice]
    return f"{name} is one of {', '.join(known)}, not {given!r}{did_you_mean([given], known)}"


def load_recipe(name: str, overrides: Sequence[str] = ()) -> Recipe:
    """Read a recipe and apply overrides like ``--optimizer.epochs 3``.

    Raises:
        FileNotFoundError: there is no such recipe.
        ValueError: an entry is unknown, of the wrong type or out of its range; it is named.
    """
    import yaml

    parser = _parser()
    entries = read_recipe(name)
    try:
        _check_given(entries)
        parsed = parser.parse_args([f"--recipe={yaml.safe_dump(entries)}", *overrides])
        if parsed.protocol:
            entries = with_protocol(entries, parsed.protocol, parsed.model.task, parsed.model.name)
            parsed = parser.parse_args([f"--recipe={yaml.safe_dump(entries)}", *overrides])
        # What it was called before 4.49 ends with version 5.
        build = parser.instantiate if hasattr(parser, "instantiate") else parser.instantiate_classes
        values = build(parsed).as_dict()
    except Exception as error:  # jsonargparse raises its own and argparse's errors
        told = _WRONG_TYPE.sub(r"\1 must be of the type \2, got \3", " ".join(str(error).split()))
        told = _NO_SECTION.sub(r"\1 must hold entries of its own", told)
        told = _NO_CHOICE.sub(_choices, told)
        if "unrecognized arguments" in told:
            entries_known = set(parser._option_string_actions) - {"--recipe", "--help"}
            told += did_you_mean(options_of(overrides), entries_known)
        raise ValueError(f"recipe {name}: {told}") from error
    values.pop("recipe")
    recipe = Recipe(**values)
    # ``--model.options '{attention: grouped}'`` sets one option; the recipe's others stay.
    recipe.model.options = dict((entries.get("model") or {}).get("options") or {}) | recipe.model.options
    own = ModelRecipe(**(entries.get("model") or {}))
    if recipe.published and recipe.model != replace(own, init=recipe.model.init):
        recipe.published = {}
    try:
        check_recipe(recipe)
    except ValueError as error:
        raise ValueError(f"recipe {name}: {error}") from error
    return recipe
