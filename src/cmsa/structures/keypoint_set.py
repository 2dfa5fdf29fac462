"""What a data set means by its keypoints, as its names, an annotation file or a user tells it."""

from __future__ import annotations

import math
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields, replace
from functools import lru_cache
from typing import Any, Self

from cmsa.guidance.suggestion import did_you_mean, no_such
from cmsa.structures.sides import sides

DEFAULT_SIGMA = 0.05
"""The OKS spread of a keypoint that COCO has none for, in units of the square root of the object's area."""

SIGMAS_OF_COCO = "COCO"
SIGMAS_GIVEN = "given"


class KeypointSetError(ValueError):
    """A keypoint set contradicts itself; the message names the entry."""


@dataclass(frozen=True)
class KeypointSet:
    """What a data set means by its K keypoints. Every index is from 0.

    Attributes:
        names: K names, in the order of the annotation.
        flip_pairs: (left, right) indices that change places when the picture is mirrored.
        sigmas: K spreads of the annotators' marks in units of the square root of the person's area (OKS; COCO).
        skeleton: pairs of indices to join with a line.
        upper_body: indices of the upper half; the others are the lower half (half-body augmentation, HRNet). Empty
            where there are no halves.
        torso: the two keypoints whose distance is PCK's unit (LSP); None for the diagonal of the box.
        sigma_source: where ``sigmas`` come from, for the reports.
        category: name of the category that has these keypoints, and category_id its number in COCO's files.

    Raises:
        KeypointSetError: a name repeats, an index has no keypoint, a keypoint is in two flip pairs, or the sigmas are
            not K numbers above 0.

    Examples:
        >>> from cmsa.structures import COCO, keypoint_set
        >>> len(COCO), COCO.names[COCO.flip_index[COCO.names.index("left_wrist")]]
        (17, 'right_wrist')
        >>> keypoint_set(["nose", "left_ear", "right_ear", "tail"]).flip_pairs  # told by the names
        ((1, 2),)
    """

    names: tuple[str, ...]
    flip_pairs: tuple[tuple[int, int], ...]
    sigmas: tuple[float, ...]
    skeleton: tuple[tuple[int, int], ...]
    upper_body: tuple[int, ...]
    torso: tuple[int, int] | None = None
    sigma_source: str = SIGMAS_GIVEN
    category: str = "person"
    category_id: int = 1

    def __post_init__(self) -> None:
        count = len(self.names)
        if len(set(self.names)) != count:
            raise KeypointSetError(f"KeypointSet.names must differ from each other, got {self.names}")
        if len(self.sigmas) != count:
            raise KeypointSetError(
                f"KeypointSet.sigmas must hold {count} numbers, one for each name, got {len(self.sigmas)}"
            )
        if not all(0 < sigma < math.inf for sigma in self.sigmas):
            raise KeypointSetError(f"KeypointSet.sigmas must be above 0 and finite, got {self.sigmas}")
        paired = [index for pair in self.flip_pairs for index in pair]
        if len(set(paired)) != len(paired):
            raise KeypointSetError(f"KeypointSet.flip_pairs names a keypoint twice: {self.flip_pairs}")
        for field, indices in (
            ("flip_pairs", paired),
            ("skeleton", [index for pair in self.skeleton for index in pair]),
            ("upper_body", self.upper_body),
            ("torso", self.torso or ()),
        ):
            outside = [index for index in indices if not isinstance(index, int) or not 0 <= index < count]
            if outside:
                raise KeypointSetError(f"KeypointSet.{field} points at {outside}, but there are {count} keypoints")

    def __len__(self) -> int:
        return len(self.names)

    @property
    def flip_index(self) -> tuple[int, ...]:
        """K indices: ``points[flip_index]`` of a mirrored picture are in the order of ``names`` again."""
        order = list(range(len(self.names)))
        for left, right in self.flip_pairs:
            order[left], order[right] = right, left
        return tuple(order)

    @property
    def lower_body(self) -> tuple[int, ...]:
        """Indices that are not in ``upper_body``."""
        return tuple(index for index in range(len(self.names)) if index not in self.upper_body)

    def to_json(self) -> dict[str, Any]:
        """Plain values, for a store's notes and a weights file."""
        return asdict(self)

    @classmethod
    def from_json(cls, entries: Mapping[str, Any]) -> Self:
        """The set of ``to_json``'s values; unknown entries, of a later version, do not count.

        Raises:
            KeypointSetError: they make none.
        """
        known = {field.name for field in fields(cls)}
        try:
            return cls(**{key: _as_tuples(value) for key, value in entries.items() if key in known})
        except KeypointSetError:
            raise
        except (TypeError, ValueError, AttributeError) as error:
            raise KeypointSetError(f"keypoints: the entries are not those of a set ({error})") from error


