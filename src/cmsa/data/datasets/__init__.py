"""Data sets in their official layouts: one table of readers, which a user's package can extend.

A package adds rows by entry points of the group ``cmsa.datasets``: the name is that of the data set, the object a
``DataSet``.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from functools import partial

from cmsa.data.crops import CropSpec
from cmsa.data.datasets.biwi import read_biwi
from cmsa.data.datasets.cifar import cifar, parquet
from cmsa.data.datasets.class_images import digits, read_class_folders
from cmsa.data.datasets.coco import read_coco
from cmsa.data.datasets.faces_300w_lp import read_300w_lp
from cmsa.data.samples import Samples
from cmsa.geometry.crops import BOX_PADDING, CropConvention
from cmsa.guidance.suggestion import no_such
from cmsa.structures.installed import installed_names, load_installed

GROUP = "cmsa.datasets"


@dataclass(frozen=True)
class Framing:
    """How much of a picture is kept around a region.

    Attributes:
        padding: a region is extended to the input's aspect and enlarged by this factor.
        room: in a training store, the strongest enlargement and turn in degrees of the region that it has room for;
            None where the network's input is all that is kept.
    """

    padding: float = 1.0
    room: tuple[float, float] | None = None

    def spec(
        self,
        size: tuple[int, int],
        *,
        training: bool,
        density: float | None = None,
        convention: CropConvention = "pixel",
        antialias: bool = True,
    ) -> CropSpec:
        """How crops for inputs of ``size`` (H, W) are cut and kept, see ``CropSpec``."""
        if training and self.room:
            scale, rotation = self.room
            return CropSpec.for_training(
                size, scale, rotation, density, padding=self.padding, convention=convention, antialias=antialias
            )
        return CropSpec.for_evaluation(size, padding=self.padding, convention=convention, antialias=antialias)


PEOPLE = Framing(BOX_PADDING, room=(1.35, 90.0))
"""HRNet's padding and augmentation."""
FACES = Framing(room=(1.35, 45.0))
"""The margin is part of the region; room for one enlarged so much, or by 1.2 and shifted by 0.07 of its sides."""
WHOLE_IMAGES = Framing()


@dataclass(frozen=True)
class DataSet:
    """A row of the table.

    Attributes:
        task: that a store of it is for: ``pose``, ``head_pose`` or ``classification``.
        read: takes ``training`` (bool) and the options below by keyword, gives the samples. What is merely wrong in
            the data is noted in their problems; an error is a ``ValueError`` that names the file.
        required: options of ``cmsa prepare`` that must be given, of ``images``, ``annotations``, ``detections``,
            ``category``, ``keypoints``, ``margin``, ``flips`` and ``boxes``; and optional: those that may be.
        framing: of the crops.
        size: (H, W) of the input, unless another one is asked for.
    """

    task: str
    read: Callable[..., Samples]
    required: tuple[str, ...] = ("images",)
    optional: tuple[str, ...] = ()
    framing: Framing = WHOLE_IMAGES
    size: tuple[int, int] = (32, 32)


DATASETS: dict[str, DataSet] = {
    "coco": DataSet(
        "pose", read_coco, ("annotations", "images"), ("detections", "category", "keypoints"), PEOPLE, (32, 24)
    ),
    "300w-lp": DataSet("head_pose", read_300w_lp, optional=("margin", "flips"), framing=FACES),
    "aflw2000": DataSet("head_pose", partial(read_300w_lp, data="aflw2000"), optional=("margin",), framing=FACES),
    "biwi": DataSet("head_pose", read_biwi, optional=("margin", "boxes"), framing=FACES),
    "cifar10": DataSet("classification", partial(cifar, kind="cifar10")),
    "cifar100": DataSet("classification", partial(cifar, kind="cifar100")),
    "parquet": DataSet("classification", parquet),
    "folder": DataSet("classification", read_class_folders),
    "digits": DataSet("classification", digits, required=(), size=(16, 16)),
}
"""The data sets that come with the package."""


def data_set_names() -> list[str]:
    """Names of all data sets, those of installed packages last."""
    return [*DATASETS, *sorted(set(installed_names(GROUP)) - DATASETS.keys())]


def data_set(name: str) -> DataSet:
    """A row of the table, or of an installed package.

    Raises:
        ValueError: there is none of that name, or what the package names cannot be loaded or is no ``DataSet``.
    """
    if name in DATASETS:
        return DATASETS[name]
    found: DataSet | None = load_installed(GROUP, name, DataSet)
    if found is None:
        raise ValueError(no_such("data set", name, data_set_names()))
    return found
