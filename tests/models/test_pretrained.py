import pytest
import torch

from cmsa.models.create import create_model
from cmsa.models.pretrained import default_weights, find_weights
from cmsa.models.weights import save_weights


@pytest.fixture
def shipped(tmp_path, monkeypatch):
    """An empty folder in place of the shipped weights'."""
    folder = tmp_path / "shipped"
    folder.mkdir()
    monkeypatch.setattr("cmsa.guidance.shipped.SHIPPED", folder)
    return folder


def ship(folder, name, task, **options):
    torch.manual_seed(0)
    save_weights(folder / f"{name}.safetensors", create_model("cmsa_n", task, dims=(16, 16, 16), **options))


def test_shipped_name_file_and_folder(shipped, tmp_path):
    (shipped / "cmsa_n_pose_32x24.safetensors").touch()
    assert find_weights("cmsa_n_pose_32x24") == shipped / "cmsa_n_pose_32x24.safetensors"
    folder = tmp_path / "mine"
    folder.mkdir()
    with pytest.raises(FileNotFoundError, match=r"mine: the folder holds no model.safetensors"):
        find_weights(folder)
    (folder / "model.safetensors").touch()
    assert find_weights(folder) == folder / "model.safetensors"
    assert find_weights(str(folder / "model.safetensors")) == folder / "model.safetensors"


@pytest.mark.parametrize("name", ["cmsa_x_pose", "folder/missing.safetensors", "/no/such/place", "a/b/c"])
def test_unknown_weights_say_what_there_is(shipped, name):
    (shipped / "cmsa_n_pose_32x24.safetensors").touch()
    with pytest.raises(FileNotFoundError, match=r"not among those that came with cmsa; there are cmsa_n_pose_32x24"):
        find_weights(name)


def test_hub_id_is_downloaded(shipped, tmp_path, monkeypatch):
    asked = []

    def download(*arguments):
        asked.append(arguments)
        return str(tmp_path / "model.safetensors")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", download)
    assert find_weights("someone/cmsa-pose") == tmp_path / "model.safetensors"
    assert asked == [("someone/cmsa-pose", "model.safetensors")]


def test_hub_failure_names_the_weights(shipped, monkeypatch):
    def fail(*arguments):
        raise ConnectionError("offline")

    monkeypatch.setattr("huggingface_hub.hf_hub_download", fail)
    with pytest.raises(FileNotFoundError, match=r"no weights 'someone/cmsa-pose'.*\(offline\)"):
        find_weights("someone/cmsa-pose")


def test_default_weights_fall_back_to_the_largest_of_the_task(shipped):
    with pytest.raises(ValueError, match=r"no weights for pose came with cmsa \(there are none\)"):
        default_weights("pose")
    ship(shipped, "a", "pose")
    ship(shipped, "b", "pose", input_size=(64, 48))
    ship(shipped, "c", "head_pose", head="bins")
    assert default_weights("pose") == "b"
    assert default_weights("head_pose") == "c"
    with pytest.raises(ValueError, match=r"no weights for classification came with cmsa \(there are a, b, c\)"):
        default_weights("classification")
    ship(shipped, "cmsa_n_pose_32x24", "pose")
    assert default_weights("pose") == "cmsa_n_pose_32x24"


def test_a_run_s_folder_is_met_halfway(tmp_path):
    (tmp_path / "best.safetensors").touch()
    with pytest.raises(FileNotFoundError, match=r"no model\.safetensors; it is a run.s, name .*best\.safetensors"):
        find_weights(tmp_path)
