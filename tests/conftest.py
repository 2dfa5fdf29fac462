"""What every test starts from: one thread, fixed seeds, and the optional folder of reference files."""

from __future__ import annotations

import os
import signal
import socket
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import torch
from hypothesis import settings
from torch import nn

from cmsa.models import CMSA
from cmsa.models.heads.heatmap import MixerFusion
from cmsa.models.variants import VARIANTS

# Each pytest worker is a process of its own: with more threads they would wait for each other.
torch.set_num_threads(1)

# A machine that trains in the background is slow now and then, and that is no failure.
settings.register_profile("cmsa", deadline=None, max_examples=50)
settings.load_profile("cmsa")

# A shell's job in the background ignores Ctrl-C, and so would the processes that tests start and interrupt.
if signal.getsignal(signal.SIGINT) == signal.SIG_IGN:
    signal.signal(signal.SIGINT, signal.default_int_handler)


_LOOPBACK = ("127.", "::1", "localhost", "0.0.0.0")


def _refuse(host: object) -> None:
    if isinstance(host, str | bytes) and not (host if isinstance(host, str) else host.decode()).startswith(_LOOPBACK):
        raise OSError(f"no test may reach {host!r}: the library uses the network only when it is asked to")


@pytest.fixture(scope="session", autouse=True)
def no_network() -> Iterator[None]:
    """Sockets of the test's process reach this machine only."""
    with pytest.MonkeyPatch.context() as patch:

        def guard(where: Any, name: str, host_of: Callable[[tuple[Any, ...]], object]) -> None:
            original = getattr(where, name)

            def guarded(*given: Any, **options: Any) -> Any:
                _refuse(host_of(given or tuple(options.values())))
                return original(*given, **options)

            patch.setattr(where, name, guarded)

        def last_host(given: tuple[Any, ...]) -> object:
            return given[-1][0] if isinstance(given[-1], tuple) else None

        for name in ("connect", "connect_ex", "sendto"):
            guard(socket.socket, name, last_host)
        for name in ("getaddrinfo", "gethostbyname", "gethostbyname_ex"):
            guard(socket, name, lambda given: given[0] or None)
        yield


@pytest.fixture(scope="session")
def shared() -> Path:
    """Folder of reference files and data sets: ``$CMSA_SHARED``, or ``shared`` beside the repository."""
    beside = Path(__file__).resolve().parents[2] / "shared"
    folder = Path(os.environ.get("CMSA_SHARED", beside))
    if not folder.is_dir():
        pytest.skip(f"no reference files: set CMSA_SHARED to their folder ({folder} does not exist)")
    return folder


@pytest.fixture
def generator() -> torch.Generator:
    """A CPU generator with a fixed seed."""
    return torch.Generator().manual_seed(20241203)


def _randomise(module: nn.Module, generator: torch.Generator, spread: float = 1.0) -> None:
    for part in module.modules():
        if isinstance(part, nn.BatchNorm2d):
            part.running_mean.normal_(0, spread, generator=generator)
            part.running_var.uniform_(1, 4, generator=generator)
            part.weight.data.uniform_(0.5, 1.5, generator=generator)
            part.bias.data.normal_(0, spread, generator=generator)
        if isinstance(getattr(part, "table", None), nn.Parameter):
            part.table.data.normal_(0, 1, generator=generator)


@pytest.fixture(scope="session")
def randomise() -> Callable[..., None]:
    """Random statistics and affine parameters for every BatchNorm, random bias tables: (module, generator, spread).

    Variances are at least 1: below that the blocks of a whole network amplify rounding until nothing can be compared.
    """
    return _randomise


@pytest.fixture
def randomised(generator: torch.Generator, randomise: Callable[..., None]) -> Callable[[nn.Module], nn.Module]:
    """Makes any module a float64 one in eval mode with random numbers in it."""

    def build(module: nn.Module) -> nn.Module:
        module.double()
        randomise(module, generator)
        return module.eval()

    return build


@pytest.fixture
def network(generator: torch.Generator, randomise: Callable[..., None]) -> Callable[..., CMSA]:
    """Builds a variant with :class:`MixerFusion`, in eval mode, float32, random numbers in it."""

    def build(variant: str = "cmsa_n", input_size: tuple[int, int] = (32, 24), **options: Any) -> CMSA:
        torch.manual_seed(0)
        model = CMSA(input_size=input_size, **VARIANTS[variant] | options)
        model.head = MixerFusion(model.dims, 17)
        randomise(model, generator)
        return model.eval()

    return build


@pytest.fixture
def images(generator: torch.Generator) -> Callable[..., torch.Tensor]:
    """Normalised images (count, 3, H, W) of noise."""

    def build(count: int, size: tuple[int, int], dtype: torch.dtype = torch.float32) -> torch.Tensor:
        return torch.randn(count, 3, *size, generator=generator, dtype=torch.float64).to(dtype)

    return build
