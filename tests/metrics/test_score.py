import pytest
import torch

from cmsa.metrics.score import MeanScore


def test_means_do_not_depend_on_the_batches() -> None:
    score = MeanScore(lambda batch, decoded: {"off": (decoded[0] - batch["truth"]).abs(), "said": decoded[0]})
    assert score.compute() == {}
    truth, said = torch.tensor([1.0, 2, 4, 8, 16]), torch.tensor([1.0, 3, 4, 4, 0])
    for rows in ([slice(0, 5)], [slice(0, 2), slice(2, 5)]):
        score.reset()
        for part in rows:
            score.update({"truth": truth[part]}, (said[part],))
        assert score.compute() == {"off": pytest.approx(21 / 5), "said": pytest.approx(12 / 5), "count": 5}
    assert score.samples()[3] == {"off": 4, "said": 4}
    low, high = score.intervals()["off"]
    assert 0 <= low < 21 / 5 < high <= 16
