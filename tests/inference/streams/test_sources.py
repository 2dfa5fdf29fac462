import errno
import io
import os
from pathlib import Path

import pytest

from cmsa.inference.streams.frame import Notice
from cmsa.inference.streams.sources import Source, SourceFinder


@pytest.fixture
def folder(tmp_path, monkeypatch):
    """pics/ with two pictures, a video, a hidden file, another file and a sub-folder."""
    monkeypatch.chdir(tmp_path)
    (tmp_path / "pics" / "sub").mkdir(parents=True)
    for name in ("b.png", "a.JPG", "c.mp4", ".hidden.png", "notes.md", "sub/d.png"):
        (tmp_path / "pics" / name).write_bytes(b"")
    return tmp_path


def found(*inputs, **options):
    return list(SourceFinder(**options).find(inputs))


def names(*inputs, **options):
    return [source.name for source in found(*inputs, **options) if isinstance(source, Source)]


def test_folders_in_the_order_of_names(folder):
    assert names("pics") == ["pics/a.JPG", "pics/b.png", "pics/c.mp4", "pics/sub/d.png"]
    assert names("pics", recursive=False) == ["pics/a.JPG", "pics/b.png", "pics/c.mp4"]
    kinds = [(source.kind, source.place.as_posix()) for source in found("pics")]
    assert kinds == [("picture", "a"), ("picture", "b"), ("video", "c"), ("picture", "sub/d")]


def test_globs_lists_and_standard_input(folder):
    (folder / "list.txt").write_bytes(b"\xef\xbb\xbfpics/a.JPG\r\n\r\npics/sub\n3\n")
    assert names("pics/*.png") == ["pics/b.png"]
    assert names("pics/**/*.png") == ["pics/b.png", "pics/sub/d.png"]
    assert names("list.txt") == ["pics/a.JPG", "pics/sub/d.png", "camera 3"]
    assert names("-", stdin=io.BytesIO(b"pics/b.png\npics/a.JPG")) == ["pics/b.png", "pics/a.JPG"]


def test_a_list_may_hold_comments_but_a_file_of_that_name_is_a_file(folder):
    (folder / "#1.png").write_bytes(b"")
    (folder / "list.txt").write_text("# the door\npics/b.png\n  #pics/a.JPG\n#1.png\n")
    assert names("list.txt") == ["pics/b.png", "#1.png"]
    assert names("-", stdin=io.BytesIO(b"# one\npics/a.JPG\n")) == ["pics/a.JPG"]
    assert [type(source) for source in found("# the door")] == [Notice]


def test_a_list_s_paths_may_be_beside_it(folder, monkeypatch):
    (folder / "pics" / "list.txt").write_text("a.JPG\nsub/*.png\n")
    assert [os.path.abspath(source.target) for source in found("pics/list.txt")] == [
        str(folder / "pics" / "a.JPG"),
        str(folder / "pics" / "sub" / "d.png"),
    ]


def test_cameras_and_addresses(folder):
    camera, stream = found("0", "rtsp://me:secret@10.0.0.7/live")
    assert (camera.kind, camera.target, camera.name) == ("camera", "0", "camera 0")
    assert (stream.kind, stream.name) == ("address", "rtsp://***@10.0.0.7/live")
    assert stream.target == "rtsp://me:secret@10.0.0.7/live"
    # A slash in a password is against the rules, and happens.
    (odd,) = found("rtsp://me:sec/ret@10.0.0.7/live")
    assert (odd.name, odd.place.name) == ("rtsp://***@10.0.0.7/live", "10.0.0.7")
    (wrong,) = found("rtsp://me:secret@[::1/live")
    assert wrong.text == "is no valid address (Invalid IPv6 URL)"
    assert "secret" not in str(wrong)
    (folder / "0").write_bytes(b"")
    assert found("0")[0].kind == "picture"
    assert names((folder / "pics" / "a.JPG").as_uri()) == [str(folder / "pics" / "a.JPG")]


def test_one_path_comes_once_but_a_link_is_a_name_of_its_own(folder):
    (folder / "pics" / "link.png").symlink_to("b.png")
    assert names("pics/b.png", "pics", "pics/../pics/b.png") == [
        "pics/b.png",
        "pics/a.JPG",
        "pics/c.mp4",
        "pics/link.png",
        "pics/sub/d.png",
    ]


