from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from cmsa.structures import COCO, KeypointSet


def test_coco_has_17_keypoints_and_the_official_spreads() -> None:
    pycocotools = pytest.importorskip("pycocotools.cocoeval")
    assert len(COCO) == 17
    np.testing.assert_allclose(COCO.sigmas, pycocotools.Params(iouType="keypoints").kpt_oks_sigmas)


def test_coco_skeleton_is_the_official_one() -> None:
    # person_keypoints_val2017.json, counted from 1.
    official = [(16, 14), (14, 12), (17, 15), (15, 13), (12, 13), (6, 12), (7, 13), (6, 7), (6, 8), (7, 9)]
    official += [(8, 10), (9, 11), (2, 3), (1, 2), (1, 3), (2, 4), (3, 5), (4, 6), (5, 7)]
    assert sorted((a - 1, b - 1) for a, b in official) == sorted(COCO.skeleton)


def test_flip_index_exchanges_left_and_right_and_is_its_own_inverse() -> None:
    mirrored = [COCO.names[index] for index in COCO.flip_index]
    swapped = {"left": "right", "right": "left"}
    for name, other in zip(COCO.names, mirrored, strict=True):
        side, _, part = name.partition("_")
        assert other == (f"{swapped[side]}_{part}" if part else name)
    assert tuple(COCO.flip_index[index] for index in COCO.flip_index) == tuple(range(17))


def test_halves_part_the_body_at_the_hips() -> None:
    assert sorted(COCO.upper_body + COCO.lower_body) == list(range(17))
    assert {COCO.names[index].split("_")[-1] for index in COCO.lower_body} == {"hip", "knee", "ankle"}


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"names": ("nose",) * 17}, "must differ"),
        ({"sigmas": (0.1,) * 16}, "must hold 17 numbers.* got 16"),
        ({"flip_pairs": ((1, 2), (2, 3))}, "names a keypoint twice"),
        ({"skeleton": ((0, 17),)}, r"skeleton points at \[17\]"),
        ({"upper_body": (-1,)}, r"upper_body points at \[-1\]"),
    ],
)
def test_inconsistent_sets_are_refused(changes: dict[str, object], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        replace(COCO, **changes)  # type: ignore[arg-type]


def test_a_set_without_pairs_flips_onto_itself() -> None:
    assert KeypointSet(("tip", "root"), (), (0.1, 0.1), (), ()).flip_index == (0, 1)