def _as_tuples(value: Any) -> Any:
    return tuple(map(_as_tuples, value)) if isinstance(value, list | tuple) else value


def keypoint_set(
    names: Sequence[str],
    skeleton: Iterable[tuple[int, int]] = (),
    changes: Mapping[str, Any] | None = None,
    *,
    category: str = "person",
    category_id: int = 1,
) -> KeypointSet:
    """A keypoint set, from what its names say and what is given.

    COCO's own names are COCO's set. Otherwise left and right are told by the names, see ``sides``; the torso is left
    shoulder to right hip; the upper body is what is no hip, knee, ankle or foot, where the set has shoulders and hips;
    and a sigma is COCO's for a part that COCO has too, else 0.05.

    Args:
        names: K names.
        skeleton: pairs of indices from 0.
        changes: what is known better: ``flip_pairs``, ``skeleton`` (lists of pairs), ``upper_body`` and ``torso``
            (lists), each by names or indices; ``sigmas``, a list of K numbers, or numbers by name.
        category: name of the annotation's category.
        category_id: its number.

    Raises:
        KeypointSetError: a change is no entry of a set, names a keypoint that there is not, or contradicts another.
    """
    names = tuple(names)
    if names == COCO.names:
        chosen = replace(COCO, category=category, category_id=category_id)
        if links := tuple(skeleton):
            chosen = replace(chosen, skeleton=links)
    else:
        told = sides(names)
        parts = [part for _, part in told]
        place = {named: index for index, named in enumerate(told)}
        sigmas = tuple(_COCO_SIGMAS.get(part, DEFAULT_SIGMA) for part in parts)
        ends = place.get(("left", "shoulder")), place.get(("right", "hip"))
        has_halves = {"hip", "shoulder"} <= set(parts)
        chosen = KeypointSet(
            names,
            _mirror_pairs(told),
            sigmas,
            tuple(skeleton),
            tuple(index for index, part in enumerate(parts) if has_halves and part not in _LOWER),
            (ends[0], ends[1]) if ends[0] is not None and ends[1] is not None else None,
            f"COCO's by name, else {DEFAULT_SIGMA:g}" if set(parts) & set(_COCO_SIGMAS) else f"{DEFAULT_SIGMA:g} each",
            category,
            category_id,
        )
    return changed(chosen, changes or {})


@lru_cache(maxsize=64)
def told_by_names(names: tuple[str, ...]) -> KeypointSet:
    """The set of names alone: as ``keypoint_set``, with COCO's lines between those keypoints that COCO has too."""
    place = {name: index for index, name in enumerate(names)}
    lines = [(COCO.names[first], COCO.names[second]) for first, second in COCO.skeleton]
    skeleton = [(place[first], place[second]) for first, second in lines if first in place and second in place]
    return keypoint_set(names, skeleton)


def changed(keypoints: KeypointSet, changes: Mapping[str, Any]) -> KeypointSet:
    """A set with entries replaced; arguments and errors are those of ``keypoint_set``."""
    allowed = ("flip_pairs", "sigmas", "skeleton", "upper_body", "torso")
    new: dict[str, Any] = {}
    for key, value in changes.items():
        if key not in allowed:
            raise KeypointSetError(f"keypoints: {no_such('entry', key, allowed)}")
        if key == "sigmas":
            new |= {"sigmas": _sigmas(keypoints, value), "sigma_source": SIGMAS_GIVEN}
        elif value is None and key == "torso":
            new[key] = None
        elif key in ("flip_pairs", "skeleton"):
            new[key] = tuple(_pair(keypoints, key, pair) for pair in _listed(key, value))
        elif key == "torso":
            new[key] = _pair(keypoints, key, value)
        else:
            new[key] = tuple(_index(keypoints, key, entry) for entry in _listed(key, value))
    return replace(keypoints, **new)


