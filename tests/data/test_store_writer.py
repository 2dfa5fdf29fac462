from __future__ import annotations

import errno
import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import cv2
import numpy as np
import pytest
from noise_store import HEIGHT, SPEC, WIDTH, assert_whole, build, sources_in
from numpy.typing import NDArray
from PIL import Image

import cmsa.data.crop_source
import cmsa.data.store_writer
from cmsa.data.crop_source import CropSource
from cmsa.data.crops import CropSpec
from cmsa.data.image import read_image
from cmsa.data.store import CropStore, StoreError
from cmsa.data.store_writer import _reserve, build_store
from cmsa.geometry.affine import apply_affine


@pytest.fixture
def sources(tmp_path: Path) -> list[CropSource]:
    return sources_in(tmp_path / "pictures")


def killed(*_: object, **__: object) -> None:
    raise KeyboardInterrupt


@pytest.mark.parametrize("antialias", [True, False])
@pytest.mark.parametrize("convention", ["pixel", "udp", "hrnet"])
def test_a_dot_on_a_keypoint_is_found_where_the_matrix_says(tmp_path: Path, convention: Any, antialias: bool) -> None:
    spec = CropSpec.for_training((32, 24), convention=convention, antialias=antialias)
    keypoints = np.array([[130.0, 50.0], [60.0, 140.0], [90.0, 95.0]])
    canvas = np.zeros((180, 260, 3), np.uint8)
    for x, y in keypoints.astype(int).tolist():
        cv2.circle(canvas, (x, y), 6, (255, 255, 255), -1)
    Image.fromarray(canvas).save(tmp_path / "dots.png")
    source = CropSource(
        tmp_path / "dots.png", np.array([[95.0, 95.0]]), np.array([[80.0, 120.0]]), {"keypoints": keypoints[None]}
    )
    store = build_store(tmp_path / "dots.crops", [source], spec, progress=False)
    expected = apply_affine(store.labels["matrix"][0], store.labels["keypoints"][0])
    weights = store.crops[0, :, :, 0].astype(float)
    rows, columns = np.mgrid[: weights.shape[0], : weights.shape[1]]
    for point in expected:
        near = weights * (np.hypot(columns - point[0], rows - point[1]) < 7)
        found = np.array([(near * columns).sum(), (near * rows).sum()]) / near.sum()
        np.testing.assert_allclose(found, point, atol=0.05 if antialias else 0.2)


