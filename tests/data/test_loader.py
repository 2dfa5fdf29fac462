from collections import Counter
from pathlib import Path

import numpy as np
import pytest
import torch
from noise_store import SPEC, build, sources_in

from cmsa.data.crops import CropSpec
from cmsa.data.loader import EpochSampler, StoreDataset, store_loader
from cmsa.data.store import CropStore
from cmsa.data.store_writer import build_store


@pytest.fixture(scope="module")
def stores(tmp_path_factory: pytest.TempPathFactory) -> list[CropStore]:
    """Two stores, of twelve and of six crops."""
    folder = tmp_path_factory.mktemp("stores")
    return [build(folder / f"{name}.crops", sources_in(folder / name, count)) for name, count in (("a", 6), ("b", 3))]


def test_a_batch_is_in_the_order_that_was_asked_for(stores: list[CropStore]) -> None:
    dataset = StoreDataset(stores)
    assert len(dataset) == 18
    wanted = [15, 0, 12, 3, 17, 3]
    batch = dataset.__getitems__(wanted)
    for row, index in enumerate(wanted):
        store, place = (stores[0], index) if index < 12 else (stores[1], index - 12)
        np.testing.assert_array_equal(batch["crops"][row], store.crops[place])
        assert batch["identity"][row] == store.labels["identity"][place]
        assert torch.equal(dataset[index]["keypoints"], batch["keypoints"][row])
    assert "name" not in batch


def test_labels_that_only_one_store_has_are_left_out(stores: list[CropStore], tmp_path: Path) -> None:
    sources = sources_in(tmp_path / "plain", 2)
    for source in sources:
        del source.labels["keypoints"]
    plain = build(tmp_path / "plain.crops", sources)
    batch = StoreDataset([stores[0], plain]).__getitems__([0, 13])
    assert sorted(batch) == ["crops", "identity", "matrix"]


def test_evaluation_keeps_everything_in_order(stores: list[CropStore]) -> None:
    batches = list(store_loader(stores, 4, training=False))
    assert [len(batch["crops"]) for batch in batches] == [4, 4, 4, 4, 2]
    identities = torch.cat([batch["identity"] for batch in batches]).tolist()
    assert identities == [*stores[0].labels["identity"], *stores[1].labels["identity"]]


def test_training_shuffles_and_drops_the_short_batch(stores: list[CropStore]) -> None:
    torch.manual_seed(0)
    loader = store_loader(stores[:1], 5, training=True)
    epochs = [torch.cat([batch["identity"] for batch in loader]).tolist() for _ in range(2)]
    assert [len(set(epoch)) for epoch in epochs] == [10, 10]
    assert epochs[0] != epochs[1]


def test_a_fraction_is_the_same_in_every_epoch_and_part_of_a_larger_one(stores: list[CropStore]) -> None:
    def seen(fraction: float, seed: int = 1, rank: int = 0, processes: int = 1) -> list[list[int]]:
        loader = store_loader(stores, 1, training=True, fraction=fraction, seed=seed, shard=(rank, processes))
        return [torch.cat([batch["identity"] for batch in loader]).tolist() for _ in range(2)]

    half, third = seen(0.5), seen(1 / 3)
    assert [len(epoch) for epoch in half + third] == [9, 9, 6, 6]
    assert half[0] != half[1]
    assert sorted(half[0]) == sorted(half[1])
    assert not Counter(third[0]) - Counter(half[0])
    assert sorted(seen(0.5, seed=2)[0]) != sorted(half[0])
    shared = seen(1 / 3, rank=0, processes=2)[0] + seen(1 / 3, rank=1, processes=2)[0]
    assert sorted(shared) == sorted(third[0])
    with pytest.raises(ValueError, match=r"a\.crops: 9 crops cannot fill one batch of 10"):
        store_loader(stores, 10, training=True, fraction=0.5)


def test_processes_share_an_epoch(stores: list[CropStore]) -> None:
    parts = [store_loader(stores[:1], 3, training=True, shard=(rank, 2), seed=1) for rank in range(2)]
    seen = [torch.cat([batch["identity"] for batch in part]).tolist() for part in parts]
    assert sorted(seen[0] + seen[1]) == sorted(stores[0].labels["identity"])


def test_what_cannot_be_loaded_is_named(stores: list[CropStore], tmp_path: Path) -> None:
    with pytest.raises(ValueError, match="no crop store was given"):
        StoreDataset([])
    other = CropSpec.for_training((32, 24), max_rotation=21)
    assert other != SPEC
    differing = build_store(tmp_path / "other.crops", sources_in(tmp_path / "other", 1), other, progress=False)
    with pytest.raises(ValueError, match=r"other\.crops was cut as"):
        StoreDataset([stores[0], differing])
    with pytest.raises(ValueError, match=r"a\.crops: 12 crops cannot fill one batch of 13"):
        store_loader(stores[:1], 13, training=True)


def test_repeated_samples_stand_together_and_go_to_different_processes() -> None:
    whole = list(EpochSampler(12, (0, 1), seed=4, repeats=3))
    assert len(whole) == 12
    assert whole == [sample for sample in whole[::3] for _ in range(3)]
    assert len(set(whole)) == 4
    parts = [list(EpochSampler(12, (rank, 3), seed=4, repeats=3)) for rank in range(3)]
    assert parts[0] == parts[1] == parts[2] == whole[::3]
    # Which samples come in is another matter in each epoch.
    sampler = EpochSampler(12, (0, 1), seed=4, repeats=3)
    assert len(set(list(sampler) + list(sampler) + list(sampler))) > 6
