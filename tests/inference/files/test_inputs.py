from pathlib import Path

from cmsa.inference.files.inputs import annotated_paths, find_pictures


def touch(folder, *names):
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).touch()


def test_folders_are_searched_for_pictures(tmp_path):
    touch(tmp_path, "b.JPG", "a.png", "notes.txt", "sub/c.webp", ".hidden.jpg", ".git/d.jpg", "out/annotated/e.png")
    found = find_pictures([tmp_path], tmp_path / "out" / "annotated")
    assert [picture.name for picture in found.pictures] == [
        (tmp_path / name).as_posix() for name in ("a.png", "b.JPG", "sub/c.webp")
    ]
    assert found.missing == []


def test_a_named_file_counts_whatever_it_is_called_and_once(tmp_path):
    touch(tmp_path, "a.png", "frame.raw")
    found = find_pictures([tmp_path / "frame.raw", tmp_path / "a.png", tmp_path], tmp_path / "out")
    assert [picture.path.name for picture in found.pictures] == ["frame.raw", "a.png"]


def test_missing_and_empty_inputs_are_named(tmp_path):
    touch(tmp_path, "empty/notes.txt")
    found = find_pictures([tmp_path / "empty", str(tmp_path / "gone.jpg")], tmp_path / "out")
    assert found.pictures == []
    assert found.missing == [
        (str(tmp_path / "empty"), "the folder holds no picture"),
        (str(tmp_path / "gone.jpg"), "there is no such file or folder"),
    ]


def test_annotated_pictures_never_meet_each_other_or_an_input(tmp_path):
    out = tmp_path / "annotated"
    touch(tmp_path, "in/a.jpg", "in/a.png", "in/sub/a.jpg", "annotated/a.png")
    found = find_pictures([tmp_path / "in", out / "a.png"], tmp_path / "elsewhere")
    paths = annotated_paths(found.pictures, out)
    assert paths == [out / Path(name) for name in ("a-2.png", "a-3.png", "sub/a.png", "a-4.png")]
