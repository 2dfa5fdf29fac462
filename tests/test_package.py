"""What is handed on: a source archive that is whole and whose tests run, a wheel of what an install needs."""

import os
import subprocess
import sys
import tarfile
import zipfile
from pathlib import Path

import pytest

ROOT = Path(__file__).resolve().parents[1]
BUILD = "import sys\nfrom setuptools import build_meta\ngetattr(build_meta, sys.argv[1])(sys.argv[2])\n"
SMALL = ["tests/structures/test_values.py", "tests/geometry", "tests/edge/test_crops.py", "tests/test_public_names.py"]

pytestmark = pytest.mark.slow


@pytest.fixture(scope="module")
def tracked(tmp_path_factory):
    """A copy of the files that git knows of, in which a build may leave what it likes."""
    listed = subprocess.run(["git", "ls-files", "-z"], cwd=ROOT, capture_output=True, text=True, check=False)
    if listed.returncode:
        pytest.skip("not a working copy")
    folder = tmp_path_factory.mktemp("tracked")
    names = [name for name in listed.stdout.split("\0") if name and (ROOT / name).is_file()]
    for name in names:
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes((ROOT / name).read_bytes())
    return folder, set(names)


def build(what, source, out):
    out.mkdir()
    subprocess.run(
        [sys.executable, "-c", BUILD, f"build_{what}", str(out)], cwd=source, check=True, capture_output=True
    )
    (made,) = out.iterdir()
    return made


def test_the_source_archive_holds_everything_and_its_tests_run(tracked, tmp_path):
    source, names = tracked
    with tarfile.open(build("sdist", source, tmp_path / "out")) as archive:
        archive.extractall(tmp_path, filter="data")
    (unpacked,) = tmp_path.glob("cmsa-*")
    assert names <= {path.relative_to(unpacked).as_posix() for path in unpacked.rglob("*") if path.is_file()}
    command = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", *SMALL]
    environment = os.environ | {"PYTHONPATH": str(unpacked / "src")}
    done = subprocess.run(command, cwd=unpacked, env=environment, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout[-3000:]


def test_the_wheel_holds_the_package_only(tracked, tmp_path):
    source, names = tracked
    with zipfile.ZipFile(build("wheel", source, tmp_path / "out")) as wheel:
        held = {name for name in wheel.namelist() if ".dist-info/" not in name}
    assert held == {name.removeprefix("src/") for name in names if name.startswith("src/")}
