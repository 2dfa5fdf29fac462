import pytest
import torch

from cmsa.data.transforms.mixup import mixup


def test_images_and_targets_are_blended_alike(generator: torch.Generator) -> None:
    images = torch.randn(4, 3, 6, 5, generator=generator)
    targets = torch.eye(4)
    mixed, soft = mixup(images, targets, 0.8, generator)
    share = soft[0, 0].item()
    assert 0 < share < 1
    torch.testing.assert_close(soft.sum(dim=1), torch.ones(4))
    torch.testing.assert_close(mixed, share * images + (1 - share) * images.flip(0))
    torch.testing.assert_close(soft, share * targets + (1 - share) * targets.flip(0))


@pytest.mark.parametrize("alpha", [0.2, 0.8, 1.0])
def test_shares_follow_the_beta_distribution(alpha: float, generator: torch.Generator) -> None:
    image, target = torch.zeros(2, 1, 1, 1), torch.eye(2)
    shares = torch.stack([mixup(image, target, alpha, generator)[1][0, 0] for _ in range(3000)])
    assert shares.mean().item() == pytest.approx(0.5, abs=0.03)
    # The variance of Beta(a, a) is 1 / (4 (2 a + 1)).
    assert shares.var().item() == pytest.approx(1 / (4 * (2 * alpha + 1)), rel=0.1)


def test_none_changes_nothing(generator: torch.Generator) -> None:
    images, targets = torch.rand(2, 3, 4, 4), torch.eye(2)
    mixed, soft = mixup(images, targets, 0, generator)
    assert mixed is images
    assert soft is targets