def test_each_picture_is_decoded_once(
    sources: list[CropSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    decoded: list[object] = []

    def counting(image: Any, **options: Any) -> NDArray[np.uint8]:
        decoded.append(image)
        assert options == {"apply_exif": False}
        return read_image(image, **options)

    monkeypatch.setattr(cmsa.data.crop_source, "read_image", counting)
    build(tmp_path / "s.crops", sources)
    build(tmp_path / "s.crops", sources)
    assert decoded == [source.image for source in sources]


@pytest.mark.parametrize("workers", [0, 2])
def test_an_interrupted_preparation_never_looks_whole_and_goes_on(
    sources: list[CropSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, workers: int
) -> None:
    folder = tmp_path / "s.crops"
    calls: list[object] = []

    def failing(image: Any, **options: Any) -> NDArray[np.uint8]:
        calls.append(image)
        if len(calls) == 4:
            raise KeyboardInterrupt
        return read_image(image, **options)

    with monkeypatch.context() as patch:
        patch.setattr(cmsa.data.crop_source, "read_image", failing)
        with pytest.raises(KeyboardInterrupt):
            build(folder, sources, workers=workers)
    with pytest.raises(StoreError, match="interrupted; prepare it again"):
        CropStore.open(folder)

    before = set(np.flatnonzero(np.load(tmp_path / "s.crops.partial" / "state.npy") == 1) // 2)
    assert len(before) >= 3
    calls.clear()
    monkeypatch.setattr(
        cmsa.data.crop_source, "read_image", lambda image, **kw: (calls.append(image), read_image(image))[1]
    )
    store = build(folder, sources)
    assert calls == [source.image for index, source in enumerate(sources) if index not in before]
    assert_whole(store, sources)


@pytest.mark.parametrize("step", ["shutil.disk_usage", "numpy.save", "numpy.savez", "os.replace", "os.rename"])
@pytest.mark.parametrize("damaged", [False, True])
def test_killed_at_any_step_it_goes_on(
    sources: list[CropSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch, step: str, damaged: bool
) -> None:
    folder = tmp_path / "s.crops"
    if damaged:
        sources[1].image.write_bytes(b"")
    count = 1
    # The description is written twice and the crops are moved once: stop at each.
    while True:
        left = count
        module, _, name = step.rpartition(".")
        original = getattr(sys.modules[module], name)

        def stopping(*args: Any, original: Any = original, **options: Any) -> Any:
            nonlocal left
            left -= 1
            if left == 0:
                raise KeyboardInterrupt
            return original(*args, **options)

        with monkeypatch.context() as patch:
            patch.setattr(step, stopping)
            try:
                build(folder, sources, bad_budget=0.5)
                break
            except KeyboardInterrupt:
                assert not folder.exists()
        count += 1
    store = build(folder, sources, bad_budget=0.5)
    assert_whole(store, [source for index, source in enumerate(sources) if index != 1 or not damaged])
    assert count > 1
    assert sorted(file.name for file in folder.iterdir()) == ["crops.npy", "labels.npz", "meta.json", "stamps.npy"]


CHILD = """
import sys, time
from pathlib import Path
sys.path.insert(0, sys.argv[1])
import cmsa.data.crop_source as prepare
from noise_store import build, sources_in
read = prepare.read_image
prepare.read_image = lambda *args, **options: (time.sleep(0.05), read(*args, **options))[1]
build(Path(sys.argv[2]) / "s.crops", sources_in(Path(sys.argv[2]) / "pictures", count=60))
"""


def test_a_killed_process_leaves_no_store_and_the_next_goes_on(tmp_path: Path) -> None:
    state = tmp_path / "s.crops.partial" / "state.npy"
    process = subprocess.Popen([sys.executable, "-c", CHILD, str(Path(__file__).parent), str(tmp_path)])
    try:
        deadline = time.monotonic() + 60
        while not (state.with_name("meta.json").exists() and (np.load(state) == 1).sum() >= 6):
            assert process.poll() is None
            assert time.monotonic() < deadline
            time.sleep(0.02)
    finally:
        process.send_signal(signal.SIGKILL)
        process.wait()
    assert not (tmp_path / "s.crops").exists()
    done = int((np.load(state) == 1).sum())
    assert 6 <= done < 120
    sources = sources_in(tmp_path / "pictures", count=60)
    for source in sources[: done // 2]:
        source.image.unlink()
    # What was cut before the kill is not read again: its pictures are gone.
    store = build(tmp_path / "s.crops", sources)
    assert len(store) == 120
    assert store.meta["unreadable"] == []
    sources_in(tmp_path / "pictures", count=60)
    assert_whole(store, sources)


def test_unreadable_pictures_within_the_budget_are_left_out_and_named(
    sources: list[CropSource], tmp_path: Path
) -> None:
    sources[2].image.write_bytes(b"damaged")
    store = build(tmp_path / "s.crops", sources, bad_budget=0.2)
    assert [entry["image"] for entry in store.meta["unreadable"]] == [str(sources[2].image)]
    assert "cannot be decoded" in store.meta["unreadable"][0]["problem"]
    assert_whole(store, sources[:2] + sources[3:])


def test_unreadable_pictures_above_the_budget_are_an_error_that_a_repair_resolves(
    sources: list[CropSource], tmp_path: Path
) -> None:
    good = sources[2].image.read_bytes()
    sources[2].image.write_bytes(b"damaged")
    with pytest.raises(StoreError, match=r"1 of 6 pictures could not be read, above the budget of 1\.0%(.|\n)*2\.png"):
        build(tmp_path / "s.crops", sources)
    assert not (tmp_path / "s.crops").exists()
    sources[2].image.write_bytes(good)
    assert_whole(build(tmp_path / "s.crops", sources), sources)


def test_no_readable_picture_at_all(sources: list[CropSource], tmp_path: Path) -> None:
    for source in sources:
        source.image.unlink()
    with pytest.raises(StoreError, match="not one picture could be read"):
        build(tmp_path / "s.crops", sources, bad_budget=1.0)


def test_no_sample_at_all(tmp_path: Path) -> None:
    empty = CropSource(tmp_path / "a.png", np.zeros((0, 2)), np.zeros((0, 2)))
    for sources in ([], [empty]):
        with pytest.raises(StoreError, match="not one sample"):
            build(tmp_path / "s.crops", sources)


def test_another_store_is_never_touched(sources: list[CropSource], tmp_path: Path) -> None:
    folder = tmp_path / "s.crops"
    build(folder, sources)
    with pytest.raises(StoreError, match=r"s\.crops: was made from other sources"):
        build(folder, sources[1:])
    with pytest.raises(StoreError, match="another crop specification"):
        build_store(folder, sources, CropSpec.for_evaluation((32, 24)), progress=False)
    assert_whole(CropStore.open(folder), sources)


def test_another_interrupted_store_is_never_touched(
    sources: list[CropSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr(cmsa.data.crop_source, "read_image", killed)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "s.crops", sources)
    with pytest.raises(StoreError, match=r"s\.crops\.partial: was made from other sources"):
        build(tmp_path / "s.crops", sources[1:])


def test_a_folder_of_something_else_is_never_touched(sources: list[CropSource], tmp_path: Path) -> None:
    folder = tmp_path / "s.crops"
    folder.mkdir()
    (folder / "thesis.txt").write_text("irreplaceable")
    with pytest.raises(StoreError, match="not a crop store; choose another folder"):
        build(folder, sources)
    assert (folder / "thesis.txt").read_text() == "irreplaceable"


def test_too_little_disk_is_said_before_the_work(
    sources: list[CropSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    usage = type("Usage", (), {"free": 10})
    monkeypatch.setattr(cmsa.data.store_writer.shutil, "disk_usage", lambda folder: usage)
    with pytest.raises(StoreError, match="GB are needed"):
        build(tmp_path / "s.crops", sources)


def refused(*_: object) -> None:
    raise OSError(errno.EOPNOTSUPP, "Operation not supported")


@pytest.mark.parametrize("answer", ["missing", "refused"])
def test_a_file_takes_its_room_where_none_can_be_asked_for(
    answer: str, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As on macOS, or in some file systems: a sparse file of which the disk has the first and last bytes only."""
    path = tmp_path / "sparse"
    with path.open("wb") as file:
        file.write(b"head")
        file.seek(3_000_000)
        file.write(b"tail")
    content = path.read_bytes()
    if path.stat().st_blocks * 512 > len(content):
        pytest.skip("this file system keeps no holes")
    if answer == "missing":
        monkeypatch.delattr(os, "posix_fallocate")
    else:
        monkeypatch.setattr(os, "posix_fallocate", refused)
    _reserve(path)
    assert path.stat().st_blocks * 512 >= len(content)
    assert path.read_bytes() == content


def test_a_disk_that_refuses_a_file_its_room_is_told(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def full(*_: object) -> None:
        raise OSError(errno.ENOSPC, "No space left on device")

    (tmp_path / "crops.npy").write_bytes(bytes(99))
    monkeypatch.setattr(os, "posix_fallocate", full)
    with pytest.raises(StoreError, match=r"crops\.npy: cannot be written \(No space left on device\)"):
        _reserve(tmp_path / "crops.npy")
    assert not (tmp_path / "crops.npy").exists()


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"centers": np.zeros((2, 3))}, r"a\.png: centers must have shape \(2, 2\), got \(2, 3\)"),
        ({"extents": np.ones((1, 2))}, r"extents must have shape \(2, 2\), got \(1, 2\)"),
        ({"centers": np.full((2, 2), np.nan)}, "centers must be finite"),
        ({"extents": np.zeros((2, 2))}, "extents must be positive, got 0"),
        ({"labels": {"age": np.zeros(3)}}, "label 'age' has 3 entries for 2 samples"),
        ({"labels": {"matrix": np.zeros(2)}}, "'matrix' is the store's own"),
    ],
)
def test_inconsistent_sources_are_refused(changes: dict[str, Any], message: str) -> None:
    fields: dict[str, Any] = {"image": Path("a.png"), "centers": np.zeros((2, 2)), "extents": np.ones((2, 2))}
    with pytest.raises(ValueError, match=message):
        CropSource(**(fields | changes))


def test_sources_with_different_labels_are_refused(sources: list[CropSource], tmp_path: Path) -> None:
    odd = CropSource(Path("odd.png"), np.zeros((1, 2)), np.ones((1, 2)), {"age": np.zeros(1)})
    with pytest.raises(StoreError, match=r"odd\.png: labels \['age'\], but others have \['identity', "):
        build(tmp_path / "s.crops", [*sources, odd])


def test_progress_bar_counts_pictures(
    sources: list[CropSource], tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    build_store(tmp_path / "s.crops", sources, SPEC)
    assert "6/6" in capsys.readouterr().out


def test_a_picture_that_was_changed_since_is_noticed(sources: list[CropSource], tmp_path: Path) -> None:
    build(tmp_path / "s.crops", sources)
    Image.fromarray(np.zeros((60, 90, 3), np.uint8)).save(sources[1].image)
    sources[2].image.unlink()
    with pytest.raises(StoreError, match=r"s\.crops: 1 of 6 pictures were changed since it was made \(.*1\.png\)"):
        build(tmp_path / "s.crops", sources)


def test_a_picture_that_changes_during_an_interruption_is_cut_again(
    sources: list[CropSource], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    with monkeypatch.context() as patch:
        patch.setattr("numpy.savez", killed)
        with pytest.raises(KeyboardInterrupt):
            build(tmp_path / "s.crops", sources)
    Image.fromarray(np.full((HEIGHT, WIDTH, 3), 77, np.uint8)).save(sources[1].image)
    assert_whole(build(tmp_path / "s.crops", sources), sources)


def test_pixels_in_memory_are_stored_as_files_are(tmp_path: Path) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 24, 32, 3), dtype=np.uint8)
    spec = CropSpec.for_evaluation((24, 32), padding=1.0)

    def sources(images: NDArray[np.uint8]) -> list[CropSource]:
        middle, extent = np.array([[15.5, 11.5]]), np.array([[32.0, 24.0]])
        return [CropSource(image, middle, extent, {"label": np.array([row])}) for row, image in enumerate(images)]

    store = build_store(tmp_path / "m.crops", sources(pixels), spec, progress=False)
    np.testing.assert_array_equal(store.crops, pixels)
    assert len(build_store(tmp_path / "m.crops", sources(pixels), spec, progress=False)) == 3
    other = pixels.copy()
    other[2, 5, 5] ^= 1
    with pytest.raises(StoreError, match="was made from other sources"):
        build_store(tmp_path / "m.crops", sources(other), spec, progress=False)


@pytest.mark.parametrize("turned", [True, False])
def test_a_picture_of_another_size_than_its_annotation(tmp_path: Path, turned: bool) -> None:
    """Turned by its EXIF orientation if it fits then, otherwise left out and named."""
    image = Image.fromarray(np.random.default_rng(0).integers(0, 256, (40, 60, 3), dtype=np.uint8))
    exif = image.getexif()
    exif[0x0112] = 6
    image.save(tmp_path / "a.png", exif=exif if turned else None)
    source = CropSource(tmp_path / "a.png", np.array([[20.0, 30.0]]), np.array([[30.0, 40.0]]), size=(60, 40))
    if turned:
        np.testing.assert_array_equal(source.read(), np.rot90(np.asarray(image), -1))
        return
    with pytest.raises(StoreError, match=r"a\.png: is of 40x60 \(HxW\), its annotation of 60x40"):
        build(tmp_path / "s.crops", [source])


def test_a_store_of_the_earlier_format_is_opened_again(sources: list[CropSource], tmp_path: Path) -> None:
    import json

    from cmsa.data.store_writer import _fingerprint

    store = build(tmp_path / "s.crops", sources)
    (store.folder / "stamps.npy").unlink()
    meta = json.loads((store.folder / "meta.json").read_text())
    meta |= {"format": 1, "fingerprint": _fingerprint(sources, SPEC, {}, 1)}
    (store.folder / "meta.json").write_text(json.dumps(meta))
    assert_whole(build(tmp_path / "s.crops", sources), sources)
    with pytest.raises(StoreError, match="another crop specification, or by an earlier version of cmsa"):
        build(tmp_path / "s.crops", sources[1:])


def test_a_link_that_leads_nowhere_is_told_before_the_work(sources: list[CropSource], tmp_path: Path) -> None:
    (tmp_path / "s.crops").symlink_to(tmp_path / "nowhere" / "s.crops")
    with pytest.raises(StoreError, match=r"s\.crops: is a link that leads nowhere"):
        build(tmp_path / "s.crops", sources)
    assert not (tmp_path / "s.crops.partial").exists()
