"""Settings of the whole suite: what is quick and what is slow, hypothesis profiles, PyTorch where it is installed.

quick   `pytest -n 2`, 20 minutes on two cores of an AVX2 machine, 12 with AVX-512: every property, of every op, kernel,
        system, command and example, on the smallest data that can break it. Trainings are a few steps; the judgement at
        a run's end takes 200 samples, 20 bootstrap rounds and 4 subsets instead of 5,000, 100 and 50, the exact
        distance of points 250 instead of 1,000 (`short_judgement`); examples run in the test's own process
        (support/example.py) but for one.
slow    `pytest -n 2 -m slow`, in the nightly suite: what is about numbers at full length. A training long enough to
        show what a page claims, every order of threads in float64, every system's certificate, cold and warm starts.

A slow test has a quick one beside it that goes through the same code.

HYPOTHESIS_PROFILE=dev (the default) tries ten new examples every time, ci the same ten, long several hundred;
device, the default with --device, a few.
"""

import os
import signal
import threading
from functools import partial

import browser as chromium
import numpy as np
import pytest
import pytorch
from hypothesis import HealthCheck, settings

# Two test processes share the cores, so waiting threads sleep at once; read when PyTorch loads the OpenMP library.
os.environ.setdefault("OMP_WAIT_POLICY", "passive")

HEALTH = [HealthCheck.too_slow, HealthCheck.filter_too_much, HealthCheck.data_too_large]
settings.register_profile("dev", max_examples=10, deadline=None, suppress_health_check=HEALTH, database=None)
settings.register_profile("ci", max_examples=10, deadline=None, suppress_health_check=HEALTH, derandomize=True)
settings.register_profile("long", max_examples=400, deadline=None, suppress_health_check=HEALTH, database=None)
settings.register_profile("device", max_examples=3, deadline=None, suppress_health_check=HEALTH, derandomize=True)
settings.load_profile(os.environ.get("HYPOTHESIS_PROFILE", "dev"))


ON_A_DEVICE = (
    *("test_broadcasting", "test_dtypes", "test_empty", "test_forward", "test_gradients", "test_higher_orders"),
    *("test_kinks", "test_layout", "test_memory", "test_need", "test_purity"),
)
"""Files whose tests over the op table run on the device of --device; their other tests look into the CPU's arrays."""


def pytest_addoption(parser):
    parser.addoption(
        "--device",
        help="cudasim, cudasim:check or cuda: run the tests of the GPU path, and the op table's properties, there and"
        " nothing else. By default the whole suite runs, with the GPU path on cudasim.",
    )


@pytest.fixture(scope="session")
def device(request) -> str:
    """The device of --device; tests that ask for it are skipped, with the reason, where it cannot be used."""
    from minigan.backend import DeviceError, module_of

    name = request.config.getoption("--device") or "cudasim"
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


def _over_the_table(item) -> bool:
    """Whether the test is one of a row of the op table, in a file that runs on a device."""
    from minigan.testing.opcase import OpCase

    case = getattr(item, "callspec", None) and item.callspec.params.get("case")
    return isinstance(case, OpCase) and item.path.stem in ON_A_DEVICE


@pytest.fixture(autouse=True)
def where_tensors_are_made(request):
    """With --device, the op table's tensors are made on that device, and so everything is computed there."""
    if request.config.getoption("--device") is None or not _over_the_table(request.node):
        yield
        return
    from minigan import backend

    with backend.device(request.getfixturevalue("device")):
        yield


def pytest_xdist_make_scheduler(config, log):
    """Neighbours stay in one process, so that each trains and compiles what they share once; an idle one steals."""
    if config.getoption("dist") != "load":
        return None
    from xdist.scheduler import WorkStealingScheduling

    return WorkStealingScheduling(config, log)


def pytest_configure(config):
    # A shell's background job ignores Ctrl-C, and so would the processes that tests start and interrupt.
    if signal.getsignal(signal.SIGINT) is signal.SIG_IGN and threading.current_thread() is threading.main_thread():
        signal.signal(signal.SIGINT, signal.default_int_handler)
    if config.getoption("--device") is not None and "HYPOTHESIS_PROFILE" not in os.environ:
        settings.load_profile("device")


def pytest_collection_modifyitems(config, items):
    if config.getoption("--device") is not None:
        selection = [item for item in items if _over_the_table(item) or "device" in item.fixturenames]
        config.hook.pytest_deselected(items=[item for item in items if item not in set(selection)])
        items[:] = selection
    if not config.option.markexpr:
        for item in items:
            if "slow" in item.keywords:
                item.add_marker(pytest.mark.skip(reason="slow; run with -m slow"))


def _kernel_distance(original, a, b, subsets, **settings):
    return original(a, b, subsets=min(subsets, 4), **settings)


@pytest.fixture(scope="module", autouse=True)
def short_judgement(request):
    """In the quick suite a run's last samples are judged by few of them and few rounds: the same code on a twentieth of
    the numbers. Slow tests, which run where marks are asked for, judge at full length."""
    if request.config.option.markexpr:
        yield
        return
    from minigan.gan import run
    from minigan.gan.metrics import report
    from minigan.gan.toy import data

    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(run, "METRIC_SAMPLES", 200)
        patch.setattr(data, "W1_SAMPLES", 250)
        for name in ("bootstrap", "frechet_interval"):
            patch.setattr(report, name, partial(getattr(report, name), rounds=20))
        patch.setattr(report, "kernel_distance", partial(_kernel_distance, report.kernel_distance))
        yield


@pytest.fixture(scope="session")
def torch():
    """PyTorch; a test that asks for it is skipped where it is not installed."""
    return pytest.importorskip("torch", reason=pytorch.ABSENT)


@pytest.fixture(scope="session", autouse=True)
def one_torch_thread():
    """Tiny arrays and two test processes: torch's own threads only get in the way."""
    if pytorch.INSTALLED:
        import torch

        torch.set_num_threads(1)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem):
    """A test that left a comparison with PyTorch out and did all else is reported as skipped, with the reason."""
    pytorch.left_out.clear()
    result = yield
    pytorch.skip_if_left_out()
    return result


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.fixture(scope="session")
def browser(tmp_path_factory):
    """One Chromium for all tests of pages; without one they are skipped."""
    if chromium.program() is None:
        pytest.skip(f"no Chromium on the path (looked for {', '.join(chromium.NAMES)})")
    with chromium.browser(tmp_path_factory.mktemp("chromium")) as window:
        window.size(1440, 900)
        yield window
