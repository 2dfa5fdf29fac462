import pytest
import torch

from cmsa.data.transforms.mixup import Mixing, cutmix, mix, mixup


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


def test_a_rectangle_is_pasted_and_counted(generator: torch.Generator) -> None:
    images, targets = torch.randn(4, 3, 12, 9, generator=generator), torch.eye(4)
    shares = []
    for _ in range(400):
        mixed, soft = cutmix(images, targets, 1.0, generator)
        pasted = (mixed != images).all(dim=1)
        assert (pasted == pasted[0]).all()
        rows, columns = pasted[0].any(dim=1), pasted[0].any(dim=0)
        # One rectangle, and what is in it is the other image's.
        assert torch.equal(pasted[0], rows[:, None] & columns[None])
        assert torch.equal(mixed, torch.where(pasted[:, None], images.flip(0), images))
        share = 1 - pasted[0].float().mean()
        torch.testing.assert_close(soft, share * targets + (1 - share) * targets.flip(0))
        shares.append(share.item())
    # Of λ, uniform here, what lies outside of the image is cut off.
    assert 0.5 < sum(shares) / len(shares) < 0.75
    assert min(shares) < 0.4
    assert max(shares) > 0.98


def test_a_batch_is_pasted_or_faded(generator: torch.Generator) -> None:
    images, targets = torch.randn(2, 3, 8, 6, generator=generator), torch.eye(2)
    cut = 0
    for _ in range(600):
        mixed, _ = mix(images, targets, Mixing(0.8, 1.0, 0.3), generator)
        cut += bool(((mixed == images) | (mixed == images.flip(0))).all())
    # Mixup, too, leaves an image alone where λ is almost 0 or 1.
    assert cut / 600 == pytest.approx(0.3, abs=0.06)


def test_one_of_the_two_is_drawn_as_it_is_alone() -> None:
    images, targets = torch.rand(2, 3, 8, 6), torch.eye(2)
    for mixing, alone, alpha in ((Mixing(mixup=0.8), mixup, 0.8), (Mixing(cutmix=1.0), cutmix, 1.0)):
        found, expected = (
            blend(images, targets, given, torch.Generator().manual_seed(1))
            for blend, given in ((mix, mixing), (alone, alpha))
        )
        assert all(torch.equal(one, other) for one, other in zip(found, expected, strict=True))
    assert not Mixing()
    assert mix(images, targets, Mixing(), torch.Generator())[0] is images