def _listed(key: str, value: Any) -> Sequence[Any]:
    if not isinstance(value, list | tuple):
        raise KeypointSetError(f"keypoints: {key} must be a list, got {value!r}")
    return value


def _pair(keypoints: KeypointSet, key: str, value: Any) -> tuple[int, int]:
    if not isinstance(value, list | tuple) or len(value) != 2:
        raise KeypointSetError(f"keypoints: {key} must name two keypoints at a time, got {value!r}")
    return _index(keypoints, key, value[0]), _index(keypoints, key, value[1])


def _index(keypoints: KeypointSet, key: str, value: Any) -> int:
    if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < len(keypoints):
        return value
    if value in keypoints.names:
        return keypoints.names.index(value)
    names = keypoints.names
    near = did_you_mean([str(value)], names)
    raise KeypointSetError(f"keypoints: {key} names {value!r}, but there are {', '.join(names)}{near}")


def _sigmas(keypoints: KeypointSet, value: Any) -> tuple[float, ...]:
    try:
        if isinstance(value, Mapping):
            given = {_index(keypoints, "sigmas", name): float(sigma) for name, sigma in value.items()}
            return tuple(given.get(index, sigma) for index, sigma in enumerate(keypoints.sigmas))
        return tuple(float(sigma) for sigma in value)
    except (TypeError, ValueError, OverflowError) as error:
        if isinstance(error, KeypointSetError):
            raise
        raise KeypointSetError(f"keypoints: sigmas must be numbers, got {value!r}") from error


def _mirror_pairs(told: Sequence[tuple[str, str]]) -> tuple[tuple[int, int], ...]:
    """(left, right) indices of the keypoints of one part."""
    return tuple(
        (index, told.index(("right", part)))
        for index, (side, part) in enumerate(told)
        if side == "left" and told.index((side, part)) == index
    )


_LOWER = frozenset(("hip", "knee", "ankle", "foot", "heel", "toe", "big_toe", "small_toe"))
"""Parts of the lower body; HRNet counts hips to it."""

# Names, skeleton and sigmas: COCO 2017's person_keypoints annotation and pycocotools' Params; halves: HRNet.
COCO = KeypointSet(
    names=(
        "nose",
        "left_eye",
        "right_eye",
        "left_ear",
        "right_ear",
        "left_shoulder",
        "right_shoulder",
        "left_elbow",
        "right_elbow",
        "left_wrist",
        "right_wrist",
        "left_hip",
        "right_hip",
        "left_knee",
        "right_knee",
        "left_ankle",
        "right_ankle",
    ),
    flip_pairs=((1, 2), (3, 4), (5, 6), (7, 8), (9, 10), (11, 12), (13, 14), (15, 16)),
    sigmas=(
        *(0.026, 0.025, 0.025, 0.035, 0.035),
        *(0.079, 0.079, 0.072, 0.072, 0.062, 0.062),
        *(0.107, 0.107, 0.087, 0.087, 0.089, 0.089),
    ),
    skeleton=(
        *((15, 13), (13, 11), (16, 14), (14, 12), (11, 12)),
        *((5, 11), (6, 12), (5, 6), (5, 7), (6, 8), (7, 9), (8, 10)),
        *((1, 2), (0, 1), (0, 2), (1, 3), (2, 4), (3, 5), (4, 6)),
    ),
    upper_body=tuple(range(11)),
    torso=(5, 12),
    sigma_source=SIGMAS_OF_COCO,
)
"""The 17 keypoints of a COCO person."""

_COCO_SIGMAS = {part: sigma for (_, part), sigma in zip(sides(COCO.names), COCO.sigmas, strict=True)}
