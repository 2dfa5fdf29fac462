import pytest
import torch

from cmsa.tasks.pose.codecs.peaks import _blur, _kernel_radius


@pytest.mark.parametrize(("sigma", "radius"), [(1.0, 2), (2.0, 5), (3.0, 8)])
def test_the_blur_kernel_follows_sigma(sigma: float, radius: int) -> None:
    assert _kernel_radius(sigma) == radius
    spot = torch.zeros(1, 1, 33, 41)
    spot[0, 0, 16, 20] = 1
    blurred = _blur(spot, sigma, radius)
    support = blurred[0, 0] > 0
    assert support.any(dim=1).sum() == support.any(dim=0).sum() == 2 * radius + 1
    assert blurred.sum() == pytest.approx(1, abs=1e-5)
    assert blurred[0, 0, 16, 21] / blurred[0, 0, 16, 20] == pytest.approx(
        torch.exp(torch.tensor(-1 / (2 * sigma**2))).item(), abs=1e-5
    )
