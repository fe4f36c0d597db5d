"""Settings of the whole suite: hypothesis profiles, one torch thread, `slow` tests only when asked for.

HYPOTHESIS_PROFILE=dev (the default) tries new examples every time, ci more, the same every time, long several hundred.
"""

import os

import numpy as np
import pytest
from hypothesis import HealthCheck, settings

# Two test processes share the cores, so waiting threads sleep at once; read when PyTorch loads the OpenMP library.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

HEALTH = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
settings.register_profile("dev", max_examples=20, deadline=None, suppress_health_check=HEALTH, database=None)
settings.register_profile("ci", max_examples=50, deadline=None, suppress_health_check=HEALTH, derandomize=True)
settings.register_profile("long", max_examples=400, deadline=None, suppress_health_check=HEALTH, database=None)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


def pytest_addoption(parser):
    parser.addoption(
        "--device", default="cudasim", help="Where the tests of the GPU path run: cudasim, cudasim:check or cuda."
    )


@pytest.fixture(scope="session")
def device(request) -> str:
    """The device of --device; tests that ask for it are skipped, with the reason, where it cannot be used."""
    from minigan.backend import DeviceError, module_of

    name = request.config.getoption("--device")
    try:
        module_of(name)
    except DeviceError as error:
        pytest.skip(str(error))
    return name


@pytest.fixture(scope="session")
def xp(device):
    """The array module of --device."""
    from minigan.backend import module_of

    return module_of(device)


@pytest.fixture
def few_blocks(monkeypatch):
    """Grids smaller than their data: threads of a kernel that stride come round again, in small arrays too."""
    from minigan.kernels.cuda import load

    monkeypatch.setattr(load, "BLOCKS", 2)


def pytest_collection_modifyitems(config, items):
    if not config.option.markexpr:
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow; run with -m slow"))


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    """Tiny arrays and two test processes: torch's own threads only get in the way."""
    import torch

    torch.set_num_threads(1)


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)
