from __future__ import annotations

import json
import random
from dataclasses import replace
from pathlib import Path

import cv2
import numpy as np
import pytest
import torch
from PIL import Image
from tiny_people import SIZE, write_people
from torch.utils.data import DataLoader

from cmsa.benchmark import data
from cmsa.benchmark.data import augmentation_of, benchmark_data, decoding, random_batches
from cmsa.benchmark.usual_people import UsualPeople
from cmsa.data.crops import CropSpec, cut_crop
from cmsa.data.datasets.coco import CocoPeople, load_people
from cmsa.data.datasets.coco_entries import Person, Picture
from cmsa.data.samples import sources_of
from cmsa.data.store_writer import build_store
from cmsa.data.transforms.affine import AffineRange
from cmsa.data.transforms.preprocess import Preprocess
from cmsa.geometry.affine import apply_affine
from cmsa.structures import COCO, IMAGENET_MEAN, IMAGENET_STD, Box


@pytest.fixture(scope="module")
def files(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, Path]:
    """Annotations and folder of eight people in four JPEG files."""
    annotations, images = write_people(tmp_path_factory.mktemp("people"))
    for path in images.iterdir():
        Image.open(path).save(path.with_suffix(".jpg"), quality=95)
        path.unlink()
    annotations.write_text(annotations.read_text(encoding="utf-8").replace(".png", ".jpg"), encoding="utf-8")
    return annotations, images


@pytest.fixture(scope="module")
def people(files) -> CocoPeople:
    return load_people(*files)


@pytest.fixture
def no_workers(monkeypatch):
    """Reads in the test's own process, see ``test_command``."""

    def loader(people, batch, *, sampler, **_):
        return DataLoader(people, batch, sampler=sampler)

    monkeypatch.setattr(data, "DataLoader", loader)


def usual(people: CocoPeople, limits: AffineRange | None = None) -> UsualPeople:
    return UsualPeople(people.people, SIZE, COCO, limits)


def test_without_augmentation_it_is_the_plain_crop(people):
    spec = CropSpec.for_evaluation(SIZE)
    for person, (image, keypoints) in zip(people.people, usual(people, AffineRange.still()), strict=False):
        box = person.box
        matrix = spec.base_matrix(box.center, (box.width, box.height))
        picture = cv2.cvtColor(cv2.imread(str(person.file)), cv2.COLOR_BGR2RGB)
        crop = torch.from_numpy(cut_crop(picture, matrix, SIZE, antialias=False))
        wanted = Preprocess()(crop[None])[0]
        torch.testing.assert_close(image, wanted, rtol=0, atol=1e-5)
        np.testing.assert_allclose(keypoints[:, :2], apply_affine(matrix, person.keypoints[:, :2]), atol=1e-3)
        np.testing.assert_array_equal(keypoints[:, 2], person.keypoints[:, 2])


def test_the_mirror_turns_image_and_keypoints(people):
    still = usual(people, AffineRange.still())
    mirrored = usual(people, replace(AffineRange.still(), flip_probability=1))
    for index in range(len(people)):
        (image, keypoints), (other, moved) = still[index], mirrored[index]
        # OpenCV interpolates at multiples of 1/32 of a pixel, and the mirror rounds to others.
        assert (other - image.flip(2)).abs().mean() < 0.05
        swapped = keypoints[list(COCO.flip_index)]
        torch.testing.assert_close(moved[:, 0], SIZE[1] - 1 - swapped[:, 0], rtol=0, atol=1e-4)
        torch.testing.assert_close(moved[:, 1], swapped[:, 1], rtol=0, atol=1e-4)


def test_a_bright_dot_moves_with_its_keypoint(tmp_path):
    pixels = np.zeros((90, 130, 3), np.uint8)
    pixels[38:43, 68:73] = (255, 0, 0)
    Image.fromarray(pixels).save(tmp_path / "dot.jpg", quality=100, subsampling=0)
    marked = np.zeros((17, 3))
    marked[0] = 70, 40, 2
    person = Person(1, 1, Picture(tmp_path / "dot.jpg", 90, 130), Box(50, 15, 40, 50), marked, 2000)
    dots = UsualPeople([person], (32, 24), COCO)
    random.seed(0)
    for _ in range(20):
        image, keypoints = dots[0]
        red = (image[0] * IMAGENET_STD[0] + IMAGENET_MEAN[0]).clamp(min=0)
        red = torch.where(red > 0.3, red, 0)
        x = (red.sum(0) * torch.arange(24)).sum() / red.sum()
        y = (red.sum(1) * torch.arange(32)).sum() / red.sum()
        assert keypoints[0, :2].tolist() == pytest.approx([x.item(), y.item()], abs=0.5)


def test_an_unreadable_picture_is_named(people, tmp_path):
    lost = replace(people.people[0], picture=Picture(tmp_path / "lost.jpg", 90, 130))
    with pytest.raises(OSError, match=r"lost\.jpg: OpenCV cannot read it"):
        UsualPeople([lost], SIZE, COCO)[0]


def test_both_ways_of_decoding_read_the_batches_that_they_should(people, no_workers):
    with decoding(usual(people), 4, batches=3, threads=1) as works:
        for work in works.values():
            read = work()
            assert [(tuple(images.shape), tuple(points.shape)) for images, points in read] == [
                ((4, 3, *SIZE), (4, 17, 3))
            ] * 3
        assert len(works) == 2


def test_the_store_gives_the_same_kind_of_batch(people, tmp_path):
    spec = CropSpec.for_training(SIZE)
    store = build_store(tmp_path / "people.crops", sources_of(people.samples(), spec), spec, progress=False)
    images, keypoints = augmentation_of(store, SIZE, people)(store.read([0, 5]))
    assert images.shape == (2, 3, *SIZE)
    assert keypoints.shape == (2, 17, 3)
    # Normalised: the pictures' background of about 40 is far below the mean.
    assert -2.2 < images.mean() < 0


def test_batches_go_on_with_the_next_epoch():
    assert list(random_batches(["first", "second"], 5)) == ["first", "second", "first", "second", "first"]


def test_the_whole_benchmark(files, no_workers, tmp_path, capsys, monkeypatch):
    monkeypatch.setenv("COLUMNS", "120")
    rows = benchmark_data(*files, size=SIZE, batch=4, threads=1, rounds=1, out=tmp_path)
    assert [row.name for row in rows] == ["decode and warp, processes", "decode and warp, threads", "packed store"]
    assert max(row.speedup for row in rows[:2]) == 1
    for row in rows:
        assert row.speedup == pytest.approx(row.throughput / max(row.throughput for row in rows[:2]))
    assert [row.throughput_cpu is None for row in rows] == [True, False, False]
    content = json.loads((tmp_path / "data.json").read_text())
    assert content["conditions"]["people"] == 8
    # 41x41 pixels of three bytes for each.
    assert content["conditions"]["store_megabytes"] == pytest.approx(8 * 3 * 41 * 41 / 1e6)
    assert len(content["rows"]) == 3
    told = capsys.readouterr().out
    for part in ("8 people at 16x12 in batches of 4", "once for the store", "against decoding"):
        assert part in told


def test_too_few_people_for_a_batch(files):
    with pytest.raises(ValueError, match="8 crops cannot fill one batch of 9"):
        benchmark_data(*files, size=SIZE, batch=9, threads=1, rounds=1)