def test_linked_folders_are_followed_once_and_the_second_time_told(folder):
    (folder / "far").mkdir()
    (folder / "far" / "x.png").write_bytes(b"")
    (folder / "pics" / "near").symlink_to(folder / "far")
    (folder / "pics" / "sub" / "again").symlink_to(folder / "pics" / "sub")
    (folder / "pics" / "gone").symlink_to(folder / "nowhere")
    (folder / "pics" / "loop.png").symlink_to("loop.png")
    assert "pics/near/x.png" in names("pics")
    assert "pics/loop.png" in names("pics")
    notices = [item for item in found("pics") if isinstance(item, Notice)]
    assert [(notice.source, notice.text) for notice in notices] == [
        ("pics/sub/again", "leads to the same folder as pics/sub, and is left out")
    ]


def test_a_loop_of_links_gives_each_picture_once(folder):
    (folder / "pics" / "sub" / "back").symlink_to(folder / "pics")
    assert names("pics/**/*.png") == ["pics/b.png", "pics/sub/d.png"]
    assert names("pics") == ["pics/a.JPG", "pics/b.png", "pics/c.mp4", "pics/sub/d.png"]
    (told,) = [item for item in found("pics") if isinstance(item, Notice)]
    assert (told.source, told.text) == ("pics/sub/back", "leads to the same folder as pics, and is left out")


def test_own_annotated_pictures_are_not_predicted(folder):
    out = folder / "pics" / "out"
    for place in (out, folder / "pics"):
        (place / "annotated").mkdir(parents=True)
        (place / "annotated" / "a.png").write_bytes(b"")
    (out / "keypoints.json").write_text("[]")
    # A folder of that name without results beside it is the user's own.
    assert [name for name in names("pics") if "annotated" in name] == ["pics/annotated/a.png"]
    assert not [name for name in names("pics", exclude=(folder / "pics" / "annotated",)) if "annotated" in name]


def test_what_gives_nothing_is_told(folder):
    (folder / "empty").mkdir()
    notices = found("gone.png", "empty", "pics/*.gif", "gone.txt")
    assert [notice.text for notice in notices] == [
        "there is no such file or folder",
        "the folder holds no picture and no video",
        "no file fits this pattern",
        "there is no such file or folder",
    ]
    assert all(notice.failed for notice in notices)


def test_an_empty_name_is_not_the_current_folder():
    (told,) = SourceFinder().find([""])
    assert (told.text, told.missing) == ("is an empty name, of no file", True)


def test_a_pipe_in_a_folder_and_a_closed_folder_are_told(tmp_path, monkeypatch):
    (tmp_path / "a.png").touch()
    (tmp_path / "sub").mkdir()
    os.mkfifo(tmp_path / "live.mp4")
    scan = os.scandir

    def refuse(path):
        if Path(path).name == "sub":
            raise PermissionError(errno.EACCES, "Permission denied", str(path))
        return scan(path)

    monkeypatch.setattr(os, "scandir", refuse)
    picture, *told = SourceFinder().find([tmp_path])
    assert picture.target == str(tmp_path / "a.png")
    assert [(Path(notice.source).name, notice.text) for notice in told] == [
        ("live.mp4", "is a pipe or a device, and no file"),
        ("sub", "cannot be looked into (Permission denied)"),
    ]


@pytest.mark.parametrize("encoding", ["utf-16", "utf-8-sig", "utf-8"])
def test_a_list_in_any_encoding_that_marks_itself(encoding, tmp_path):
    names = ["bäume.png", "a.png", "木.png"]
    for name in names:
        (tmp_path / name).touch()
    (tmp_path / "list.txt").write_bytes("\r\n".join(names).encode(encoding))
    assert [source.name for source in SourceFinder().find([tmp_path / "list.txt"])] == [
        str(tmp_path / name) for name in names
    ]


def test_a_closed_standard_input_is_told(monkeypatch):
    monkeypatch.setattr("sys.stdin", None)
    assert list(SourceFinder().find(["-"])) == [Notice("-", "standard input is closed", missing=True)]
